"""Every kind of source becomes a data set of one processed form, which a model can train on."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from mlorakit.data.dataset import columns_of, load_dataset
from mlorakit.data.prepare import open_dataset, prepare_dataset
from mlorakit.data.preprocessing import preprocess
from mlorakit.data.routes import MIRROR
from mlorakit.data.rows import DataError
from mlorakit.data.splits import SPLITS
from mlorakit.models import build_model
from mlorakit.training import FitSettings, fit

from ..conftest import SetParams

SMALL = {"domains": 3, "users": 60, "items": 40, "presence": 0.8, "positives": 6}


@pytest.fixture
def small(project: Path, set_params: SetParams) -> Path:
    """The project, with few generated positives."""
    set_params(generated_amazon=SMALL, generated_taobao=SMALL)
    return project


@pytest.fixture
def mine(project: Path, set_params: SetParams) -> Callable[..., dict]:
    """Describes a file of the reader's own and preprocesses it."""

    def make(rows: list[dict], *, suffix: str = "csv", strict: bool = True, **more: Any) -> dict:
        path = project / f"mine.{suffix}"
        frame = pl.DataFrame(rows)
        (frame.write_csv if suffix == "csv" else frame.write_parquet)(path)
        entry = {"source": "file", "path": path.name, "label": "clicked", "domain": "country"}
        set_params(datasets={"mine": entry | more})
        return prepare_dataset("mine", strict=strict, split_seed=1)

    return make


def frames(name: str) -> list[pl.DataFrame]:
    folder = Path("data") / "processed" / name
    return [pl.read_parquet(folder / f"{part}.parquet") for part in SPLITS]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "domain"), [("generated_amazon", "category"), ("generated_taobao", "theme")]
)
def test_generated_positives_become_a_data_set_that_trains(
    set_params: SetParams, name: str, domain: str
) -> None:
    set_params(datasets={name: {"source": name}})
    data = open_dataset(name)
    description = json.loads(Path(f"data/processed/{name}/dataset.json").read_text())
    assert [field["name"] for field in description["fields"]] == ["user", "item", domain]
    assert description["domain"] == domain
    assert set(description["bayes_auc"]) == set(data.domains) == set(description["ctr_ratios"])
    for frame in frames(name):
        assert frame.schema == {
            "user": pl.Int32, "item": pl.Int32, domain: pl.Int32, "domain": pl.Int32,
            "label": pl.UInt8,
        }  # fmt: skip
        assert 0.1 < frame["label"].cast(float).mean() < 0.5
    model = build_model(
        "mlp", "mlora", field_sizes=data.field_sizes, n_domains=3, alpha=4, hidden=(8,), seed=1
    )
    fit(model, data, FitSettings(seed=1, max_epochs=1))


@pytest.mark.usefixtures("small")
def test_two_runs_give_the_same_bytes() -> None:
    def content() -> dict[str, bytes]:
        prepare_dataset("generated_amazon")
        folder = Path("data/processed/generated_amazon")
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    assert content() == content()


def test_the_number_of_threads_decides_nothing(small: Path, checkout: Path) -> None:
    code = "from mlorakit.data.prepare import prepare_dataset as p; p('generated_amazon')"

    def content(threads: str) -> dict[str, bytes]:
        environment = os.environ | {"PYTHONPATH": str(checkout), "POLARS_MAX_THREADS": threads}
        subprocess.run([sys.executable, "-c", code], cwd=small, env=environment, check=True)
        folder = small / "data" / "processed" / "generated_amazon"
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    assert content("1") == content("4")


@pytest.mark.usefixtures("small")
def test_given_vectors_stand_beside_the_ids_of_all_values(set_params: SetParams) -> None:
    set_params(datasets={"mine": {"source": "generated_taobao", "themes": 2, "split": "time"}})
    described = prepare_dataset("mine", strict=True)
    assert len(described["domains"]) == 2
    assert described["split"] == "time"
    raw = pl.read_csv("data/raw/generated_taobao/user_embedding.csv", infer_schema=False)
    given = dict(raw.iter_rows())
    values = pl.read_parquet("data/processed/mine/values_user.parquet")
    vectors = pl.read_parquet("data/processed/mine/vectors_user.parquet")
    assert vectors.schema == {"id": pl.Int32, "vector": pl.Array(pl.Float32, 128)}
    assert vectors["id"].to_list() == values["id"].to_list() == list(range(1, values.height + 1))
    assert (
        described["fields"][0]["size"]
        == values.height + 1
        == described["fields"][0]["distinct"] + 1
    )
    for value, vector in zip(values["user"], vectors["vector"].to_list(), strict=True):
        assert vector == pytest.approx([float(x) for x in given[value].split()], abs=1e-6)
    assert all(frame["user"].min() > 0 for frame in frames("mine"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_ones_own_becomes_a_data_set(mine: Callable[..., dict], suffix: str) -> None:
    rows = [
        {"uid": n % 7, "sku": f"s{n % 5}", "country": "FR" if n % 3 else "IT", "clicked": n % 2,
         "tags": ["a|b|c", "", "b"][n % 3], "hour": n % 4}
        for n in range(120)
    ]  # fmt: skip
    described = mine(
        rows, suffix=suffix, user="uid", item="sku", fields="hour", several={"tags": 2}
    )
    assert [(f["name"], f["size"], f["distinct"], f.get("table")) for f in described["fields"]] == [
        ("user", 8, 7, None),
        ("item", 6, 5, None),
        ("hour", 5, 4, None),
        ("country", 3, 2, None),
        ("tags_1", 3, 2, "tags"),
        ("tags_2", 3, 2, "tags"),
    ]
    assert [domain["value"] for domain in described["domains"]] == ["FR", "IT"]
    assert described["rows"] == [
        {"file": f"mine.{suffix}", "read": 120, "kept": 120, "rejected": {}}
    ]
    assert pl.read_parquet("data/processed/mine/values_tags.parquet").rows() == [(1, "a"), (2, "b")]
    everything = pl.concat(frames("mine"))
    tags = set(everything.select("tags_1", "tags_2").rows())
    assert tags == {(1, 2), (0, 0), (2, 0)}
    data = open_dataset("mine")
    assert data.field_sizes == (8, 6, 5, 3, 3)
    assert columns_of(data.field_sizes) == (1, 1, 1, 1, 2)
    assert data.train.ids.dtype == torch.int32
    assert [len(data.train), len(data.validation), len(data.test)] == [72, 24, 24]


def test_a_column_or_the_time_may_split_a_file(mine: Callable[..., dict]) -> None:
    parts = ["train", "validation", "test"]
    rows = [
        {"clicked": n % 2, "country": "FR", "part": parts[n % 3], "at": 100 - n, "n": n}
        for n in range(30)
    ]
    mine(rows, fields="n", split="column", split_column="part")
    assert [frame.height for frame in frames("mine")] == [10, 10, 10]
    assert (frames("mine")[1]["n"] == 0).all()  # no value of validation is one of train
    mine(rows, fields="n", split="time", split_column="at")
    assert [frame.height for frame in frames("mine")] == [18, 6, 6]
    known = pl.read_parquet("data/processed/mine/values_n.parquet")["n"].to_list()
    assert known == [str(n) for n in range(12, 30)]


def test_missing_values_are_id_zero(mine: Callable[..., dict]) -> None:
    ages = ["30", None, "", "7"] * 5
    rows = [{"clicked": n % 2, "country": "FR", "age": age} for n, age in enumerate(ages)]
    described = mine(rows, fields="age")
    assert described["fields"][0] == {"name": "age", "size": 3, "distinct": 2}
    ids = pl.concat(frames("mine"))["age"].to_list()
    assert (ids.count(0), ids.count(1), ids.count(2)) == (10, 5, 5)


def test_a_column_called_domain_does_not_hide_the_domains(mine: Callable[..., dict]) -> None:
    rows = [{"clicked": n % 2, "domain": "ab"[n % 2]} for n in range(20)]
    described = mine(rows, domain="domain")
    assert [field["name"] for field in described["fields"]] == ["domain_id"]
    for frame in frames("mine"):
        assert (frame["domain_id"] == frame["domain"] + 1).all()


def test_a_file_without_a_usable_row_is_refused(mine: Callable[..., dict]) -> None:
    with pytest.raises(DataError, match=r"No row of .*mine\.csv is usable: .*clicked is not 0 or"):
        mine([{"clicked": 3, "country": "FR"}], strict=False)


@pytest.mark.realdata
def test_two_real_categories_become_a_data_set(
    project: Path,
    real_file: Callable[[str], Path],
    set_params: SetParams,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirror = real_file("amazon/Appliances_5.json.gz").parent.parent
    monkeypatch.setenv(MIRROR, str(mirror))
    entry = {"source": "amazon", "categories": "Gift_Cards,Appliances", "ctr_ratio": 0.5}
    set_params(datasets={"two": entry})
    described = prepare_dataset("two", strict=True, split_seed=1)
    assert [(a["file"], a["read"], a["kept"]) for a in described["rows"]] == [
        ("Gift_Cards_5.json.gz", 2972, 2965),
        ("Appliances_5.json.gz", 2277, 183),
    ]
    positives = [
        sum(domain[f"positives_{part}"] for part in SPLITS) for domain in described["domains"]
    ]
    assert [domain["value"] for domain in described["domains"]] == ["Appliances", "Gift_Cards"]
    assert positives == [183, 2965]
    # Users of Gift_Cards never have half of its 148 items, so each gets exactly twice as many.
    gift_cards = described["domains"][1]
    assert sum(gift_cards[f"rows_{part}"] for part in SPLITS) == 3 * 2965
    assert load_dataset(project / "data" / "processed" / "two").n_domains == 2


def test_a_category_that_is_empty_is_named(tmp_path: Path, set_params: SetParams) -> None:
    (tmp_path / "Software_5.json.gz").write_bytes(gzip.compress(b""))
    set_params(datasets={"mine": {"source": "amazon", "categories": "Software"}})
    folders = {"amazon_Software": tmp_path}
    with pytest.raises(DataError, match=r"No review of .*Software_5\.json\.gz is usable"):
        preprocess("mine", folders, tmp_path / "out", strict=False, split_seed=1)
    assert not (tmp_path / "out").exists()
