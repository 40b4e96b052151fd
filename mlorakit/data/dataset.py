"""A processed data set as tensors."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from mlorakit.data.rows import DataError
from mlorakit.data.spec import file_hash
from mlorakit.data.splits import SPLITS
from mlorakit.kernels.groups import DomainGroups


class Pooled(int):
    """The number of ids of a field of several values per row, and the columns that they take.

    It counts as any other field's size; whoever reads the ids looks at `columns_of` the sizes.

    Args:
        size: number of ids.
        columns: W, adjoining, all of the field's one table. Id 0 is an unknown value or none.
    """

    columns: int

    def __new__(cls, size: int, columns: int = 1) -> "Pooled":
        made = super().__new__(cls, size)
        made.columns = columns
        return made

    def __mul__(self, times: int) -> "Pooled":
        """The size of as many tables of the same field."""
        return Pooled(int(self) * times, self.columns)


def columns_of(field_sizes: Iterable[int]) -> tuple[int, ...]:
    """How many columns of ids each of the F fields has; their sum is C."""
    return tuple(getattr(size, "columns", 1) for size in field_sizes)


@dataclass(frozen=True)
class Rows:
    """Rows of a split or of a batch, sorted by domain.

    Args:
        ids: int32 tensor of shape (N, C), ids within each field; C = F unless a field has several
            columns, see `Pooled`.
        label: float32 tensor of shape (N,).
        groups: where each domain's rows lie.
    """

    ids: Tensor
    label: Tensor
    groups: DomainGroups

    def __len__(self) -> int:
        return self.label.numel()

    def to(self, device: torch.device) -> "Rows":
        """The same rows on a device."""
        groups = DomainGroups(self.groups.domain.to(device), self.groups.ends.to(device))
        return replace(self, ids=self.ids.to(device), label=self.label.to(device), groups=groups)


@dataclass(frozen=True)
class MultiDomainData:
    """A data set of several domains.

    Args:
        name: of the data set.
        field_sizes: number of ids of each of the F fields; `Pooled` if it has several columns.
        domains: readable names of the D domains.
        fingerprint: SHA-256 of dataset.json, which holds those of all files.
        train, validation, test: the splits.
        vectors: given from outside, by place of the field: float32 of shape (ids - 1, K), the
            vector of id n in row n - 1. They stay on the CPU.
    """

    name: str
    field_sizes: tuple[int, ...]
    domains: tuple[str, ...]
    fingerprint: str
    train: Rows
    validation: Rows
    test: Rows
    vectors: dict[int, Tensor] = field(default_factory=dict)

    @property
    def n_domains(self) -> int:
        """D."""
        return len(self.domains)

    def to(self, device: torch.device) -> "MultiDomainData":
        """The same data on a device."""
        return replace(self, **{part: getattr(self, part).to(device) for part in SPLITS})


def describe(folder: Path) -> tuple[dict, str]:
    """dataset.json of a processed data set, and its SHA-256.

    Raises:
        DataError: the data set has not been preprocessed.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        notebook = "preprocess_tasks" if folder.parent.name == "tasks" else "preprocess"
        raise DataError(
            f"{folder} holds no processed data set; run `dvc repro {notebook}` or "
            f"notebooks/{notebook}.ipynb with dataset {folder.name}."
        )
    return json.loads(path.read_text()), file_hash(path)


def load_dataset(folder: Path) -> MultiDomainData:
    """The processed data set of a folder, on the CPU."""
    description, fingerprint = describe(folder)
    fields = [field["name"] for field in description["fields"]]
    n_domains = len(description["domains"])

    def load(part: str) -> Rows:
        frame = pl.read_parquet(folder / f"{part}.parquet").sort("domain", maintain_order=True)
        domain = torch.from_numpy(frame["domain"].to_numpy().astype("int64"))
        return Rows(
            ids=torch.from_numpy(frame.select(fields).to_numpy().copy()),
            label=torch.from_numpy(frame["label"].to_numpy().astype("float32")),
            groups=DomainGroups(domain, torch.bincount(domain, minlength=n_domains).cumsum(0)),
        )

    return MultiDomainData(
        name=description["name"],
        field_sizes=_field_sizes(description["fields"]),
        domains=tuple(domain["name"] for domain in description["domains"]),
        fingerprint=fingerprint,
        vectors={
            place: torch.from_numpy(pl.read_parquet(folder / name)["vector"].to_numpy().copy())
            for place, field_name in enumerate(_names(description["fields"]))
            if (name := f"vectors_{field_name}.parquet") in description["files"]
        },
        **{part: load(part) for part in SPLITS},
    )


def _names(columns: list[dict[str, Any]]) -> list[str]:
    """Names of the fields, of which some have several columns of one `table`."""
    return list(dict.fromkeys(column.get("table", column["name"]) for column in columns))


def _field_sizes(columns: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
    """Sizes of fields; columns of one `table`, which adjoin, are those of one field."""
    return tuple(
        Pooled(same[0]["size"], len(same)) if "table" in same[0] else same[0]["size"]
        for _, group in groupby(columns, key=lambda column: column.get("table", column["name"]))
        for same in [list(group)]
    )
