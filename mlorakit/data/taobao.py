"""Taobao's theme clicks (Cloud Theme Click Dataset, Tianchi 9716) with its 128-number vectors."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlorakit.data.rows import DataError, RowAccount, account_for, read_lines

CLICKS = "theme_click_log.csv"
VECTORS = {"user": "user_embedding.csv", "item": "item_embedding.csv"}
FILES = (CLICKS, *VECTORS.values())
"""The files of the data set that are read; it has two more."""

VECTOR_SIZE = 128
_SLICE = 20_000  # vectors that are parsed at once
_KEYS = {"user_id": "user", "item_id": "item", "theme_id": "theme", "reach_time": "time"}
_WHOLE = r"^\d{1,18}$"


@dataclass(frozen=True)
class Clicks:
    """Clicks on themes.

    Args:
        themes: theme to the frame of its clicks, `user` and `item` (String, every pair once) and,
            if asked for, `time` (Int64); in the order in which the log names the themes first.
        vectors: `user` and `item` to a frame of `value` and `vector` (array of `VECTOR_SIZE`
            float32), of those that the clicks name.
        accounts: of the rows of each file.
    """

    themes: dict[str, pl.DataFrame]
    vectors: dict[str, pl.DataFrame]
    accounts: list[RowAccount]


def read_clicks(folder: Path, strict: bool, *, themes: int | None, timed: bool) -> Clicks:
    """The clicks of the first themes, where both user and item have a vector.

    Themes count in the order in which the log names them, whether the rows have vectors or not; as
    in MAMDR's data, one that is left without a row does not count.

    Args:
        folder: holds `FILES`.
        strict: stop at the first malformed row. A row without vectors is none, nor is a repeated
            click: they are counted.
        themes: how many to take; None for all.
        timed: whether `reach_time` is needed.

    Returns:
        See `Clicks`.

    Raises:
        DataError: a file is not there or lacks a column; a malformed row, if strict; or there are
            fewer themes than asked for.
    """
    clicks, account = _read_log(folder / CLICKS, strict, timed)
    vectors, accounts = {}, []
    for column, name in VECTORS.items():
        vectors[column], of_file = _read_vectors(folder / name, clicks[column].unique(), strict)
        accounts.append(of_file)
        with_vectors = clicks.join(
            vectors[column], left_on=column, right_on="value", how="semi", maintain_order="left"
        )
        account = account.but(f"{column} has no vector", clicks.height - with_vectors.height)
        clicks = with_vectors
    once = clicks.unique(("theme", "user", "item"), keep="first", maintain_order=True)
    account = account.but("user clicked the item in the theme before", clicks.height - once.height)
    clicks = once.sort("seen", maintain_order=True)
    found = clicks["theme"].unique(maintain_order=True).to_list()
    if not found or len(found) < (themes or 1):
        raise DataError(
            f"{folder / CLICKS} has {len(found)} themes with a click whose user and item have "
            f"vectors, and {themes or 'at least 1'} are asked for; rejected: {account.rejected}."
        )
    by_theme = clicks.drop("seen").partition_by(
        "theme", maintain_order=True, as_dict=True, include_key=False
    )
    chosen = {name: by_theme[(name,)] for name in found[:themes]}
    return Clicks(chosen, vectors, [account, *accounts])


def _read_log(path: Path, strict: bool, timed: bool) -> tuple[pl.DataFrame, RowAccount]:
    """Clicks as `theme`, `user`, `item`, `time`, and `seen`, the row that names the theme first."""
    _there(path)
    with path.open(encoding="latin-1") as stream:
        header = tuple(stream.readline().strip().split(","))
    needed = [key for key in _KEYS if timed or key != "reach_time"]
    if lacking := [key for key in needed if key not in header]:
        raise DataError(f"{path} has no column {', '.join(lacking)}; its header names {header}.")
    frame = read_lines(path, ",", header).slice(1)
    rejections = {f"not {len(header)} columns separated by ','": pl.col(header[0]).is_null()}
    rejections |= {f"{key} is empty": pl.col(key) == "" for key in needed if key != "reach_time"}
    if timed:
        rejections["reach_time is not a whole number"] = ~pl.col("reach_time").str.contains(_WHOLE)
    kept, account = account_for(frame, path.name, rejections, strict)
    kept = kept.select(pl.col(key).alias(_KEYS[key]) for key in needed)
    if timed:
        kept = kept.with_columns(pl.col("time").cast(pl.Int64))
    kept = kept.with_row_index("seen").with_columns(pl.col("seen").min().over("theme"))
    return kept, account


def _read_vectors(path: Path, wanted: pl.Series, strict: bool) -> tuple[pl.DataFrame, RowAccount]:
    """The vectors of the ids wanted; a file of millions is scanned, and the others' are dropped."""
    _there(path)
    scan = pl.scan_csv(path, infer_schema=False, row_index_name="line", row_index_offset=2)
    try:
        names = scan.collect_schema().names()
        if len(names) < 3:
            raise DataError(f"{path} has not the two columns of an id and a vector.")
        frame = (
            scan.select("line", value=pl.col(names[1]), row=pl.col(names[2]))
            .filter(pl.col("value").is_in(wanted.implode()))
            .collect(engine="streaming")
        )
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as a CSV file: {reason}.") from None
    parts = pl.col("row").str.strip_chars().str.split(" ")
    numbers = parts.cast(pl.List(pl.Float32), strict=False)
    slices = [  # texts of numbers take many times the memory of the numbers
        frame.slice(start, _SLICE).select(
            "line",
            "value",
            pl.col("row").str.slice(0, 80),
            whole=(parts.list.len() == VECTOR_SIZE).fill_null(False),
            vector=numbers.list.eval(pl.element().filter(pl.element().is_finite())),
        )
        for start in range(0, max(1, frame.height), _SLICE)
    ]
    whole = pl.col("whole") & (pl.col("vector").list.len() == VECTOR_SIZE).fill_null(False)
    kept, account = account_for(
        pl.concat(slices),
        path.name,
        {
            f"vector is not {VECTOR_SIZE} numbers separated by spaces": ~whole,
            "id occurred before": ~pl.col("value").is_first_distinct(),
        },
        strict,
    )
    return kept.select("value", pl.col("vector").list.to_array(VECTOR_SIZE)), account


def _there(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path} is not there; see `python -m mlorakit.data fetch taobao`.")
