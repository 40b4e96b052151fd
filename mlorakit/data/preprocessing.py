"""Raw files to a processed data set: parquet columns of ids, and one JSON that describes them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlorakit.data.dataset_specs import DatasetSpec
from mlorakit.data.described import described
from mlorakit.data.raw_rows import Coded, RawRows, sorted_values, to_codes
from mlorakit.data.row_sources import ROW_SOURCES, Folders
from mlorakit.data.rows import DataError
from mlorakit.data.spec import file_hash
from mlorakit.data.splits import SPLITS
from mlorakit.progress import progress
from mlorakit.whole import whole_folder


def dataset_spec(name: str) -> DatasetSpec:
    """The description of a data set in params.yaml.

    Raises:
        DataError: it is not there, or not understood.
    """
    section: dict[str, Any] = described(dict[str, Any], "datasets", name)
    source = section.get("source")
    if source not in ROW_SOURCES:
        raise DataError(
            f"params.yaml, datasets.{name}: source {source!r} is not one of "
            f"{', '.join(ROW_SOURCES)}."
        )
    return described(ROW_SOURCES[source][0], "datasets", name)


def preprocess(name: str, raw: Folders, into: Path, *, strict: bool, split_seed: int) -> dict:
    """Read the raw files of a data set and write it, see `write_dataset`.

    Args:
        name: under `datasets` in params.yaml.
        raw: folders of the raw files.
        into: folder to write; replaced as a whole, only once everything is written.
        strict: stop at the first malformed row.
        split_seed: of the split, and of negatives where they are drawn.

    Returns:
        The content of dataset.json, and `examples` of rejected rows.

    Raises:
        DataError: unusable raw data.
    """
    spec = dataset_spec(name)
    rows: RawRows = ROW_SOURCES[spec.source][1](spec, raw, strict, split_seed)
    known = {"name": name, "source": spec.source, "domain": spec.domain}
    content = write_dataset(rows, into, known, split_seed)
    return content | {"examples": [e for account in rows.accounts for e in account.examples]}


def write_dataset(rows: RawRows, into: Path, known: dict[str, str], split_seed: int) -> dict:
    """Write a processed data set.

    `into` gets train.parquet, validation.parquet and test.parquet (an Int32 column per field,
    `domain`, `label`), a parquet table of values per field, domains.parquet, and dataset.json.
    Ids are fitted on train: a field's train values, sorted, get ids from 1; any other value is 0.

    A field of up to W values per row becomes the columns `field_1` to `field_W`, whose ids are of
    one table of values; 0 stands where a row has fewer. A field whose values have vectors given
    from outside gets ids for all of them, as nothing about them is fitted, and
    `vectors_<field>.parquet` with the vector of each id.

    Args:
        rows: of all splits.
        into: folder to write; replaced as a whole, only once everything is written.
        known: name, source and domain of the data set.
        split_seed: what the rows were split with.

    Returns:
        The content of dataset.json.
    """
    with whole_folder(into) as folder:
        fields, ids = [], {}
        for field, coded in rows.fields.items():
            known_values = _write_values(rows, field, folder)
            size = {"size": len(known_values) + 1, "distinct": coded.distinct()}
            for column, codes in _columns(field, coded.codes):
                ids[column] = codes, _id_of_code(coded.values, known_values)
                table = {} if column == field else {"table": field}
                fields.append({"name": column, **size, **table})
        parts = progress(SPLITS, description=f"writing {into.name}", unit="splits")
        for number, part in enumerate(parts):
            chosen = np.flatnonzero(rows.split == number)
            pl.DataFrame(
                {column: of_code[codes[chosen]] for column, (codes, of_code) in ids.items()}
                | {"domain": rows.domain.codes[chosen], "label": rows.label[chosen]}
            ).write_parquet(folder / f"{part}.parquet")
        domains = _domain_table(rows)
        domains.write_parquet(folder / "domains.parquet")
        content = {
            **known,
            "fields": fields,
            "domains": domains.to_dicts(),
            "rows": [account.counts() for account in rows.accounts],
            "split_seed": split_seed,
            **rows.facts,
            "files": {p.name: file_hash(p) for p in sorted(folder.iterdir())},
        }
        (folder / "dataset.json").write_text(json.dumps(content, indent=1) + "\n")
    return content


def _write_values(rows: RawRows, field: str, folder: Path) -> pl.Series:
    """Write a field's values with their ids from 1, and the vectors given of them; return them."""
    coded, vectors = rows.fields[field], rows.vectors.get(field)
    known = _occurring(coded, rows.split == 0) if vectors is None else coded.values
    table = pl.DataFrame(
        [pl.Series("id", range(1, len(known) + 1), dtype=pl.Int32), known.alias(field)]
    )
    table.write_parquet(folder / f"values_{field}.parquet")
    if vectors is not None:
        of_ids = table.join(vectors, left_on=field, right_on="value", maintain_order="left")
        of_ids.select("id", "vector").write_parquet(folder / f"vectors_{field}.parquet")
    return known


def _occurring(coded: Coded, where: NDArray[np.bool_]) -> pl.Series:
    """The values of a column that some of its rows have, sorted among themselves."""
    codes = coded.codes[where]
    occurs = np.zeros(len(coded.values) + 1, dtype=bool)
    occurs[codes.ravel()] = True  # the code -1, no value, is the last place
    return sorted_values(coded.values.filter(pl.Series(occurs[:-1])))


def _id_of_code(values: pl.Series, known: pl.Series) -> NDArray[np.int32]:
    """The id of each of a column's codes, the last one being that of the code -1."""
    return np.append(to_codes(values, known) + 1, 0).astype(np.int32)


def _columns(field: str, codes: NDArray[np.int32]) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """A field's columns and their codes."""
    if codes.ndim == 1:
        yield field, codes
        return
    for place in range(codes.shape[1]):
        yield f"{field}_{place + 1}", codes[:, place]


def _domain_table(rows: RawRows) -> pl.DataFrame:
    """A row per domain: id, value, name, and rows and positives per split."""
    values = rows.domain.values.to_list()
    counts = {}
    for number, part in enumerate(SPLITS):
        inside = rows.split == number
        for kind, chosen in (("rows", inside), ("positives", inside & (rows.label == 1))):
            of_domain = np.bincount(rows.domain.codes[chosen], minlength=len(values))
            counts[f"{kind}_{part}"] = of_domain.astype(np.uint32)
    return pl.DataFrame(
        {
            "id": pl.Series(range(len(values)), dtype=pl.Int32),
            "value": values,
            "name": [rows.names.get(value, value) for value in values],
        }
        | counts
    )
