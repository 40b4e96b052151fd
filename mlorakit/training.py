"""The fit loop."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mlorakit.data.batches import epoch_order, evaluation_batches
from mlorakit.data.dataset import MultiDomainData, Rows
from mlorakit.kernels.adam import Adam
from mlorakit.metrics import domain_auc, mean_auc, weighted_auc
from mlorakit.models.backbone import Backbone
from mlorakit.runtime import epoch_seed
from mlorakit.steps import Steps, make_steps

_EVALUATION_BATCH = 16384  # rows; larger ones leave the processor's cache
_EVALUATION_BATCH_ON_GPU = 65536  # fewer launches, in a gigabyte or two


@dataclass(frozen=True)
class FitSettings:
    """How a model is trained; the defaults are MLoRA's settings on MovieLens.

    Args:
        seed: decides, with the epoch's number, the batches and dropout of every epoch.
        batch_order: `mixed` or `alternate`, see `epoch_order`.
        batch_size: rows.
        learning_rate: of Adam.
        l2: weight of the sum of squares of `Backbone.regularized`, added to the mean loss.
        patience: epochs without a better score before training stops.
        max_epochs: 0 for no cap.
    """

    seed: int
    batch_order: str = "mixed"
    batch_size: int = 1024
    learning_rate: float = 1e-3
    l2: float = 1e-5
    patience: int = 3
    max_epochs: int = 0


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch left behind.

    Args:
        epoch: from 1.
        train_loss: mean binary cross-entropy over the epoch, with dropout, without L2.
        validation_auc: unweighted mean over domains, the score that stops training.
        validation_wauc: weighted by rows.
        stage: 1 or 2 of training in two stages, else None.
    """

    epoch: int
    train_loss: float
    validation_auc: float
    validation_wauc: float
    stage: int | None = None


@dataclass(frozen=True)
class Pace:
    """How fast an epoch went; for people, never part of a result.

    Args:
        rows_per_second: trained rows over the epoch's wall time, evaluation included.
        seconds_left: until training ends if no later epoch is better.
    """

    rows_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of a split.

    Args:
        logit: float tensor of shape (N,) on the CPU, rows in the split's order.
        auc: per domain.
        wauc: weighted by rows.
        mean_auc: unweighted.
        log_loss: mean binary cross-entropy.
    """

    logit: Tensor
    auc: list[float]
    wauc: float
    mean_auc: float
    log_loss: float


@torch.inference_mode()
def evaluate(model: Backbone, split: Rows) -> Evaluation:
    """Scores of a model on a split; leaves the model in evaluation mode."""
    model.eval()
    size = _EVALUATION_BATCH if split.ids.is_cpu else _EVALUATION_BATCH_ON_GPU
    batches = evaluation_batches(split, size)
    logit = torch.cat([model(batch.ids, batch.groups) for batch in batches])
    aucs = domain_auc(logit, split.label, split.groups)
    rows = torch.diff(split.groups.ends, prepend=split.groups.ends.new_zeros(1)).tolist()
    return Evaluation(
        logit=logit.cpu(),
        auc=aucs,
        wauc=weighted_auc(aucs, rows),
        mean_auc=mean_auc(aucs),
        log_loss=F.binary_cross_entropy_with_logits(logit, split.label).item(),
    )


def make_optimizer(model: Backbone, learning_rate: float, l2: float) -> Adam:
    """Adam; the L2 term enters as weight decay, whose gradient 2 l2 w is the same."""
    regularized = list(model.regularized())
    chosen = {id(p) for p in regularized}
    others = [p for p in model.parameters() if id(p) not in chosen]
    groups: list[dict[str, Any]] = [
        {"params": regularized, "weight_decay": 2 * l2},
        {"params": others},
    ]
    return Adam(groups, lr=learning_rate)


def fit(
    model: Backbone,
    data: MultiDomainData,
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord, Pace], None] = lambda record, pace: None,
    stage: int | None = None,
    before: Sequence[EpochRecord] = (),
) -> list[EpochRecord]:
    """Train until the validation score stops rising; the model ends with its best weights.

    Randomness of an epoch depends on the seed and the epoch's number alone, so a run that was
    killed continues from its checkpoint to the bits that an uninterrupted one reaches.

    Args:
        model: on the device of `data`; its weights are the start.
        data: training and validation rows.
        settings: see `FitSettings`.
        checkpoint: file to continue from if it is there, and to write after each epoch; the
            caller removes it.
        on_epoch: called after each epoch with its record and its pace.
        stage: to note in the records; see `mlorakit.two_stage`.
        before: records of an earlier stage, whose best weights the model holds: its best score is
            the one to beat, its epochs are counted on, and patience and cap start anew.

    Returns:
        A record per epoch, those from before an interruption included, those of `before` not.

    Raises:
        ValueError: there are no training rows.
    """
    if not len(data.train):
        raise ValueError(f"Data set {data.name} has no training rows; its domains are too small.")
    optimizer = make_optimizer(model, settings.learning_rate, settings.l2)
    state = Checkpoint(history=[], best_score=float("-inf"), best_epoch=0, best_weights={})
    if before:
        state.best_score = max(_comparable(record.validation_auc) for record in before)
        state.best_weights = _copied(model)
    if checkpoint is not None and checkpoint.is_file():
        state = load_checkpoint(checkpoint, model, optimizer)
    steps = make_steps(model, optimizer, data.train)
    while not _finished(state, settings):
        started = time.perf_counter()
        epoch = len(state.history) + 1
        counted = len(before) + epoch
        loss = _train_epoch(model, steps, data.train, settings, counted)
        scores = evaluate(model, data.validation)
        record = EpochRecord(counted, loss, scores.mean_auc, scores.wauc, stage)
        state.history.append(record)
        # A score is nan where no domain has both classes; the first epoch then stays the best.
        if not state.best_weights or record.validation_auc > state.best_score:
            state.best_score = _comparable(record.validation_auc)
            state.best_epoch = epoch
            state.best_weights = _copied(model)
        if checkpoint is not None:
            save_checkpoint(checkpoint, state, model, optimizer)
        seconds = time.perf_counter() - started
        left = state.best_epoch + settings.patience - epoch
        if settings.max_epochs:
            left = min(left, settings.max_epochs - epoch)
        on_epoch(record, Pace(len(data.train) / seconds, left * seconds))
    model.load_state_dict(state.best_weights)
    return state.history


def _comparable(score: float) -> float:
    return float("-inf") if math.isnan(score) else score


def _copied(model: Backbone) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def _finished(state: Checkpoint, settings: FitSettings) -> bool:
    epochs = len(state.history)
    return epochs > 0 and (
        epochs >= state.best_epoch + settings.patience or epochs == settings.max_epochs
    )


def _train_epoch(
    model: Backbone, steps: Steps, split: Rows, settings: FitSettings, epoch: int
) -> float:
    """One pass over the training rows; returns the mean loss."""
    seed = epoch_seed(settings.seed, epoch)
    generator = torch.Generator().manual_seed(seed)
    order = epoch_order(split, settings.batch_size, settings.batch_order, generator)
    model.train()
    return float(steps.epoch(order, seed)) / len(split)
