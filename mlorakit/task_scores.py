"""Scores of models of two tasks, on the rows that a protocol scores."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlorakit.data.tasks import TaskRows
from mlorakit.metrics import auc
from mlorakit.models.lt4rec import Mask
from mlorakit.task_training import TaskFitSettings

_EVALUATION_BATCH = 16384


@dataclass(frozen=True)
class TaskScores:
    """What a model reaches on a split; the metrics of a task that is not scored are nan.

    Args:
        logits: float tensors on the CPU per task scored, for the rows that it is scored on.
        rows: int64 tensors on the CPU per task scored, the places of those rows in the split.
        ctr_auc: AUC of `ctr`.
        cvr_mse: mean squared error of `cvr`.
        cvr_auc: AUC of `cvr`; nan where its label is a share.
    """

    logits: dict[str, Tensor]
    rows: dict[str, Tensor]
    ctr_auc: float = float("nan")
    cvr_mse: float = float("nan")
    cvr_auc: float = float("nan")

    def loss_of(self, task: str) -> float:
        """What selection makes small: 1 - AUC of `ctr`, the squared error of `cvr`."""
        return 1 - self.ctr_auc if task == "ctr" else self.cvr_mse

    @property
    def losses(self) -> dict[str, float]:
        """`loss_of` each task scored."""
        return {task: self.loss_of(task) for task in self.logits}


def scored_rows(
    rows: TaskRows, tasks: tuple[str, ...], settings: TaskFitSettings
) -> dict[str, Tensor]:
    """Places of the rows that each task is scored on.

    All rows for `ctr`, and those that it applies to for `cvr`. In the released protocol batches, in
    the split's order, score the tasks alternately as they train them, so of two tasks the first is
    scored on even batches and the second on odd ones.
    """
    chosen = {task: torch.ones_like(rows.converts) for task in tasks}
    if "cvr" in chosen:
        chosen["cvr"] = rows.converts
    if settings.protocol == "released":
        batch = torch.arange(len(rows), device=rows.click.device) // settings.batch_size
        for turn, task in enumerate(tasks):
            chosen[task] = chosen[task] & (batch % len(tasks) == turn)
    return {task: where.nonzero()[:, 0] for task, where in chosen.items()}


@torch.inference_mode()
def evaluate_tasks(
    model: nn.Module,
    rows: TaskRows,
    masks: dict[str, Mask | None],
    settings: TaskFitSettings,
    binary: bool,
) -> TaskScores:
    """Scores of a model on a split.

    Args:
        model: takes ids, a task and a mask.
        rows: of the split.
        masks: of the tasks to score; None for all weights.
        settings: of the training, see `scored_rows`.
        binary: whether the second label is 0 or 1.
    """
    model.eval()
    places = scored_rows(rows, tuple(masks), settings)
    logits = {}
    for task, mask in masks.items():
        if settings.protocol == "released":  # a row's vector depends on its batch
            parts = [model(ids, task, mask) for ids in rows.ids.split(settings.batch_size)]
            logits[task] = torch.cat(parts)[places[task]]
        else:
            chosen = rows.ids[places[task]].split(_EVALUATION_BATCH)
            logits[task] = torch.cat([model(ids, task, mask) for ids in chosen])
    metrics = {}
    if "ctr" in masks:
        metrics["ctr_auc"] = auc(logits["ctr"], rows.click[places["ctr"]])
    if "cvr" in masks:
        target = rows.conversion[places["cvr"]]
        error = (logits["cvr"].double().sigmoid() - target).square()
        metrics["cvr_mse"] = error.mean().item()
        if binary:
            metrics["cvr_auc"] = auc(logits["cvr"], target)
    return TaskScores(
        logits={task: logit.cpu() for task, logit in logits.items()},
        rows={task: place.cpu() for task, place in places.items()},
        **metrics,
    )
