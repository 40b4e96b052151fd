"""What a run leaves to decide claims by, and what a single test of a claim finds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlorakit.report.task_tables import SIGNIFICANT

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"

TABLES = (
    "mlora_comparison",
    "mlora_two_stage",
    "mlora_baselines",
    "mlora_overhead",
    "mlora_new_domain",
    "lt4rec_differences",
    "lt4rec_overlap",
    "lt4rec_fields",
    "lt4rec_tasks",
)
"""The tables that claims are decided by."""

BENCHMARK = "sparse.json"
"""What `python -m benchmarks.sparse` measured: a ticket's cost to serve."""

MEASURED_BY = "benchmarks.sparse"


@dataclass(frozen=True)
class Numbers:
    """What a run has left to decide claims by.

    Args:
        tables: those of `TABLES`; without columns where a part has no data sets.
        sparse: content of `BENCHMARK`; None where it was not measured.
        files: all that was read.
    """

    tables: dict[str, pd.DataFrame]
    sparse: dict[str, Any] | None
    files: tuple[Path, ...]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table; none of one that was not read."""
        table = self.tables.get(name, pd.DataFrame())
        return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]

    @property
    def measured(self) -> str:
        """Where and when the benchmark was measured, a sentence; "" without one."""
        if self.sparse is None:
            return ""
        machine = self.sparse["environment"]
        return (
            f"The numbers of {MEASURED_BY} are not of this run: they were measured on "
            f"{machine['date']} on {machine['cpu']}, {machine['threads']} threads, with masks of "
            f"{self.sparse['tickets']}, and stand in reports/benchmarks/{BENCHMARK}."
        )


@dataclass(frozen=True)
class Finding:
    """One test of a claim.

    Args:
        dataset: whose numbers; `MEASURED_BY` of a benchmark's.
        subject: what was tested.
        value: the number that was looked at; nan where what a claim names was not run.
        p: corrected for the number of comparisons; nan of a count and of a single seed.
        n_seeds: None where no seed has a say.
        verdict: `supported`, `not supported` or `undecided`.
    """

    dataset: str
    subject: str
    value: float
    p: float
    n_seeds: int | None
    verdict: str


def read_numbers(tables: Path, benchmarks: Path, *more: Path) -> Numbers:
    """The numbers of a run; a table or benchmark that was not made is left out.

    Args:
        tables: folder of the tables' CSV files.
        benchmarks: folder of the benchmarks' JSON files.
        more: further folders of tables, for those that the first one lacks.
    """
    found = {name: _first(f"{name}.csv", (tables, *more)) for name in TABLES}
    measured = benchmarks / BENCHMARK
    return Numbers(
        tables={
            name: pd.read_csv(path) if path.is_file() else pd.DataFrame()
            for name, path in found.items()
        },
        sparse=json.loads(measured.read_text()) if measured.is_file() else None,
        files=tuple(path for path in (*found.values(), measured) if path.is_file()),
    )


def _first(name: str, folders: tuple[Path, ...]) -> Path:
    """The file in the first folder that has it; in the first of all if none has."""
    paths = [folder / name for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0])


def by_p(value: float, p: float) -> str:
    """The verdict on a number that a claim says is above 0; nan is no p below any bound."""
    if not p < SIGNIFICANT:
        return UNDECIDED
    return SUPPORTED if value > 0 else NOT_SUPPORTED


def by_bound(value: float, bound: float) -> str:
    """The verdict on a count that a claim says is below a bound; counts have no noise."""
    return SUPPORTED if value < bound else NOT_SUPPORTED
