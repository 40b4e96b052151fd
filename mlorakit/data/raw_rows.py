"""What a loader makes of a source's raw files: coded columns, labels, splits, an account."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlorakit.data.rows import RowAccount


@dataclass(frozen=True)
class Coded:
    """A column of texts as places in the list of its values.

    Args:
        codes: int32 array of shape (N,), or (N, W) for up to W values per row; -1 where there is
            no value.
        values: String series of all distinct values, see `sorted_values`.
    """

    codes: NDArray[np.int32]
    values: pl.Series

    @classmethod
    def of(cls, column: pl.Series) -> "Coded":
        """A String column, null where there is no value."""
        values = sorted_values(column)
        return cls(to_codes(column, values), values)

    def distinct(self) -> int:
        """Number of values that occur."""
        return int(np.count_nonzero(np.bincount(self.codes[self.codes >= 0].ravel())))


@dataclass(frozen=True)
class RawRows:
    """Labelled rows of several domains.

    Args:
        domain: each row's domain, never missing.
        fields: the columns that a model sees, by name, in their order.
        label: uint8 array of shape (N,), 0 or 1.
        split: int8 array of shape (N,): 0 train, 1 validation, 2 test.
        accounts: of the raw rows.
        names: readable names of domains, by value, where they differ from it.
        facts: what dataset.json says beside what it says of every data set.
        vectors: field to a frame of `value` and `vector`, an array of float32, for fields whose
            values have vectors given from outside.
    """

    domain: Coded
    fields: Mapping[str, Coded]
    label: NDArray[np.uint8]
    split: NDArray[np.int8]
    accounts: list[RowAccount]
    names: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    vectors: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def sorted_values(column: pl.Series) -> pl.Series:
    """Distinct values of a String column: whole numbers by size, anything else by code point."""
    values = column.drop_nulls().unique().alias("value").to_frame()
    whole = values["value"].str.contains(r"^\d{1,18}$").all()
    by_size = [pl.col("value").cast(pl.Int64)] if whole else []
    return values.sort(*by_size, "value")["value"]


def to_codes(column: pl.Series, values: pl.Series) -> NDArray[np.int32]:
    """Each text's place in `values`, which are distinct; -1 where it is not there or null."""
    table = pl.DataFrame({"value": values, "code": pl.Series(range(len(values)), dtype=pl.Int32)})
    return (
        column.alias("value")
        .to_frame()
        .join(table, on="value", how="left", maintain_order="left")["code"]
        .fill_null(-1)
        .to_numpy()
    )
