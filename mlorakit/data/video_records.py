"""LT4REC's video logs: TFRecord files to rows of two tasks, click and share watched."""

from pathlib import Path

import polars as pl

from mlorakit.data.described import described
from mlorakit.data.example import DTYPES, Feature, Kind
from mlorakit.data.rows import DataError, RowAccount, account_for
from mlorakit.data.tfrecord import read_tfrecord
from mlorakit.data.video_fields import (
    CLICK,
    FIELDS,
    LOGGED_CTR,
    MISSING_VALUE,
    POSITION,
    SESSION,
    WATCHED,
)

_NEEDED = (*FIELDS, SESSION, CLICK, WATCHED)


def video_schema() -> list[Feature]:
    """The features of the files, `tfrecord_schema` in params.yaml.

    Raises:
        DataError: it is not understood, or lacks a feature that is needed.
    """
    kinds: dict[str, Kind] = described(dict[str, Kind], "tfrecord_schema")
    lacking = [name for name in _NEEDED if name not in kinds]
    if lacking:
        raise DataError(
            f"params.yaml, tfrecord_schema: {', '.join(lacking)} is missing; "
            f"give the kind of each of {', '.join(_NEEDED)}."
        )
    return [Feature(name, kind) for name, kind in kinds.items()]


def read_video_logs(
    folder: Path, schema: list[Feature], strict: bool
) -> tuple[pl.DataFrame, list[RowAccount]]:
    """The records of a folder's part files.

    Args:
        folder: holds files named part-*, plain or gzip; read in the order of their names.
        schema: features to read, see `video_schema`.
        strict: stop at the first record that cannot be used.

    Returns:
        Frame with the columns `FIELDS`, String or List(String), null or an empty list where the
        value is missing; `click`, `conversion` (the share watched, at most 1), `converts` (a share
        above 0), `cluster` (the session's number, from 0 in the order of the files), `position` and
        `logged_ctr` (null where missing or no number); and an account of the records of each file.

    Raises:
        DataError: there is no file, a file is damaged or not of the schema, or, if strict, a record
            cannot be used.
    """
    files = sorted(path for path in folder.glob("part-*") if path.is_file())
    if not files:
        raise DataError(f"{folder} holds no TFRecord file; its files are named part-*.")
    parts = [_read_part(path, schema, strict) for path in files]
    frame = pl.concat([frame for frame, _ in parts])
    numbers = frame.select(pl.col("session").unique(maintain_order=True)).with_row_index("cluster")
    return frame.join(numbers, on="session", how="left", maintain_order="left").with_columns(
        pl.col("cluster").cast(pl.Int64)
    ).drop("session"), [account for _, account in parts]


def _read_part(path: Path, schema: list[Feature], strict: bool) -> tuple[pl.DataFrame, RowAccount]:
    frame, _ = read_tfrecord(path, schema)
    # Numbers as text too: a field's values are categories, whatever their kind.
    texts = frame.with_columns(pl.all().cast(DTYPES["bytes"]))
    click, watched = _number(CLICK, pl.Int64), _number(WATCHED, pl.Float64)
    session = _only(SESSION)
    kept, account = account_for(
        texts.with_row_index("line", offset=1).with_columns(
            row=pl.format(
                f"{SESSION} {{}}, {CLICK} {{}}, {WATCHED} {{}}",
                *(pl.col(name).list.join(" ") for name in (SESSION, CLICK, WATCHED)),
            )
        ),
        path.name,
        {
            **{
                f"{name} has not exactly one value": pl.col(name).list.len() != 1
                for name, field in FIELDS.items()
                if not field.several
            },
            f"{SESSION} is missing": session.is_null() | (session == MISSING_VALUE),
            f"{CLICK} is not 0 or 1": ~click.is_in([0, 1]).fill_null(value=False),
            f"{WATCHED} is not one number from 0": ~(watched >= 0).fill_null(value=False)
            | watched.is_nan(),
            f"{WATCHED} is above 0 and {CLICK} is 0": (watched > 0) & (click == 0),
        },
        strict,
        unit="record",
    )
    logged = _number(LOGGED_CTR, pl.Float64) if LOGGED_CTR in kept.columns else pl.lit(None)
    return kept.select(
        *(
            _present(name) if field.several else _present(name).list.first().alias(name)
            for name, field in FIELDS.items()
        ),
        click=click.cast(pl.UInt8),
        conversion=watched.clip(upper_bound=1).cast(pl.Float32),
        converts=watched > 0,
        session=session,
        position=_known(_number(POSITION, pl.Float64)),
        logged_ctr=_known(logged),
    ), account


def _only(name: str) -> pl.Expr:
    """A feature's value, null where it has none or several."""
    values = pl.col(name)
    return pl.when(values.list.len() == 1).then(values.list.first())


def _number(name: str, kind: pl.DataType | type[pl.DataType]) -> pl.Expr:
    """A feature's value as a number, null where that cannot be."""
    return _only(name).cast(kind, strict=False)


def _present(name: str) -> pl.Expr:
    """A feature's values without those that say that one is missing."""
    return pl.col(name).list.eval(pl.element().filter(pl.element() != MISSING_VALUE))


def _known(number: pl.Expr) -> pl.Expr:
    """Null for the number that stands for a missing one, and for those that are none."""
    return pl.when(number.is_finite() & (number != float(MISSING_VALUE))).then(number)
