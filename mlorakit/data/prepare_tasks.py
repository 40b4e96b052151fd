"""Data sets of two tasks: described in params.yaml, made where they are missing, opened."""

from typing import Literal

import polars as pl
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from mlorakit import paths
from mlorakit.data.described import described
from mlorakit.data.prepare import prepare_raw
from mlorakit.data.rows import DataError
from mlorakit.data.task_preprocessing import write_tasks
from mlorakit.data.task_sources import TASK_SOURCES
from mlorakit.data.tasks import TaskData, load_tasks


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TaskDatasetSpec:
    """A data set of two tasks as params.yaml describes it.

    Args:
        source: of the raw files, a key of `TASK_SOURCES`.
        buckets: `occurring` sizes an embedding table by the values that occur on train; `full`
            gives it the released code's number of hash buckets, where the source has such.
    """

    source: str
    buckets: Literal["occurring", "full"] = "occurring"

    def __post_init__(self) -> None:
        if self.source not in TASK_SOURCES:
            raise ValueError(f"source {self.source!r} is not one of {', '.join(TASK_SOURCES)}")


def task_dataset_spec(name: str) -> TaskDatasetSpec:
    """The description of a data set of two tasks in params.yaml.

    Raises:
        DataError: it is not there, or not understood.
    """
    return described(TaskDatasetSpec, "task_datasets", name)


def prepare_tasks(name: str, *, strict: bool = False, split_seed: int | None = None) -> dict:
    """Preprocess a data set of two tasks of params.yaml into data/processed/tasks.

    Args:
        name: of the data set.
        strict: stop at the first malformed row.
        split_seed: params.yaml's if not given.

    Returns:
        The content of dataset.json, and `examples` of rejected rows.

    Raises:
        FetchError: the raw files are not to be had.
        DataError: the description or the raw files cannot be used.
    """
    spec = task_dataset_spec(name)
    if split_seed is None:
        split_seed = paths.params()["preprocess"]["split_seed"]
    folder = prepare_raw(spec.source)
    raw = TASK_SOURCES[spec.source](folder, strict)
    if spec.buckets == "full" and not raw.buckets:
        raise DataError(
            f"params.yaml, task_datasets.{name}.buckets: the values of {spec.source} are not "
            "hashed, so there are no buckets; leave `buckets` out."
        )
    if raw.frame.is_empty():
        raise DataError(f"No row of {folder} is usable: {raw.accounts[0].rejected}.")
    content = write_tasks(
        raw.frame.with_columns(split=pl.Series(raw.split(split_seed))),
        paths.task_dir(name),
        description={
            "name": name,
            "source": spec.source,
            "binary": raw.binary,
            "best": raw.best,
            "planted": raw.planted,
            "whole_clusters": raw.whole_clusters,
            "split_seed": split_seed,
        },
        tables=raw.tables,
        accounts=raw.accounts,
        buckets=raw.buckets if spec.buckets == "full" else {},
    )
    return content | {"examples": [e for account in raw.accounts for e in account.examples]}


def open_tasks(name: str) -> TaskData:
    """The processed data set of two tasks, made first if it is not there."""
    folder = paths.task_dir(name)
    if not (folder / "dataset.json").is_file():
        prepare_tasks(name)
    return load_tasks(folder)
