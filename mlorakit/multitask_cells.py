"""A cell of two tasks trained together: a data set and a method, over several seeds."""

import hashlib
import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from mlorakit.bootstrap import Interval
from mlorakit.data.tasks import TASKS, TaskData
from mlorakit.models.lt4rec import Mask
from mlorakit.multitask_start import make_start
from mlorakit.progress import StepProgress
from mlorakit.seeds import each_seed
from mlorakit.task_cells import (
    cell_files,
    fit_settings,
    json_number,
    metric_intervals,
    metric_summary,
    protocol_data,
    replicates_frame,
    unfinished_folder,
    write_json,
)
from mlorakit.task_config import MultitaskConfig
from mlorakit.task_scores import TaskScores, evaluate_tasks
from mlorakit.task_training import TaskEpoch, fit_tasks
from mlorakit.tensor_files import write_tensors
from mlorakit.tickets import kept
from mlorakit.whole import whole_folder

_NO_ROUND = -1  # in the column of rounds


@dataclass(frozen=True)
class MultitaskResult:
    """What one seed of a cell gave.

    Args:
        seed: of weights and batches.
        model: trained.
        masks: of each task; None for all weights.
        history: the epochs.
        test: scores of the trained model.
        data: what it was trained on, on the device.
        unfinished: folder of the seed's state, for a killed run to go on from.
    """

    seed: int
    model: nn.Module
    masks: dict[str, Mask | None]
    history: list[TaskEpoch]
    test: TaskScores
    data: TaskData
    unfinished: Path


def multitask_seed(
    config: MultitaskConfig,
    data: TaskData,
    seed: int,
    on_epoch: Callable[[TaskEpoch], None] = lambda epoch: None,
) -> MultitaskResult:
    """Train and score one seed; continues where an earlier, killed run of it stopped.

    Trained for a fixed number of epochs; the weights after the last are scored.

    Args:
        config: of the cell.
        data: as `open_tasks` gives it.
        seed: one of the config's.
        on_epoch: told after each epoch.

    Raises:
        MissingTicketsError: see `make_start`.
    """
    data = protocol_data(config, data)
    model, masks = make_start(config, data, seed)
    settings = fit_settings(config, seed)
    folder = unfinished_folder(config, data, seed, _hash(model, masks))

    def scores(part: str) -> TaskScores:
        return evaluate_tasks(model, getattr(data, part), masks, settings, data.binary)

    history = fit_tasks(
        model,
        data.train,
        masks,
        settings,
        validate=lambda: scores("validation").losses,
        checkpoint=folder / "training.safetensors",
        on_epoch=on_epoch,
    )
    return MultitaskResult(seed, model, masks, history, scores("test"), data, folder)


def _hash(model: nn.Module, masks: dict[str, Mask | None]) -> str:
    total = hashlib.sha256()
    for part in (model.state_dict(), *masks.values()):
        for name, value in (part or {}).items():
            total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def multitask_seeds(config: MultitaskConfig, data: TaskData) -> list[MultitaskResult]:
    """`multitask_seed` for every seed of a cell, its progress shown by epoch; see `each_seed`."""
    return each_seed(_shown, config, data)


def _shown(config: MultitaskConfig, data: TaskData, seed: int, keep: bool) -> MultitaskResult:
    """`multitask_seed`, whose state stays until the cell is written in any case."""
    progress = StepProgress(f"{config.dataset} {config.cell} seed {seed}", config.epochs)

    def show(epoch: TaskEpoch) -> None:
        losses = ", ".join(
            f"{task} loss {epoch.train_loss[task]:.4f}, validation {loss:.4f}"
            for task, loss in epoch.validation_loss.items()
        )
        progress(epoch.number, f"epoch {epoch.number}: {losses}")

    try:
        return multitask_seed(config, data, seed, show)
    finally:
        progress.close()


def multitask_intervals(
    results: list[MultitaskResult], config: MultitaskConfig
) -> dict[str, Interval]:
    """The metrics, means over seeds, with their bootstrap intervals."""
    data = results[0].data
    return metric_intervals([r.test for r in results], data.test, data.binary, config.bootstrap)


def _matrices(model: nn.Module, tasks: tuple[str, ...]) -> list[Tensor]:
    """The weights between input and heads that the tasks' logits depend on, biases apart."""
    others = [f".{task}." for task in TASKS if task not in tasks]
    return [
        weight
        for name, weight in model.named_parameters()
        if weight.dim() == 2
        and not name.startswith(("input.", "heads."))
        and not any(other in name for other in others)
    ]


def count_weights(model: nn.Module, masks: dict[str, Mask | None]) -> dict[str, Any]:
    """A trained model's weights between input and heads, and the products of a row.

    Experts and gates count as the trunk does. Products are those of kept weights, of the head, and
    of mixing the experts.

    Returns:
        `kept` and `multiply_adds` per task, `total`, and `kept_share`, the share of all weights
        that some task uses.
    """
    total = sum(weight.numel() for weight in _matrices(model, TASKS))
    kept_, products = {}, {}
    for task in TASKS:
        mask = masks[task]
        kept_[task] = kept(mask) if mask else sum(w.numel() for w in _matrices(model, (task,)))
        head = model.get_parameter(f"heads.{task}.weight").numel()
        mixed = 0
        if hasattr(model, "gates"):
            mixed = model.get_parameter(f"gates.{task}.weight").shape[0] * head
        products[task] = kept_[task] + head + mixed
    used = total
    if all(masks.values()):
        first, second = (mask for mask in masks.values() if mask)
        used = sum(int(torch.maximum(first[name], second[name]).sum()) for name in first)
    return {
        "kept": kept_,
        "total": total,
        "kept_share": used / total,
        "multiply_adds": products,
    }


def summarize_multitask(
    results: list[MultitaskResult], intervals: dict[str, Interval]
) -> dict[str, Any]:
    """The cell's metrics: numbers only, per seed and over seeds."""
    weights = [count_weights(r.model, r.masks) for r in results]

    def mean(key: str) -> dict[str, int]:
        return {task: round(statistics.fmean(w[key][task] for w in weights)) for task in TASKS}

    return {
        "n_seeds": len(results),
        "kept": mean("kept"),
        "total": weights[0]["total"],
        "kept_share": statistics.fmean(w["kept_share"] for w in weights),
        "multiply_adds": mean("multiply_adds"),
        **metric_summary([r.test for r in results], intervals),
        "seeds": {
            str(r.seed): {
                "validation_loss": {
                    task: json_number(loss) for task, loss in r.history[-1].validation_loss.items()
                },
                **{metric: json_number(getattr(r.test, metric)) for metric in intervals},
            }
            for r in results
        },
    }


def multitask_history(results: list[MultitaskResult]) -> pd.DataFrame:
    """A row per seed, task and stretch of an epoch: where it ends, in epochs, its mean training
    loss, and the validation loss where an epoch ends.
    """
    return pd.DataFrame(
        [
            {
                "seed": r.seed,
                "epoch": epoch.number - 1 + place / len(losses),
                "task": task,
                "train_loss": loss,
                "validation_loss": epoch.validation_loss[task] if place == len(losses) else None,
            }
            for r in results
            for epoch in r.history
            for task, losses in epoch.curve.items()
            for place, loss in enumerate(losses, 1)
        ]
    ).astype({"validation_loss": float})


def write_multitask(
    results: list[MultitaskResult], intervals: dict[str, Interval], config: MultitaskConfig
) -> list[Path]:
    """Write metrics, history, weights and replicates; the unfinished state goes.

    Returns:
        The files written, below `config.into` of the project.
    """
    files = cell_files(config.into, config.dataset, config.cell)
    with whole_folder(files.folder) as folder:
        replicates_frame({_NO_ROUND: intervals}).write_parquet(folder / "replicates.parquet")
        for r in results:
            weights = {name: value.cpu() for name, value in r.model.state_dict().items()}
            write_tensors(folder / f"weights-seed-{r.seed}.safetensors", weights, {})
    files.history.parent.mkdir(parents=True, exist_ok=True)
    multitask_history(results).to_csv(files.history, index=False, lineterminator="\n")
    write_json(files.metrics, summarize_multitask(results, intervals))
    for r in results:
        shutil.rmtree(r.unfinished, ignore_errors=True)
    return [files.metrics, files.history, *sorted(files.folder.iterdir())]
