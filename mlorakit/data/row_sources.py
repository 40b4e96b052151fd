"""The sources of multi-domain data sets: a description and a loader each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from mlorakit import paths
from mlorakit.data.amazon import SUFFIX, read_reviews, source_name
from mlorakit.data.dataset_specs import AmazonSpec, FileSpec, LogSpec, MovielensSpec, TaobaoSpec
from mlorakit.data.movielens import VALUE_NAMES, read_movielens
from mlorakit.data.own import label_of, labelled, read_table, several, single, split_of
from mlorakit.data.planted_log import LOG
from mlorakit.data.positives import with_negatives
from mlorakit.data.raw_rows import Coded, RawRows
from mlorakit.data.rows import DataError, RowAccount
from mlorakit.data.splits import stratified_split
from mlorakit.data.taobao import read_clicks
from mlorakit.data.truth import read_truth

Folders = Mapping[str, Path]
"""The folder of the raw files of each of a description's sources."""


def _movielens(spec: MovielensSpec, raw: Folders, strict: bool, seed: int) -> RawRows:
    """Ratings, of which those of 5 are positive."""
    folder = raw[spec.source]
    frame, accounts = read_movielens(folder, strict)
    if frame.is_empty():
        raise DataError(f"No row of {folder} is usable: {accounts[0].rejected}.")
    domain, label = Coded.of(frame[spec.domain]), frame["label"].to_numpy()
    return RawRows(
        domain=domain,
        fields={name: Coded.of(frame[name]) for name in spec.fields},
        label=label,
        split=stratified_split(domain.codes, label, seed),
        accounts=accounts,
        names=VALUE_NAMES.get(spec.domain, {}),
    )


def _amazon(spec: AmazonSpec, raw: Folders, strict: bool, seed: int) -> RawRows:
    """Reviews, all positive, and items that a user did not review."""
    if spec.categories:
        files = [raw[source_name(name)] / f"{name}{SUFFIX}" for name in spec.categories]
    else:
        files = sorted(raw[spec.source].glob(f"*{SUFFIX}"))
    accounts: list[RowAccount] = []

    def domains() -> Iterator[tuple[str, pl.DataFrame]]:
        for path in files:
            frame, account = read_reviews(path, strict)
            accounts.append(account)
            yield path.name.removesuffix(SUFFIX), frame

    rows = with_negatives(
        domains(), field=spec.domain, ctr_ratio=spec.ctr_ratio, by_time=False, seed=seed
    )
    return replace(rows, accounts=accounts, facts={**rows.facts, **_planted(raw, spec.source)})


def _taobao(spec: TaobaoSpec, raw: Folders, strict: bool, seed: int) -> RawRows:
    """Clicks of themes, and items of the theme that a user did not click."""
    by_time = spec.split == "time"
    count = None if spec.themes == "all" else spec.themes
    clicks = read_clicks(raw[spec.source], strict, themes=count, timed=by_time)
    rows = with_negatives(
        clicks.themes.items(),
        field=spec.domain,
        ctr_ratio=spec.ctr_ratio,
        by_time=by_time,
        seed=seed,
    )
    return replace(
        rows,
        accounts=clicks.accounts,
        vectors=clicks.vectors,
        facts={**rows.facts, "split": spec.split, **_planted(raw, spec.source)},
    )


def _planted(raw: Folders, source: str) -> dict[str, Any]:
    """The best AUC that any model can expect, of generated files."""
    truth = read_truth(raw[source]) if source in raw else {}
    return {"bayes_auc": truth["bayes_auc"]} if truth else {}


def _file(spec: FileSpec, raw: Folders, strict: bool, seed: int) -> RawRows:
    """A file of the reader's own."""
    rows = _table(spec, paths.root() / spec.path, strict, seed)
    return replace(rows, facts={"path": spec.path, "split": spec.split})


def _log(spec: LogSpec, raw: Folders, strict: bool, seed: int) -> RawRows:
    """A generated log, read as a file of the reader's own."""
    columns = FileSpec("file", LOG, "clicked", spec.domain, user="user", item="item")
    rows = _table(columns, raw[spec.source] / LOG, strict, seed)
    return replace(rows, facts=_planted(raw, spec.source))


def _table(spec: FileSpec, path: Path, strict: bool, seed: int) -> RawRows:
    """Rows of a CSV or parquet file, without facts."""
    part = spec.split_column if spec.split == "column" else None
    table = read_table(path, spec.columns)
    frame, account = labelled(table, path.name, spec.label, spec.domain, part, strict)
    if frame.is_empty():
        raise DataError(f"No row of {path} is usable: {account.rejected or 'it is empty'}.")
    domain, label = single(frame[spec.domain]), label_of(frame[spec.label])
    fields = {name: single(frame[column]) for name, column in spec.singles.items()}
    for column, most in spec.several.items():
        fields[column] = several(frame[column], spec.separator, most)
    return RawRows(
        domain=domain,
        fields=fields,
        label=label,
        split=split_of(frame, spec.split, spec.split_column, domain.codes, label, seed),
        accounts=[account],
    )


RowLoader = Callable[[Any, Folders, bool, int], RawRows]
"""From a description, the folders of its raw files, whether to stop at the first malformed row,
and the seed of the split and of whatever else is drawn."""

ROW_SOURCES: dict[str, tuple[type, RowLoader]] = {
    "movielens": (MovielensSpec, _movielens),
    "generated": (MovielensSpec, _movielens),
    "amazon": (AmazonSpec, _amazon),
    "generated_amazon": (AmazonSpec, _amazon),
    "taobao": (TaobaoSpec, _taobao),
    "generated_taobao": (TaobaoSpec, _taobao),
    "generated_log": (LogSpec, _log),
    "file": (FileSpec, _file),
}
"""What describes a data set under `datasets` in params.yaml, and what loads it, by `source`."""
