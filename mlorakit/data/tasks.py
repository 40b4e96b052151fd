"""A processed data set of two tasks as tensors: LT4REC's click and conversion."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from mlorakit.data.dataset import describe
from mlorakit.data.splits import SPLITS

TASKS = ("ctr", "cvr")
"""The tasks in LT4REC's names: whether a row is clicked, and how well a clicked row converts."""

PADDING = -1  # in the columns of a multi-valued field, where a row has fewer values than columns


@dataclass(frozen=True)
class TaskField:
    """A categorical field.

    Args:
        name: of the field.
        table: of the embedding table that it looks up; fields may share one.
        columns: how many values it has at most; 1 for a single-valued field.
    """

    name: str
    table: str
    columns: int


@dataclass(frozen=True)
class TaskRows:
    """Rows of a split or of a batch.

    Args:
        ids: int32 tensor of shape (N, C), ids within each field's table, the fields' columns side
            by side; `PADDING` where a multi-valued field has no more values.
        click: float32 tensor of shape (N,), 0 or 1.
        conversion: float32 tensor of shape (N,) in [0, 1]; 0 where it does not apply.
        converts: bool tensor of shape (N,), True where the second task applies to a row.
        cluster: int64 tensor of shape (N,), the session or user whose rows are drawn together by
            the bootstrap.
    """

    ids: Tensor
    click: Tensor
    conversion: Tensor
    converts: Tensor
    cluster: Tensor

    def __len__(self) -> int:
        return self.click.numel()

    def _each(self, change: Callable[[Tensor], Tensor]) -> "TaskRows":
        return TaskRows(**{name: change(value) for name, value in vars(self).items()})

    def take(self, rows: Tensor) -> "TaskRows":
        """Some of the rows, in the order given."""
        return self._each(lambda value: value[rows])

    def to(self, device: torch.device) -> "TaskRows":
        """The same rows on a device."""
        return self._each(lambda value: value.to(device))


@dataclass(frozen=True)
class TaskData:
    """A data set of two tasks.

    Args:
        name: of the data set.
        fields: the F fields, in the order of their columns.
        tables: number of ids of each embedding table; id 0 is a missing value.
        binary: whether the second label is 0 or 1 rather than a share.
        fingerprint: SHA-256 of dataset.json, which holds those of all files.
        train, validation, test: the splits.
    """

    name: str
    fields: tuple[TaskField, ...]
    tables: dict[str, int]
    binary: bool
    fingerprint: str
    train: TaskRows
    validation: TaskRows
    test: TaskRows

    def to(self, device: torch.device) -> "TaskData":
        """The same data on a device."""
        return replace(self, **{part: getattr(self, part).to(device) for part in SPLITS})


def load_tasks(folder: Path) -> TaskData:
    """The processed data set of a folder, on the CPU.

    Raises:
        DataError: the data set has not been preprocessed.
    """
    description, fingerprint = describe(folder)
    fields = tuple(TaskField(**field) for field in description["fields"])

    def load(part: str) -> TaskRows:
        frame = pl.read_parquet(folder / f"{part}.parquet")
        columns = []
        for field in fields:
            if field.columns == 1:
                columns.append(frame[field.name].to_numpy()[:, None])
            else:
                columns.append(frame[field.name].list.to_array(field.columns).to_numpy())
        ids = torch.cat([torch.from_numpy(c.astype("int32")) for c in columns], 1)
        return TaskRows(
            ids=ids,
            click=torch.from_numpy(frame["click"].to_numpy().astype("float32")),
            conversion=torch.from_numpy(frame["conversion"].to_numpy().astype("float32")),
            converts=torch.from_numpy(frame["converts"].to_numpy().copy()),
            cluster=torch.from_numpy(frame["cluster"].to_numpy().astype("int64")),
        )

    return TaskData(
        name=description["name"],
        fields=fields,
        tables=description["tables"],
        binary=description["binary"],
        fingerprint=fingerprint,
        **{part: load(part) for part in SPLITS},
    )
