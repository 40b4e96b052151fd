"""A frame of two tasks' rows to a processed data set: parquet columns of ids, and one JSON."""

import json
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl

from mlorakit.data.rows import RowAccount
from mlorakit.data.spec import file_hash
from mlorakit.data.splits import SPLITS
from mlorakit.data.tasks import PADDING
from mlorakit.whole import whole_folder

MISSING, UNKNOWN = 0, 1
"""Ids of a value that is not there, and of one that no training row has."""

LOGGED = {"position": pl.Float64, "logged_ctr": pl.Float64}
"""Columns that no model sees and a floor may be computed from, where a source has them."""


def write_tasks(
    frame: pl.DataFrame,
    into: Path,
    *,
    description: dict,
    tables: dict[str, str],
    accounts: list[RowAccount],
    buckets: dict[str, int] | None = None,
) -> dict:
    """Write a processed data set of two tasks.

    `into` gets a parquet file per split, a parquet table of values per embedding table, and
    dataset.json. Ids are fitted on train: a table's values, sorted, get ids from 2; a value that no
    training row has is 1, a missing one 0. In a table of n buckets a value's id is 1 plus
    `bucket(value, n)` instead, whether a training row has it or not.

    Args:
        frame: a String column per single-valued field and a List(String) column per multi-valued
            one, null or an empty list where the value is missing; `click` (0 or 1), `conversion` in
            [0, 1], `converts` (Boolean), `cluster` (Int64) and `split` (0, 1, 2). Columns of
            `LOGGED` may be there too; other columns are left out.
        into: folder to write; replaced as a whole, only once everything is written.
        description: what dataset.json says beside fields, tables and rows; has `name` and
            `binary`.
        tables: embedding table of each field, in the order of the fields.
        accounts: of the raw rows.
        buckets: number of hash buckets of each table; if empty, tables hold what occurs.

    Returns:
        The content of dataset.json.
    """
    buckets = buckets or {}
    with whole_folder(into) as folder:
        ids, sizes, absent = {}, {}, {}
        for table in dict.fromkeys(tables.values()):
            fields = [field for field, of in tables.items() if of == table]
            if buckets:
                values = _hashed(frame, fields, buckets[table])
                sizes[table] = buckets[table] + 1
            else:
                values = _known(frame, fields)
                sizes[table] = values.height + 2
            values.write_parquet(folder / f"values_{table}.parquet")
            for field in fields:
                ids[field] = _to_ids(frame[field], values)
                absent[field] = _absent(ids[field], hashed=bool(buckets))
        widths = {f: _width(ids[f]) for f in tables}
        columns = [
            _padded(ids[f], widths[f]) if isinstance(ids[f].dtype, pl.List) else ids[f]
            for f in tables
        ]
        logged = [pl.col(name).cast(kind) for name, kind in LOGGED.items() if name in frame.columns]
        rest = frame.select("click", "conversion", "converts", "cluster", "split", *logged)
        whole = pl.DataFrame(columns).hstack(rest)
        counts = {}
        for number, part in enumerate(SPLITS):
            rows = whole.filter(pl.col("split") == number).drop("split")
            rows.write_parquet(folder / f"{part}.parquet")
            counts[part] = {
                "rows": rows.height,
                "clicks": int(rows["click"].sum()),
                "converting_rows": int(rows["converts"].sum()),
                "clusters": rows["cluster"].n_unique(),
            }
        content = description | {
            "fields": [
                {"name": field, "table": table, "columns": widths[field]}
                for field, table in tables.items()
            ],
            "tables": sizes,
            "missing_and_unknown": absent,
            "splits": counts,
            "rows": [account.counts() for account in accounts],
            "files": {p.name: file_hash(p) for p in sorted(folder.iterdir())},
        }
        (folder / "dataset.json").write_text(json.dumps(content, indent=1) + "\n")
    return content


def _values(column: pl.Series) -> pl.Series:
    """All values of a column, those of lists one by one."""
    return column.explode() if isinstance(column.dtype, pl.List) else column


def bucket(value: str, n: int) -> int:
    """A value's bucket among n: its BLAKE2b digest of 8 bytes, as a little-endian number, mod n.

    The same in every process and on every machine. The released code takes TensorFlow's hash of
    strings, so other values share a bucket there.
    """
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "little") % n


def _distinct(frame: pl.DataFrame, fields: list[str]) -> pl.Series:
    """The values of fields that share a table, sorted."""
    values = pl.concat([_values(frame[field]).rename("value") for field in fields])
    return values.drop_nulls().unique().sort()


def _known(frame: pl.DataFrame, fields: list[str]) -> pl.DataFrame:
    """A table's values on train, sorted, with their ids."""
    values = _distinct(frame.filter(pl.col("split") == 0), fields)
    ids = pl.Series("id", range(2, len(values) + 2), dtype=pl.Int32)
    return pl.DataFrame([ids, values])


def _hashed(frame: pl.DataFrame, fields: list[str], n: int) -> pl.DataFrame:
    """All of a table's values, sorted, with the ids of their buckets."""
    values = _distinct(frame, fields)
    ids = pl.Series("id", [1 + bucket(value, n) for value in values], dtype=pl.Int32)
    return pl.DataFrame([ids, values])


def _to_ids(column: pl.Series, values: pl.DataFrame) -> pl.Series:
    """Ids in place of values, Int32 or List(Int32); an empty list holds the missing value."""
    if isinstance(column.dtype, pl.List):
        nothing = pl.lit([None], dtype=column.dtype)
        empty = column.list.len().fill_null(0) == 0
        column = pl.select(
            pl.when(empty).then(nothing).otherwise(column).alias(column.name)
        ).to_series()
    flat = _values(column)
    if values.is_empty():
        known = pl.repeat(None, len(flat), dtype=pl.Int32, eager=True)
    else:
        known = flat.replace_strict(
            values["value"], values["id"], default=None, return_dtype=pl.Int32
        )
    ids = pl.select(
        pl.when(flat.is_null())
        .then(MISSING)
        .otherwise(known.fill_null(UNKNOWN))
        .cast(pl.Int32)
        .alias(column.name)
    ).to_series()
    if not isinstance(column.dtype, pl.List):
        return ids
    row = pl.Series("row", np.repeat(np.arange(len(column)), column.list.len()))
    return (
        pl.DataFrame([row, ids])
        .group_by("row", maintain_order=True)
        .agg(pl.col(column.name))[column.name]
    )


def _absent(ids: pl.Series, hashed: bool) -> dict[str, int]:
    """How many values are missing, and how many unknown; with hashing, none is unknown."""
    flat = _values(ids)
    unknown = 0 if hashed else int((flat == UNKNOWN).sum())
    return {"missing": int((flat == MISSING).sum()), "unknown": unknown}


def _width(ids: pl.Series) -> int:
    """Columns that a field needs."""
    return max(ids.list.len().to_list(), default=1) if isinstance(ids.dtype, pl.List) else 1


def _padded(ids: pl.Series, width: int) -> pl.Series:
    """Lists filled up to one length; plain ids where one column is enough."""
    if width == 1:
        return ids.list.first()
    padded = np.full((len(ids), width), PADDING, dtype=np.int32)
    padded[np.arange(width) < ids.list.len().to_numpy()[:, None]] = ids.explode().to_numpy()
    return pl.Series(ids.name, padded).arr.to_list()
