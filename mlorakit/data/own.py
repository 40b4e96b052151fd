"""A reader's own data: a CSV or parquet file with any columns, described in params.yaml."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlorakit.data.raw_rows import Coded, sorted_values, to_codes
from mlorakit.data.rows import DataError, RowAccount, account_for
from mlorakit.data.splits import SPLITS, split_by_time, stratified_split

SplitBy = Literal["random", "column", "time"]

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


def read_table(path: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    """Some columns of a CSV or parquet file, with `line`, the number of the row from 1.

    Raises:
        DataError: the file is not there, is of another kind, cannot be read, or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there; put the file there, or mend `path` in params.yaml.")
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise DataError(f"{path} is neither a .csv nor a .parquet file; convert it to one of them.")
    try:
        scan = pl.scan_csv(path, infer_schema=False) if suffix == ".csv" else pl.scan_parquet(path)
        names = scan.collect_schema().names()
        if lacking := [column for column in columns if column not in names]:
            raise DataError(
                f"{path} has no column {', '.join(lacking)}; its columns are {', '.join(names)}."
            )
        return scan.select(columns).collect(engine="streaming").with_row_index("line", offset=1)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as a {suffix} file: {reason}.") from None


def labelled(
    frame: pl.DataFrame, file: str, label: str, domain: str, part: str | None, strict: bool
) -> tuple[pl.DataFrame, RowAccount]:
    """The rows with a label, a domain and, if a column says it, a split.

    Args:
        frame: see `read_table`.
        file: its name, for messages.
        label: column of 0 and 1, or false and true.
        domain: column of the domains.
        part: column of `train`, `validation` and `test`, or None.
        strict: stop at the first row that lacks one of them.

    Raises:
        DataError: such a row, if strict.
    """
    said = _text(label).str.to_lowercase()
    rejections = {
        f"{label} is not 0 or 1": ~said.is_in(list(_LABELS)).fill_null(False),
        f"{domain} is empty": (_text(domain) == "").fill_null(True),
    }
    if part is not None:
        names = f"{part} is not one of {', '.join(SPLITS)}"
        rejections[names] = ~_text(part).is_in(list(SPLITS)).fill_null(False)
    row = pl.concat_str(
        [_text(c).fill_null("") for c in (label, domain) + ((part,) if part else ())], separator=","
    )
    return account_for(frame.with_columns(row=row), file, rejections, strict, unit="row")


def label_of(column: pl.Series) -> NDArray[np.uint8]:
    """0 and 1 of a column that `labelled` has checked."""
    text = column.cast(pl.String).str.to_lowercase()
    return text.replace_strict(_LABELS, return_dtype=pl.UInt8).to_numpy()


def single(column: pl.Series) -> Coded:
    """A column of one value per row, of any type; an empty text is a missing value."""
    text = column.cast(pl.String)
    return Coded.of(text.set(text == "", None))


def several(column: pl.Series, separator: str, most: int) -> Coded:
    """A column of several values per row, of which the first `most` different ones count.

    Args:
        column: of lists, or of texts that `separator` divides.
        separator: between values.
        most: W.
    """
    if not isinstance(column.dtype, pl.List):
        column = column.cast(pl.String).str.split(separator)
    lists = pl.select(
        column.cast(pl.List(pl.String))
        .list.eval(pl.element().filter(pl.element().str.strip_chars() != "").str.strip_chars())
        .list.unique(maintain_order=True)
        .list.head(most)
    ).to_series()
    flat = lists.drop_nulls().explode().drop_nulls()
    values = sorted_values(flat)
    count = lists.list.len().fill_null(0).to_numpy()
    codes = np.full((len(column), most), -1, dtype=np.int32)
    codes[np.arange(most) < count[:, None]] = to_codes(flat, values)
    return Coded(codes, values)


def split_of(
    frame: pl.DataFrame,
    by: SplitBy,
    column: str | None,
    domain: NDArray[np.int32],
    label: NDArray[np.uint8],
    seed: int,
) -> NDArray[np.int8]:
    """Train 0, validation 1, test 2 for each row.

    Args:
        frame: the rows.
        by: `random` in every domain and label; `column`, as a column says; `time`, the earliest
            three fifths of a domain for training.
        column: of the splits or times.
        domain: of shape (N,).
        label: of shape (N,).
        seed: of the random split.

    Raises:
        DataError: a time is missing.
    """
    if by == "random":
        return stratified_split(domain, label, seed)
    assert column is not None
    if by == "column":
        parts = {name: number for number, name in enumerate(SPLITS)}
        return frame[column].cast(pl.String).replace_strict(parts, return_dtype=pl.Int8).to_numpy()
    time = frame[column]
    if time.dtype == pl.String:
        number = time.cast(pl.Float64, strict=False)
        time = time.set(time == "", None) if number.null_count() else number
    if time.null_count():
        raise DataError(f"Column {column} has {time.null_count()} rows without a time.")
    return split_by_time(domain, time.rank("dense").to_numpy())


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String)
