"""Raw files to a processed data set: parquet columns of ids, and one JSON that describes them."""

import json
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import BeforeValidator, ConfigDict
from pydantic.dataclasses import dataclass

from mlorakit.data.described import described
from mlorakit.data.movielens import COLUMNS, VALUE_NAMES, read_movielens
from mlorakit.data.rows import DataError
from mlorakit.data.spec import file_hash
from mlorakit.data.splits import SPLITS, stratified_split
from mlorakit.whole import whole_folder

_SOURCES = ("movielens", "generated")  # of MovieLens's format


def _names(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DatasetSpec:
    """A data set as params.yaml describes it.

    Args:
        source: of the raw files, `movielens` or `generated`.
        domain: the column whose values are the domains.
        fields: the categorical columns that a model sees; the domain is added if it is not there.
    """

    source: str
    domain: str
    fields: Annotated[tuple[str, ...], BeforeValidator(_names)]

    def __post_init__(self) -> None:
        for name in (self.domain, *self.fields):
            if name not in COLUMNS:
                raise ValueError(f"column {name!r} is not one of {', '.join(COLUMNS)}")
        if len(set(self.fields)) < len(self.fields):
            raise ValueError(f"fields {', '.join(self.fields)} name a column twice")
        if self.source not in _SOURCES:
            raise ValueError(f"source {self.source!r} is not one of {', '.join(_SOURCES)}")
        if self.domain not in self.fields:
            object.__setattr__(self, "fields", (*self.fields, self.domain))


def dataset_spec(name: str) -> DatasetSpec:
    """The description of a data set in params.yaml.

    Raises:
        DataError: it is not there, or not understood.
    """
    return described(DatasetSpec, "datasets", name)


def preprocess(name: str, raw: Path, into: Path, *, strict: bool, split_seed: int) -> dict:
    """Write a processed data set.

    `into` gets train.parquet, validation.parquet and test.parquet (an Int32 column per field,
    `domain`, `label`), a parquet table of values per field, domains.parquet, and dataset.json.
    Ids are fitted on train: a field's train values, sorted, get ids from 1; any other value is 0.

    Args:
        name: under `datasets` in params.yaml.
        raw: folder of the raw files.
        into: folder to write; replaced as a whole, only once everything is written.
        strict: stop at the first malformed row.
        split_seed: of the split.

    Returns:
        The content of dataset.json.

    Raises:
        DataError: unusable raw data.
    """
    spec = dataset_spec(name)
    frame, accounts = read_movielens(raw, strict)
    if frame.is_empty():
        raise DataError(f"No row of {raw} is usable: {accounts[0].rejected}.")
    values = _sorted_values(frame[spec.domain])
    domain = frame[spec.domain].replace_strict(
        values, list(range(len(values))), return_dtype=pl.Int32
    )
    split = stratified_split(domain.to_numpy(), frame["label"].to_numpy(), split_seed)
    frame = frame.with_columns(domain=domain, split=pl.Series(split))

    with whole_folder(into) as folder:
        fields = []
        for field in spec.fields:
            known = _sorted_values(frame.filter(pl.col("split") == 0)[field])
            ids = list(range(1, len(known) + 1))
            pl.DataFrame({"id": pl.Series(ids, dtype=pl.Int32), field: known}).write_parquet(
                folder / f"values_{field}.parquet"
            )
            column = frame[field].replace_strict(known, ids, default=0, return_dtype=pl.Int32)
            frame = frame.with_columns(column.alias(f"id_{field}"))
            fields.append(
                {"name": field, "size": len(known) + 1, "distinct": frame[field].n_unique()}
            )
        ids_frame = frame.select(
            *(pl.col(f"id_{field}").alias(field) for field in spec.fields),
            "domain",
            "label",
            "split",
        )
        for number, part in enumerate(SPLITS):
            rows = ids_frame.filter(pl.col("split") == number).drop("split")
            rows.write_parquet(folder / f"{part}.parquet")
        domains = _domain_table(frame, spec.domain, values)
        domains.write_parquet(folder / "domains.parquet")
        description = {
            "name": name,
            "source": spec.source,
            "domain": spec.domain,
            "fields": fields,
            "domains": domains.to_dicts(),
            "rows": [account.counts() for account in accounts],
            "split_seed": split_seed,
            "files": {p.name: file_hash(p) for p in sorted(folder.iterdir())},
        }
        (folder / "dataset.json").write_text(json.dumps(description, indent=1) + "\n")
    return description | {"examples": [e for account in accounts for e in account.examples]}


def _sorted_values(column: pl.Series) -> list[str]:
    """Distinct values: whole numbers by size, anything else by code point."""
    values = column.unique().alias("value").to_frame()
    whole = values["value"].str.contains(r"^\d{1,18}$").all()
    by_size = [pl.col("value").cast(pl.Int64)] if whole else []
    return values.sort(*by_size, "value")["value"].to_list()


def _domain_table(frame: pl.DataFrame, column: str, values: list[str]) -> pl.DataFrame:
    """A row per domain: id, value, name, and rows and positives per split."""
    names = VALUE_NAMES.get(column, {})
    counts = [
        expression.alias(f"{kind}_{part}")
        for number, part in enumerate(SPLITS)
        for kind, expression in (
            ("rows", (pl.col("split") == number).sum()),
            ("positives", ((pl.col("split") == number) & (pl.col("label") == 1)).sum()),
        )
    ]
    return (
        pl.DataFrame(
            {
                "id": pl.Series(range(len(values)), dtype=pl.Int32),
                "value": values,
                "name": [names.get(value, value) for value in values],
            }
        )
        .join(frame.group_by("domain").agg(counts), left_on="id", right_on="domain", how="left")
        .sort("id")
    )
