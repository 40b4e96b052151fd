"""A processed data set as tensors."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from mlorakit.data.dataset import MultiDomainData, describe, load_dataset
from mlorakit.data.prepare import prepare_dataset
from mlorakit.data.rows import DataError
from mlorakit.data.splits import SPLITS


@pytest.fixture
def folder(prepared: Path) -> Path:
    return prepared / "data" / "processed" / "generated"


def test_the_description_gives_names_and_sizes(folder: Path, tiny_data: MultiDomainData) -> None:
    described, fingerprint = describe(folder)
    assert tiny_data.name == "generated"
    assert tiny_data.domains == ("female", "male")
    assert tiny_data.n_domains == 2
    assert tiny_data.field_sizes == tuple(field["size"] for field in described["fields"])
    expected = hashlib.sha256((folder / "dataset.json").read_bytes()).hexdigest()
    assert tiny_data.fingerprint == fingerprint == expected


@pytest.mark.parametrize("part", SPLITS)
def test_rows_are_those_of_the_file_sorted_by_domain(
    folder: Path, tiny_data: MultiDomainData, part: str
) -> None:
    rows = getattr(tiny_data, part)
    stored = pl.read_parquet(folder / f"{part}.parquet")
    order = sorted(range(stored.height), key=lambda i: stored["domain"][i])  # stable
    stored = stored[order]
    assert len(rows) == stored.height
    assert rows.ids.tolist() == [list(r) for r in stored.select("user", "movie", "gender").rows()]
    assert rows.label.tolist() == stored["label"].to_list()
    assert rows.groups.domain.tolist() == stored["domain"].to_list()
    first = int((rows.groups.domain == 0).sum())
    assert rows.groups.ends.tolist() == [first, stored.height]


def test_types_are_those_that_models_take(tiny_data: MultiDomainData) -> None:
    for part in SPLITS:
        rows = getattr(tiny_data, part)
        assert (rows.ids.dtype, rows.label.dtype) == (torch.int32, torch.float32)
        assert (rows.groups.domain.dtype, rows.groups.ends.dtype) == (torch.int64, torch.int64)


def test_ids_lie_within_their_fields(tiny_data: MultiDomainData) -> None:
    for part in SPLITS:
        ids = getattr(tiny_data, part).ids
        assert (ids >= 0).all()
        assert (ids < torch.tensor(tiny_data.field_sizes)).all()


def test_the_data_move_to_a_device_as_a_whole(tiny_data: MultiDomainData) -> None:
    moved = tiny_data.to(torch.device("meta"))
    for part in SPLITS:
        rows = getattr(moved, part)
        tensors = (rows.ids, rows.label, rows.groups.domain, rows.groups.ends)
        assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.fingerprint == tiny_data.fingerprint


def test_a_folder_without_a_data_set_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"generated holds no processed data set; run .* generated"):
        load_dataset(tmp_path / "generated")


def test_given_vectors_stand_by_the_place_of_their_field(
    set_params: Callable[..., None],
) -> None:
    set_params(datasets={"mine": {"source": "generated_taobao", "themes": 2}})
    prepare_dataset("mine", strict=True)
    folder = Path("data/processed/mine")
    data = load_dataset(folder)
    assert [field["name"] for field in describe(folder)[0]["fields"]] == ["user", "item", "theme"]
    assert sorted(data.vectors) == [0, 1]
    for place, name in enumerate(("user", "item")):
        stored = pl.read_parquet(folder / f"vectors_{name}.parquet")
        assert data.vectors[place].dtype == torch.float32
        assert data.vectors[place].shape == (data.field_sizes[place] - 1, 128)
        assert data.vectors[place].tolist() == stored.sort("id")["vector"].to_list()


def test_most_data_sets_give_no_vectors(tiny_data: MultiDomainData) -> None:
    assert tiny_data.vectors == {}
