"""The census file's rows: labels, fields, rejected rows."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mlorakit.data.census import COLUMNS, FIELDS, read_census
from mlorakit.data.rows import DataError


def row(**values: str) -> str:
    return ", ".join(values.get(name, f"v_{name}") for name in COLUMNS)


GOOD = [
    row(age="38", income="- 50000.", marital_status="Never married", birth_country="?"),
    row(age="44", income="50000+.", marital_status="Divorced"),
]
BAD = ["too, few", row(income="maybe"), row(income="50000+.", marital_status="")]


def write(folder: Path, rows: list[str]) -> Path:
    path = folder / "census"
    path.write_bytes(("\n".join(rows) + "\n").encode("latin-1"))
    return path


def test_rows_by_hand(tmp_path: Path) -> None:
    frame, (account,) = read_census(write(tmp_path, GOOD), strict=True)
    assert frame["click"].to_list() == [0, 1]
    assert frame["conversion"].to_list() == [1, 0]
    assert frame["converts"].to_list() == [True, True]
    assert frame["cluster"].to_list() == [0, 1]
    assert frame["age"].to_list() == ["38", "44"]
    assert frame["birth_country"].to_list() == [None, "v_birth_country"]
    assert (account.read, account.kept, account.rejected) == (2, 2, {})
    assert not {"income", "marital_status", "instance_weight"} & set(frame.columns)
    assert len(FIELDS) == 39


def test_malformed_rows_are_counted_by_reason(tmp_path: Path) -> None:
    frame, (account,) = read_census(write(tmp_path, [*GOOD, *BAD]), strict=False)
    assert frame.height == 2
    assert account.rejected == {
        "not 42 columns separated by ','": 1,
        "income is neither '- 50000.' nor '50000+.'": 1,
        "marital status is empty": 1,
    }
    assert account.examples[0].startswith("census, line 3: not 42 columns")


def test_strict_stops_at_the_first_of_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"census, line 3"):
        read_census(write(tmp_path, [*GOOD, *BAD]), strict=True)


@pytest.mark.realdata
def test_the_real_file(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "census-income.test"
    path.write_bytes(gzip.decompress(real_file("census-income/census-income.test.gz").read_bytes()))
    frame, (account,) = read_census(path, strict=True)
    assert (account.read, account.kept) == (99_762, 99_762)
    assert frame["click"].sum() == 6_186
    assert frame.select(pl.col("conversion").mean()).item() == pytest.approx(0.43, abs=0.01)
