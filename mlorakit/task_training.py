"""Training of models of two tasks, as LT4REC trains its own.

A batch serves the tasks in turn, each with its own mask and, in the described protocol, its own
Adam. A weight outside a task's mask has no gradient in that task's step and no moments in that
task's Adam, so the step leaves it as it is, to the bit.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mlorakit.data.tasks import TaskRows
from mlorakit.kernels.adam import Adam
from mlorakit.losses import focal_loss, masked_squared_error
from mlorakit.models.lt4rec import Mask
from mlorakit.runtime import epoch_seed
from mlorakit.tensor_files import (
    of_prefix,
    optimizer_tensors,
    read_tensors,
    restore_optimizer,
    with_prefix,
    write_tensors,
)

STRETCHES = 20
"""Parts of an epoch, as equal in batches as can be, that the training curve shows one by one."""

LOSS_WEIGHT = {"ctr": 1.0, "cvr": 1.5}
"""Of a task's loss in multi-task training, as in the released code."""


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
class TaskEpoch:
    """An epoch of training.

    Args:
        number: from 1.
        curve: each task's mean loss over its batches, in each of `STRETCHES` parts of the epoch.
        validation_loss: each task's on validation after it; empty if it was not asked for.
    """

    number: int
    curve: dict[str, list[float]]
    validation_loss: dict[str, float]

    @property
    def train_loss(self) -> dict[str, float]:
        """Each task's mean loss over the epoch."""
        return {task: statistics.fmean(losses) for task, losses in self.curve.items()}


def make_optimizers(
    model: nn.Module, tasks: tuple[str, ...], settings: TaskFitSettings
) -> dict[str, Adam]:
    """An Adam per task; one and the same for all in the released protocol."""

    def adam() -> Adam:
        return Adam(model.parameters(), lr=settings.learning_rate)

    if settings.protocol == "released":
        return dict.fromkeys(tasks, adam())
    return {task: adam() for task in tasks}


def task_loss(
    model: nn.Module, batch: TaskRows, task: str, mask: Mask | None, protocol: str
) -> Tensor:
    """Mean loss of one task on a batch."""
    if task == "ctr":
        return focal_loss(model(batch.ids, task, mask), batch.click)
    if protocol == "described":
        # The other rows have no part in the loss. As released they have: a batch's longest row
        # enters the vectors of all its rows.
        batch = batch.take(batch.converts.nonzero()[:, 0])
    return masked_squared_error(model(batch.ids, task, mask), batch.conversion, batch.converts)


def task_batches(rows: TaskRows, size: int, generator: torch.Generator) -> Iterator[TaskRows]:
    """One pass over the rows in random order; the last batch may be smaller."""
    order = torch.randperm(len(rows), generator=generator)
    for part in order.split(size):
        yield rows.take(part.to(rows.click.device))


def train_epoch(
    model: nn.Module,
    optimizers: dict[str, Adam],
    rows: TaskRows,
    masks: dict[str, Mask | None],
    settings: TaskFitSettings,
    epoch: int,
) -> dict[str, list[float]]:
    """One pass over the training rows.

    Args:
        model: takes ids, a task and a mask.
        optimizers: per task, see `make_optimizers`; their keys are the tasks trained.
        rows: training rows, on the model's device.
        masks: per task; None for all weights.
        settings: see `TaskFitSettings`.
        epoch: from 1.

    Returns:
        Each task's mean loss over its batches, in each of `STRETCHES` parts of them; fewer parts
        where it has fewer batches.
    """
    tasks = tuple(optimizers)
    weigh = len(tasks) > 1
    generator = torch.Generator().manual_seed(epoch_seed(settings.seed, epoch))
    model.train()
    losses: dict[str, list[Tensor]] = {task: [] for task in tasks}
    for number, batch in enumerate(task_batches(rows, settings.batch_size, generator)):
        turn = tasks if settings.protocol == "described" else (tasks[number % len(tasks)],)
        for task in turn:
            loss = task_loss(model, batch, task, masks[task], settings.protocol)
            optimizers[task].zero_grad()
            (loss * LOSS_WEIGHT[task] if weigh else loss).backward()
            optimizers[task].step()
            losses[task].append(loss.detach())
    return {task: _curve(of_batches) for task, of_batches in losses.items()}


def _curve(losses: list[Tensor]) -> list[float]:
    """Means of consecutive stretches."""
    if not losses:
        return []
    parts = torch.stack(losses).double().tensor_split(min(STRETCHES, len(losses)))
    return torch.stack([part.mean() for part in parts]).tolist()


def fit_tasks(
    model: nn.Module,
    rows: TaskRows,
    masks: dict[str, Mask | None],
    settings: TaskFitSettings,
    *,
    validate: Callable[[], dict[str, float]] | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[TaskEpoch], None] = lambda epoch: None,
) -> list[TaskEpoch]:
    """Train a model for a number of epochs.

    Args:
        model: with its initial weights, on the rows' device; takes ids, a task and a mask.
        rows: training rows.
        masks: of the tasks to train; None for all weights.
        settings: see `TaskFitSettings`.
        validate: gives each task's validation loss, for the record of each epoch.
        checkpoint: file to continue from if it is there, to the bits of an uninterrupted run; it
            is written after each epoch. The caller removes it.
        on_epoch: told after each epoch.

    Returns:
        The epochs.
    """
    optimizers = make_optimizers(model, tuple(masks), settings)
    history: list[TaskEpoch] = []
    if checkpoint is not None and checkpoint.is_file():
        history = _restore(checkpoint, model, optimizers)
    while len(history) < settings.epochs:
        number = len(history) + 1
        curve = train_epoch(model, optimizers, rows, masks, settings, number)
        history.append(TaskEpoch(number, curve, {} if validate is None else validate()))
        if checkpoint is not None:
            _keep(checkpoint, model, optimizers, history)
        on_epoch(history[-1])
    return history


def _distinct(optimizers: dict[str, Adam]) -> list[Adam]:
    """Each optimizer once: in the released protocol all tasks have the same."""
    return list(dict.fromkeys(optimizers.values()))


def _keep(
    path: Path,
    model: nn.Module,
    optimizers: dict[str, Adam],
    history: list[TaskEpoch],
) -> None:
    tensors = with_prefix(model.state_dict(), "model")
    for number, optimizer in enumerate(_distinct(optimizers)):
        tensors |= with_prefix(optimizer_tensors(optimizer), f"optimizer-{number}")
    write_tensors(path, tensors, {"epochs": [asdict(epoch) for epoch in history]})


def _restore(path: Path, model: nn.Module, optimizers: dict[str, Adam]) -> list[TaskEpoch]:
    tensors, header = read_tensors(path, str(next(model.parameters()).device))
    model.load_state_dict(of_prefix(tensors, "model"))
    for number, optimizer in enumerate(_distinct(optimizers)):
        restore_optimizer(optimizer, of_prefix(tensors, f"optimizer-{number}"))
    return [TaskEpoch(**epoch) for epoch in header["epochs"]]
