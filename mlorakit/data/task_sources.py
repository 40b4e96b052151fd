"""The sources of two tasks: a loader each, from raw files to labelled rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlorakit.data.census import FIELDS, read_census
from mlorakit.data.movielens import COLUMNS, liked_and_loved, read_movielens
from mlorakit.data.rows import RowAccount
from mlorakit.data.splits import split_clusters, stratified_split
from mlorakit.data.truth import read_truth
from mlorakit.data.video_fields import BUCKETS
from mlorakit.data.video_fields import FIELDS as VIDEO_FIELDS
from mlorakit.data.video_records import read_video_logs, video_schema


@dataclass(frozen=True)
class RawTasks:
    """Rows of two tasks, as a source's files have them.

    Args:
        frame: the rows, without `split`; see `mlorakit.data.task_preprocessing.write_tasks`.
        tables: embedding table of each field, in the order of the fields.
        binary: whether the second label is 0 or 1 rather than a share.
        whole_clusters: whether the rows of a session stay in one split. Where a user's own rows
            are needed to learn the user, each cluster is split instead, its labels evenly.
        accounts: of the raw rows.
        buckets: ids of each table if its values are hashed; empty where the source hashes nothing.
        best: metric to the best score that any model can expect, where it is known.
        planted: the fields that decide `both` labels, one of them, or `neither`, where it is known.
    """

    frame: pl.DataFrame
    tables: dict[str, str]
    binary: bool
    whole_clusters: bool
    accounts: list[RowAccount]
    buckets: dict[str, int] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    planted: dict[str, list[str]] = field(default_factory=dict)

    def split(self, seed: int) -> NDArray[np.int8]:
        """Train 0, validation 1, test 2 for each row, 60 / 20 / 20."""
        cluster = self.frame["cluster"].to_numpy()
        if self.whole_clusters:
            return split_clusters(cluster, seed)
        # 0 not clicked, 1 clicked, 2 clicked and converted.
        label = self.frame.select(pl.col("click") + (pl.col("conversion") > 0)).to_series()
        return stratified_split(cluster, label.to_numpy(), seed)


def _movielens(folder: Path, strict: bool) -> RawTasks:
    """Liked, and loved among the liked; every user is in every split, as the model learns users."""
    frame, accounts = read_movielens(folder, strict)
    return RawTasks(
        liked_and_loved(frame),
        tables={column: column for column in COLUMNS},
        binary=True,
        whole_clusters=False,
        accounts=accounts,
    )


def _census(folder: Path, strict: bool) -> RawTasks:
    """Income above 50K, and never married; every row is a person of its own."""
    frame, accounts = read_census(folder / "census-income.test", strict)
    return RawTasks(
        frame,
        tables={column: column for column in FIELDS},
        binary=True,
        whole_clusters=True,
        accounts=accounts,
    )


def _videos(folder: Path, strict: bool) -> RawTasks:
    """Clicks, and the share watched of what was clicked; a session stays in one split."""
    frame, accounts = read_video_logs(folder, video_schema(), strict)
    truth = read_truth(folder)
    return RawTasks(
        frame,
        tables={name: field.table for name, field in VIDEO_FIELDS.items()},
        binary=False,
        whole_clusters=True,
        accounts=accounts,
        buckets=BUCKETS,
        best=truth.get("best", {}),
        planted=truth.get("fields", {}),
    )


TaskLoader = Callable[[Path, bool], RawTasks]
"""From the folder of the raw files, and whether to stop at the first malformed row."""

TASK_SOURCES: dict[str, TaskLoader] = {
    "movielens": _movielens,
    "generated": _movielens,  # has MovieLens's format
    "video_logs": _videos,
    "tencent": _videos,
    "census": _census,
}
"""Loaders of the sources that have two tasks."""
