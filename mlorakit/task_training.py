"""Training and scores of models of two tasks, as LT4REC trains its own.

A batch serves the tasks in turn, each with its own mask and, in the described protocol, its own
Adam. A weight outside a task's mask has no gradient in that task's step and no moments in that
task's Adam, so the step leaves it as it is, to the bit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mlorakit.data.tasks import TASKS, TaskRows
from mlorakit.losses import focal_loss, masked_squared_error
from mlorakit.metrics import auc
from mlorakit.models.lt4rec import Mask
from mlorakit.tensor_files import of_prefix, read_tensors, with_prefix, write_tensors

LOSS_WEIGHT = {"ctr": 1.0, "cvr": 1.5}
"""Of a task's loss in multi-task training, as in the released code."""

_EVALUATION_BATCH = 16384


@dataclass(frozen=True)
class TaskFitSettings:
    """How a model of two tasks is trained.

    Args:
        seed: decides, with the epoch's number, the batches of every epoch.
        epochs: passes over the training rows.
        batch_size: rows.
        learning_rate: of Adam.
        protocol: `described`: every batch serves every task, and each task has an Adam of its own.
            `released`: batches serve the tasks alternately, and all share one Adam, whose momentum
            moves weights outside the mask of the task at hand.
    """

    seed: int
    epochs: int = 1
    batch_size: int = 4096
    learning_rate: float = 1e-4
    protocol: str = "described"


@dataclass(frozen=True)
class TaskScores:
    """What a model reaches on a split.

    Args:
        logits: float tensors of shape (N,) on the CPU per task, rows in the split's order.
        ctr_auc: AUC of the first task.
        cvr_mse: mean squared error of the second, over the rows that it applies to.
        cvr_auc: AUC of the second over those rows; nan where its label is a share.
    """

    logits: dict[str, Tensor]
    ctr_auc: float
    cvr_mse: float
    cvr_auc: float

    def loss_of(self, task: str) -> float:
        """What selection makes small: 1 - AUC of `ctr`, the squared error of `cvr`."""
        return 1 - self.ctr_auc if task == "ctr" else self.cvr_mse


def make_optimizers(
    model: nn.Module, tasks: tuple[str, ...], settings: TaskFitSettings
) -> dict[str, torch.optim.Adam]:
    """An Adam per task; one and the same for all in the released protocol."""

    def adam() -> torch.optim.Adam:
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)

    if settings.protocol == "released":
        return dict.fromkeys(tasks, adam())
    return {task: adam() for task in tasks}


def task_loss(model: nn.Module, batch: TaskRows, task: str, mask: Mask | None) -> Tensor:
    """Mean loss of one task on a batch."""
    logit = model(batch.ids, task, mask)
    if task == "ctr":
        return focal_loss(logit, batch.click)
    return masked_squared_error(logit, batch.conversion, batch.converts)


def task_batches(rows: TaskRows, size: int, generator: torch.Generator) -> Iterator[TaskRows]:
    """One pass over the rows in random order; the last batch may be smaller."""
    order = torch.randperm(len(rows), generator=generator)
    for part in order.split(size):
        yield rows.take(part.to(rows.click.device))


def train_epoch(
    model: nn.Module,
    optimizers: dict[str, torch.optim.Adam],
    rows: TaskRows,
    masks: dict[str, Mask | None],
    settings: TaskFitSettings,
    epoch: int,
) -> dict[str, float]:
    """One pass over the training rows.

    Args:
        model: takes ids, a task and a mask.
        optimizers: per task, see `make_optimizers`; their keys are the tasks trained.
        rows: training rows, on the model's device.
        masks: per task; None for all weights.
        settings: see `TaskFitSettings`.
        epoch: from 1.

    Returns:
        Each task's mean loss over its batches.
    """
    tasks = tuple(optimizers)
    weigh = len(tasks) > 1
    # Mixed by a large prime, so that no two (seed, epoch) share a stream.
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    model.train()
    zero = torch.zeros((), dtype=torch.float64, device=rows.click.device)
    total, count = {task: zero.clone() for task in tasks}, dict.fromkeys(tasks, 0)
    for number, batch in enumerate(task_batches(rows, settings.batch_size, generator)):
        turn = tasks if settings.protocol == "described" else (tasks[number % len(tasks)],)
        for task in turn:
            loss = task_loss(model, batch, task, masks[task])
            optimizers[task].zero_grad()
            (loss * LOSS_WEIGHT[task] if weigh else loss).backward()
            optimizers[task].step()
            total[task] += loss.detach()
            count[task] += 1
    return {task: total[task].item() / max(count[task], 1) for task in tasks}


@torch.inference_mode()
def evaluate_tasks(
    model: nn.Module, rows: TaskRows, masks: dict[str, Mask | None], binary: bool
) -> TaskScores:
    """Scores of a model on every row of a split.

    Args:
        model: takes ids, a task and a mask.
        rows: of the split.
        masks: per task.
        binary: whether the second label is 0 or 1.
    """
    model.eval()
    logits = {
        task: torch.cat(
            [model(part, task, masks[task]) for part in rows.ids.split(_EVALUATION_BATCH)]
        )
        for task in TASKS
    }
    applies = rows.converts
    conversion = logits["cvr"][applies]
    target = rows.conversion[applies]
    error = (conversion.double().sigmoid() - target).square()
    return TaskScores(
        logits={task: logit.cpu() for task, logit in logits.items()},
        ctr_auc=auc(logits["ctr"], rows.click),
        cvr_mse=error.mean().item(),
        cvr_auc=auc(conversion, target) if binary else float("nan"),
    )


def fit_tasks(
    model: nn.Module,
    rows: TaskRows,
    masks: dict[str, Mask | None],
    settings: TaskFitSettings,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, loss: None,
) -> list[dict[str, float]]:
    """Train a model for a number of epochs.

    Args:
        model: with its initial weights, on the rows' device; takes ids, a task and a mask.
        rows: training rows.
        masks: of the tasks to train; None for all weights.
        settings: see `TaskFitSettings`.
        checkpoint: file to continue from if it is there, to the bits of an uninterrupted run; it
            is written after each epoch and removed at the end.
        on_epoch: told after each epoch of each task's mean loss.

    Returns:
        Each task's mean loss per epoch.
    """
    optimizers = make_optimizers(model, tuple(masks), settings)
    losses: list[dict[str, float]] = []
    if checkpoint is not None and checkpoint.is_file():
        losses = _restore(checkpoint, model, optimizers)
    while len(losses) < settings.epochs:
        epoch = len(losses) + 1
        losses.append(train_epoch(model, optimizers, rows, masks, settings, epoch))
        if checkpoint is not None:
            _keep(checkpoint, model, optimizers, losses)
        on_epoch(epoch, losses[-1])
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return losses


def _distinct(optimizers: dict[str, torch.optim.Adam]) -> list[torch.optim.Adam]:
    """Each optimizer once: in the released protocol all tasks have the same."""
    return list(dict.fromkeys(optimizers.values()))


def _keep(
    path: Path,
    model: nn.Module,
    optimizers: dict[str, torch.optim.Adam],
    losses: list[dict[str, float]],
) -> None:
    tensors = with_prefix(model.state_dict(), "model")
    for number, optimizer in enumerate(_distinct(optimizers)):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= with_prefix(values, f"optimizer-{number}.{index}")
    write_tensors(path, tensors, {"losses": losses})


def _restore(
    path: Path, model: nn.Module, optimizers: dict[str, torch.optim.Adam]
) -> list[dict[str, float]]:
    tensors, header = read_tensors(path, str(next(model.parameters()).device))
    model.load_state_dict(of_prefix(tensors, "model"))
    for number, optimizer in enumerate(_distinct(optimizers)):
        content = optimizer.state_dict()
        for name, value in of_prefix(tensors, f"optimizer-{number}").items():
            index, _, key = name.partition(".")
            content["state"].setdefault(int(index), {})[key] = value
        optimizer.load_state_dict(content)
    return header["losses"]
