"""Rows of a raw text file: which were kept, which were rejected, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

_EXAMPLES = 5


class DataError(ValueError):
    """Raw data that cannot be used."""


@dataclass(frozen=True)
class RowAccount:
    """What became of a file's rows; ``read == kept + sum(rejected.values())``.

    Args:
        file: name of the file.
        read: rows read.
        kept: rows kept.
        rejected: rows rejected per reason.
        examples: the first rejected rows as `file, line n: reason: row`.
    """

    file: str
    read: int
    kept: int
    rejected: dict[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()

    def counts(self) -> dict[str, Any]:
        """The account without its examples, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "examples"}

    def but(self, reason: str, count: int) -> "RowAccount":
        """The same account with `count` of the kept rows rejected for one more reason."""
        if not count:
            return self
        rejected = self.rejected | {reason: self.rejected.get(reason, 0) + count}
        return replace(self, kept=self.kept - count, rejected=rejected)


def merged(accounts: Sequence[RowAccount]) -> RowAccount:
    """One account of a file that was read in several parts, of which there is at least one."""
    rejected: dict[str, int] = {}
    for account in accounts:
        for reason, count in account.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
    return RowAccount(
        file=accounts[0].file,
        read=sum(account.read for account in accounts),
        kept=sum(account.kept for account in accounts),
        rejected=dict(sorted(rejected.items())),
        examples=tuple(e for account in accounts for e in account.examples)[:_EXAMPLES],
    )


def read_lines(path: Path, separator: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """A text file without header as strings.

    Args:
        path: of a latin-1 or ASCII file.
        separator: between columns, of any length.
        columns: names; a row with another number of columns has nulls in all of them.

    Returns:
        Frame with `line` (from 1), `row` (the text) and the columns.
    """
    # latin-1 maps every byte to one character, so no row is lost to a decoding error.
    rows = path.read_bytes().decode("latin-1").replace("\r\n", "\n").split("\n")
    if rows and rows[-1] == "":
        rows.pop()
    parts = pl.col("row").str.split_exact(separator, len(columns))
    whole = (
        pl.col("part").struct.field(f"field_{len(columns) - 1}").is_not_null()
        & pl.col("part").struct.field(f"field_{len(columns)}").is_null()
    )
    return (
        pl.DataFrame({"row": rows}, schema={"row": pl.String})
        .with_row_index("line", offset=1)
        .with_columns(part=parts)
        .select(
            "line",
            "row",
            *(
                pl.when(whole).then(pl.col("part").struct.field(f"field_{i}")).alias(name)
                for i, name in enumerate(columns)
            ),
        )
    )


def account_for(
    frame: pl.DataFrame,
    file: str,
    rejections: dict[str, pl.Expr],
    strict: bool,
    unit: str = "line",
) -> tuple[pl.DataFrame, RowAccount]:
    """Split rows into kept and rejected.

    Args:
        frame: with `line` and `row`, see `read_lines`.
        file: name for messages.
        rejections: reason to expression that is true for a row to reject; the first that is true
            names the reason. An expression sees all rows, also those rejected before it.
        strict: raise at the first rejected row.
        unit: what a row is called in messages.

    Returns:
        The kept rows without `line` and `row`, and the account.

    Raises:
        DataError: a row is rejected and strict is set.
    """
    reason = pl.coalesce(
        pl.when(condition).then(pl.lit(name)) for name, condition in rejections.items()
    )
    marked = frame.with_columns(reason=reason)
    bad = marked.filter(pl.col("reason").is_not_null())
    examples = tuple(
        f"{file}, {unit} {line}: {why}: {row!r}"
        for line, row, why in bad.head(_EXAMPLES).select("line", "row", "reason").iter_rows()
    )
    if strict and examples:
        raise DataError(f"{examples[0]}. Mend the row, or set strict to false to reject and count.")
    counts = bad["reason"].value_counts().sort("reason")
    kept = marked.filter(pl.col("reason").is_null()).drop("line", "row", "reason")
    account = RowAccount(file, frame.height, kept.height, dict(counts.iter_rows()), examples)
    return kept, account
