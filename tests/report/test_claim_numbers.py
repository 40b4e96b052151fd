"""What a run leaves to decide claims by."""

import json
import math
from pathlib import Path

import pytest

from mlorakit.report.claim_numbers import (
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    by_bound,
    by_p,
    read_numbers,
)

MEASURED = {
    "environment": {"date": "2026-11-24", "cpu": "a CPU", "threads": 2},
    "tickets": "seed 1",
}


def test_what_was_not_made_is_left_out(tmp_path: Path) -> None:
    tables, benchmarks = tmp_path / "tables", tmp_path / "benchmarks"
    empty = read_numbers(tables, benchmarks)
    assert (empty.files, empty.sparse, empty.rows("mlora_comparison")) == ((), None, [])
    assert empty.measured == ""
    for folder in (tables, benchmarks):
        folder.mkdir()
    (tables / "mlora_comparison.csv").write_text("backbone,params\nmlp,7\n")
    (tables / "other.csv").write_text("a\n1\n")
    (benchmarks / "sparse.json").write_text(json.dumps(MEASURED))
    found = read_numbers(tables, benchmarks)
    assert [path.name for path in found.files] == ["mlora_comparison.csv", "sparse.json"]
    assert found.rows("mlora_comparison") == [{"backbone": "mlp", "params": 7}]
    assert found.rows("lt4rec_tasks") == []
    assert found.sparse == MEASURED
    assert "measured on 2026-11-24 on a CPU, 2 threads, with masks of seed 1," in found.measured


def test_a_table_is_taken_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in (
        (first, ("mlora_comparison",)),
        (second, ("mlora_comparison", "mlora_overhead")),
    ):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.csv").write_text(f"where\n{folder.name}\n")
    found = read_numbers(first, tmp_path, second)
    assert found.rows("mlora_comparison") == [{"where": "first"}]
    assert found.rows("mlora_overhead") == [{"where": "second"}]
    assert [path.parent.name for path in found.files] == ["first", "second"]


@pytest.mark.parametrize(
    ("value", "p", "verdict"),
    [
        (0.1, 0.049, SUPPORTED),
        (-0.1, 0.049, NOT_SUPPORTED),
        (0.1, 0.05, UNDECIDED),
        (-0.1, 0.9, UNDECIDED),
        (0.1, math.nan, UNDECIDED),
    ],
)
def test_only_a_small_p_decides(value: float, p: float, verdict: str) -> None:
    assert by_p(value, p) == verdict


def test_a_count_is_below_a_bound_or_not() -> None:
    assert [by_bound(value, 1) for value in (0.99, 1.0, 1.01)] == [
        SUPPORTED,
        NOT_SUPPORTED,
        NOT_SUPPORTED,
    ]
