"""What the cells of two tasks share: data, initial weights, files, and metrics with intervals."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from mlorakit import paths
from mlorakit.bootstrap import Interval, auc_statistic, bootstrap, interval, mean_statistic
from mlorakit.data.splits import SPLITS
from mlorakit.data.tasks import TaskData, TaskRows
from mlorakit.models.lt4rec import LT4REC
from mlorakit.provenance import digest
from mlorakit.runtime import initial_draws, prepare
from mlorakit.task_config import TaskTrainConfig
from mlorakit.task_scores import TaskScores
from mlorakit.task_training import TaskFitSettings
from mlorakit.whole import whole_file

METRICS = {"ctr": ("ctr_auc",), "cvr": ("cvr_mse", "cvr_auc")}
"""Of each task; `cvr_auc` where the second label is 0 or 1."""

_DRAWS = 2020  # seed of the bootstrap's draws, one for all cells, so that their replicates pair


def protocol_data(config: TaskTrainConfig, data: TaskData) -> TaskData:
    """The data that a protocol trains and scores on, on the config's device.

    The released code reads one file for training, validation and test, so in its protocol each
    split is all rows.
    """
    data = data.to(prepare(config.device, config.threads))
    if config.protocol == "described":
        return data
    parts = [vars(getattr(data, part)) for part in SPLITS]
    whole = TaskRows(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    return replace(data, train=whole, validation=whole, test=whole)


def fit_settings(config: TaskTrainConfig, seed: int) -> TaskFitSettings:
    """How a seed of a cell is trained."""
    return TaskFitSettings(
        seed=seed,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        protocol=config.protocol,
    )


def make_network(config: TaskTrainConfig, data: TaskData) -> LT4REC:
    """LT4REC's network for a data set, its weights from torch's generator, on the data's device."""
    network = LT4REC(
        data.fields,
        data.tables,
        config.embedding_size,
        config.hidden,
        average_padding=config.protocol == "released",
    )
    return network.to(data.train.click.device)


def theta_0(config: TaskTrainConfig, data: TaskData, seed: int) -> LT4REC:
    """LT4REC's network with a seed's initial weights, the same for both tasks."""
    with initial_draws(seed):
        return make_network(config, data)


def unfinished_folder(config: TaskTrainConfig, data: TaskData, seed: int, start: str = "") -> Path:
    """Where a seed's state lies until its cell is written, under a hash of all that decides it.

    Args:
        config: of the cell.
        data: that it is trained on.
        seed: of the run.
        start: a hash of what it starts from, where config, data and seed do not tell.
    """
    # What a seed's result does not depend on.
    others = {"seeds": seed, "into": "", "bootstrap": 0, "released_layout": "", "masks": ""}
    others["threads"] = 0
    device = data.train.click.device.type
    key = digest([asdict(config) | others, data.fingerprint, device, start])[:16]
    return paths.checkpoint_dir(f"{data.name}-{config.cell}-seed-{seed}-{key}")


@dataclass(frozen=True)
class CellFiles:
    """Where a cell's results lie.

    Args:
        metrics: JSON, numbers only.
        history: CSV, a row per epoch.
        folder: for weights, masks and bootstrap replicates.
    """

    metrics: Path
    history: Path
    folder: Path


def cell_files(into: str, dataset: str, cell: str) -> CellFiles:
    """The files of a cell of a data set below a folder of the project."""
    base = paths.root() / into
    return CellFiles(
        metrics=base / "metrics" / dataset / f"{cell}.json",
        history=base / "history" / dataset / f"{cell}.csv",
        folder=base / "cells" / dataset / cell,
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file of numbers."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def json_number(value: float) -> float | None:
    """A number for JSON, which has no nan."""
    return None if math.isnan(value) else value


def metric_intervals(
    tests: Sequence[TaskScores], rows: TaskRows, binary: bool, replicates: int
) -> dict[str, Interval]:
    """The metrics of the tasks scored, means over seeds, with intervals of the cluster bootstrap.

    A replicate draws clusters of test rows once for all seeds. The draws depend on the rows and the
    number of replicates alone, so cells of one data set are paired.

    Args:
        tests: each seed's scores on the test rows.
        rows: the test rows.
        binary: whether the second label is 0 or 1.
        replicates: how many.
    """
    names = [(task, metric) for task in tests[0].logits for metric in METRICS[task]]
    found = {}
    for task, metric in names:
        if metric == "cvr_auc" and not binary:
            continue
        of_seeds = []
        for scores in tests:
            scored = rows.take(scores.rows[task].to(rows.click.device))
            label = (scored.click if task == "ctr" else scored.conversion).double().cpu()
            logit = scores.logits[task].double()
            if metric == "cvr_mse":
                error = (logit.sigmoid() - label).square().numpy()
                statistic = mean_statistic(error, np.ones(len(error), dtype=bool))
            else:
                statistic = auc_statistic(logit.numpy(), label.numpy())
            cluster = scored.cluster.cpu().numpy()
            of_seeds.append(bootstrap(statistic, cluster, replicates=replicates, seed=_DRAWS))
        found[metric] = interval(
            statistics.fmean(getattr(scores, metric) for scores in tests),
            np.mean([one.replicates for one in of_seeds], axis=0),
        )
    return found


def metric_summary(
    tests: Sequence[TaskScores], intervals: dict[str, Interval]
) -> dict[str, dict[str, float | None]]:
    """Each metric's mean over seeds, its interval, and its standard deviation over seeds."""
    return {
        metric: {
            "value": json_number(found.value),
            "low": json_number(found.low),
            "high": json_number(found.high),
            "std": json_number(statistics.stdev(getattr(scores, metric) for scores in tests))
            if len(tests) > 1
            else None,
        }
        for metric, found in intervals.items()
    }


def replicates_frame(intervals: dict[int, dict[str, Interval]]) -> pl.DataFrame:
    """The replicates of each round's metrics, a row each."""
    return pl.concat(
        pl.DataFrame(
            {
                "round": pl.Series([round_] * len(found.replicates), dtype=pl.Int32),
                "metric": [metric] * len(found.replicates),
                "replicate": pl.Series(range(len(found.replicates)), dtype=pl.Int32),
                "value": found.replicates,
            }
        )
        for round_, metrics in intervals.items()
        for metric, found in metrics.items()
    )
