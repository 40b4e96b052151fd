"""Results of LT4REC's cells: scores with their intervals, histories, selected rounds, masks."""

import json
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pandas as pd
import polars as pl

from mlorakit import paths
from mlorakit.bootstrap import Interval
from mlorakit.data.tasks import TASKS
from mlorakit.models.lt4rec import Mask
from mlorakit.report.results import MissingCellsError
from mlorakit.report.task_methods import METHOD_TITLES, METRICS, Score, round_of, ticket
from mlorakit.selection import read_ticket
from mlorakit.task_config import Lt4recGrid

INTO = "reports/lt4rec"
"""Where the pipeline's cells leave their results."""

_MULTITASK_ROUND = -1  # in the replicates of a multi-task model


def task_grid() -> Lt4recGrid:
    """The grid of `lt4rec` in params.yaml.

    Raises:
        ParameterError: it names something that is not known.
    """
    section = paths.params()["lt4rec"]
    return Lt4recGrid.of(datasets=section["datasets"], methods=section["methods"])


def _methods(grid: Lt4recGrid) -> list[str]:
    return [method for method in METHOD_TITLES if method in grid.methods]


def _present(parts: Sequence[tuple[str, ...]]) -> list[Path]:
    """Paths below `INTO`, all of which must be there."""
    folder = paths.root() / INTO
    found = [folder.joinpath(*each) for each in parts]
    missing = [
        "/".join(each) for each, path in zip(parts, found, strict=True) if not path.is_file()
    ]
    if missing:
        raise MissingCellsError(
            f"{len(missing)} of {len(found)} files that lt4rec in params.yaml asks for are not in "
            f"{folder}: {', '.join(missing)}. `dvc repro` makes them."
        )
    return found


def read_scores() -> list[Score]:
    """The scores of all cells, by data set and method.

    Raises:
        MissingCellsError: some have not been trained.
    """
    grid = task_grid()
    cells = [f"prune-{task}" for task in TASKS]
    cells += [f"multitask-{method}" for method in _methods(grid)]
    keys = list(product(grid.datasets, cells))
    metrics = _present([("metrics", dataset, f"{cell}.json") for dataset, cell in keys])
    replicates = _present(
        [("cells", dataset, cell, "replicates.parquet") for dataset, cell in keys]
    )
    scores = []
    for (dataset, cell), path, drawn in zip(keys, metrics, replicates, strict=True):
        content, frame = json.loads(path.read_text()), pl.read_parquet(drawn)
        kind, _, name = cell.partition("-")
        if kind == "prune":
            for number, result in content["rounds"].items():
                result |= {"total": content["total"]}
                scores += _scores(dataset, ticket(int(number)), result, frame, int(number))
        else:
            scores += _scores(dataset, name, content, frame, _MULTITASK_ROUND)
    order = {dataset: place for place, dataset in enumerate(grid.datasets)}
    return sorted(scores, key=lambda score: (order[score.dataset], *_method_order(score.method)))


def _method_order(method: str) -> tuple[int, int]:
    number = round_of(method)
    return (1, list(METHOD_TITLES).index(method)) if number is None else (0, number)


def _scores(
    dataset: str, method: str, result: dict, replicates: pl.DataFrame, number: int
) -> list[Score]:
    scores = []
    for metric in METRICS:
        if metric not in result:
            continue
        found = result[metric]
        drawn = replicates.filter(pl.col("metric") == metric, pl.col("round") == number)
        scores.append(
            Score(
                dataset=dataset,
                method=method,
                metric=metric,
                interval=Interval(
                    value=_float(found["value"]),
                    low=_float(found["low"]),
                    high=_float(found["high"]),
                    replicates=drawn.sort("replicate")["value"].to_numpy(),
                ),
                std=found["std"],
                seeds={seed: _float(values[metric]) for seed, values in result["seeds"].items()},
                kept=_of_task(result["kept"], metric[:3]),
                total=result["total"],
                kept_share=result["kept_share"],
                multiply_adds=_of_task(result["multiply_adds"], metric[:3]),
            )
        )
    return scores


def _float(value: float | None) -> float:
    """JSON has no nan."""
    return math.nan if value is None else value


def _of_task(value: int | dict[str, int], task: str) -> int:
    return value[task] if isinstance(value, dict) else value


def read_selection() -> pd.DataFrame:
    """A row per data set, task and round: weights kept, validation loss, whether it was chosen.

    Raises:
        MissingCellsError: some cells have not been trained, or no round was selected yet.
    """
    rows = []
    for dataset in task_grid().datasets:
        names = ["select.json", *(f"prune-{task}.json" for task in TASKS)]
        files = _present([("metrics", dataset, name) for name in names])
        selected, *pruned = (json.loads(path.read_text()) for path in files)
        for task, content in zip(TASKS, pruned, strict=True):
            rows += [
                {
                    "dataset": dataset,
                    "task": task,
                    "round": int(number),
                    "kept": result["kept"],
                    "kept_share": result["kept_share"],
                    "validation_loss": _float(result["validation_loss"]),
                    "n_seeds": content["n_seeds"],
                    "chosen": int(number) == selected[task]["round"],
                }
                for number, result in content["rounds"].items()
            ]
    return pd.DataFrame(rows)


def read_masks(dataset: str, selection: pd.DataFrame) -> list[dict[str, Mask]]:
    """The masks of the chosen rounds: per seed, each task's.

    Args:
        dataset: name.
        selection: see `read_selection`.

    Raises:
        MissingCellsError: the tickets have not been found.
        MissingTicketsError: a seed's file of them is not there.
    """
    chosen = selection[(selection["dataset"] == dataset) & selection["chosen"]]
    rounds = dict(zip(chosen["task"], chosen["round"], strict=True))
    (metrics,) = _present([("metrics", dataset, f"prune-{TASKS[0]}.json")])
    seeds = json.loads(metrics.read_text())["rounds"]["0"]["seeds"]
    return [
        {task: read_ticket(dataset, INTO, task, int(seed), rounds[task]) for task in TASKS}
        for seed in seeds
    ]


def read_task_histories() -> pd.DataFrame:
    """A row per data set, multi-task model, seed, task and stretch of an epoch: training loss, and
    validation loss where an epoch ends.

    Raises:
        MissingCellsError: some cells have not been trained.
    """
    grid = task_grid()
    keys = list(product(grid.datasets, _methods(grid)))
    files = _present([("history", dataset, f"multitask-{method}.csv") for dataset, method in keys])
    frames = [
        pd.read_csv(path).assign(dataset=dataset, method=method)
        for (dataset, method), path in zip(keys, files, strict=True)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
