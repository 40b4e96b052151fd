"""Data sets of two tasks: described in params.yaml, made from raw files, opened."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlorakit import paths
from mlorakit.data import prepare_tasks as module
from mlorakit.data.movielens import COLUMNS
from mlorakit.data.prepare_tasks import open_tasks, prepare_tasks, task_dataset_spec
from mlorakit.data.routes import MIRROR
from mlorakit.data.rows import DataError, RowAccount
from mlorakit.data.splits import SPLITS
from mlorakit.data.task_sources import TASK_SOURCES, RawTasks
from mlorakit.data.video_fields import BUCKETS, FIELDS

from ..conftest import SetParams

SMALL = {"users": 20, "movies": 15, "ratings": 200, "rank": 1, "shift": 1.0, "seed": 3}


@pytest.fixture
def real_mirror(real_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror folder with the real raw files; without them the test is skipped."""
    files = ("ml-1m/ratings.dat", "lt4rec/part-r-00002.gz", "census-income/census-income.test.gz")
    monkeypatch.setenv(MIRROR, str([real_file(name).parent.parent for name in files].pop()))


@pytest.fixture
def small(project: Path, set_params: SetParams) -> Path:
    """The project, with few generated ratings as the data set of two tasks `mine`."""
    set_params(generated=SMALL, task_datasets={"mine": {"source": "generated"}})
    return project


def rows_of(name: str) -> pl.DataFrame:
    folder = paths.task_dir(name)
    return pl.concat([pl.read_parquet(folder / f"{part}.parquet") for part in SPLITS])


def content_of(name: str) -> dict:
    return json.loads((paths.task_dir(name) / "dataset.json").read_text())


def test_a_data_set_that_is_not_there_is_made(small: Path) -> None:
    data = open_tasks("mine")
    assert (data.name, data.binary) == ("mine", True)
    assert tuple(field.name for field in data.fields) == COLUMNS
    assert len(data.train) + len(data.validation) + len(data.test) == 200
    # A generated rating of 5 is loved, one of 4 liked.
    ratings = [
        line.split("::")[2]
        for line in (small / "data/raw/generated/ratings.dat").read_text().splitlines()
    ]
    rows = rows_of("mine")
    assert rows["click"].sum() == sum(rating in "45" for rating in ratings)
    assert rows["conversion"].sum() == ratings.count("5")
    assert rows["converts"].equals(rows["click"] == 1)


@pytest.mark.usefixtures("small")
def test_a_data_set_that_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_tasks("mine")
    monkeypatch.delattr(module, "prepare_tasks")
    assert open_tasks("mine").fingerprint == first.fingerprint


@pytest.mark.usefixtures("small")
def test_it_is_the_content_of_dataset_json_that_is_returned() -> None:
    content = prepare_tasks("mine", strict=True)
    assert content.pop("examples") == []
    assert content == content_of("mine")
    assert (content["source"], content["best"]) == ("generated", {})
    assert content["rows"][0] == {"file": "ratings.dat", "read": 200, "kept": 200, "rejected": {}}


@pytest.mark.usefixtures("small")
def test_the_split_seed_is_that_of_the_parameters_unless_given(set_params: SetParams) -> None:
    set_params(preprocess={"split_seed": 5})
    assert prepare_tasks("mine")["split_seed"] == 5
    first = rows_of("mine")
    assert prepare_tasks("mine", split_seed=0)["split_seed"] == 0
    assert not rows_of("mine").equals(first)


def test_movielens_is_split_within_each_user(small: Path) -> None:
    open_tasks("mine")
    folder = small / "data/processed/tasks/mine"
    counts = [
        dict(
            pl.read_parquet(folder / f"{part}.parquet")["cluster"]
            .value_counts()
            .sort("cluster")
            .iter_rows()
        )
        for part in SPLITS
    ]
    for user, n_train in counts[0].items():
        rest = [counts[part].get(user, 0) for part in (1, 2)]
        assert n_train == 3 * (n_train + sum(rest)) // 5
        assert rest[1] - rest[0] in (0, 1)


def raw_tasks(**changes: object) -> RawTasks:
    """Ten rows in five clusters; each of three labels in every cluster but the last."""
    frame = pl.DataFrame(
        {
            "f": [f"v{i}" for i in range(10)],
            "click": pl.Series([0, 1] * 5, dtype=pl.UInt8),
            "conversion": pl.Series([0.0, 0.5] * 5, dtype=pl.Float32),
            "converts": [False, True] * 5,
            "cluster": pl.Series(np.repeat(np.arange(5), 2)),
        }
    )
    values: dict = {
        "frame": frame, "tables": {"f": "f"}, "binary": False, "whole_clusters": True,
        "accounts": [RowAccount("raw", 10, 10)],
    }  # fmt: skip
    return RawTasks(**values | changes)


def test_clusters_stay_whole_where_the_source_says_so() -> None:
    split = raw_tasks().split(seed=1).reshape(5, 2)
    assert (split[:, 0] == split[:, 1]).all()
    assert np.bincount(split[:, 0]).tolist() == [3, 1, 1]
    apart = raw_tasks(whole_clusters=False).split(seed=1).reshape(5, 2)
    assert (apart[:, 0] != apart[:, 1]).all()  # a cluster of two has one row on train, one on test


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (
            {"source": "netflix"},
            "source 'netflix' is not one of movielens, generated, video_logs, ",
        ),
        ({"sauce": "movielens"}, "params.yaml, task_datasets.mine.source: "),
        ({"source": "census", "buckets": "few"}, "task_datasets.mine.buckets: Input should be"),
        ({"source": "census", "fields": "age"}, "task_datasets.mine.fields: Unexpected"),
    ],
)
@pytest.mark.usefixtures("project")
def test_a_description_that_is_not_understood_is_refused_in_one_sentence(
    set_params: SetParams, described: dict, message: str
) -> None:
    set_params(task_datasets={"mine": described})
    with pytest.raises(DataError) as refused:
        task_dataset_spec("mine")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("project")
def test_an_unknown_name_is_refused() -> None:
    message = "task_datasets: there is no data set 'movielenz'; it describes movielens, "
    with pytest.raises(DataError, match=message):
        open_tasks("movielenz")


@pytest.mark.usefixtures("small")
def test_buckets_need_values_that_are_hashed(set_params: SetParams) -> None:
    set_params(task_datasets={"mine": {"source": "generated", "buckets": "full"}})
    with pytest.raises(DataError, match=r"task_datasets\.mine\.buckets: .* there are no buckets"):
        prepare_tasks("mine")


@pytest.mark.usefixtures("small")
def test_full_buckets_and_the_best_score_reach_the_data_set(
    set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_params(task_datasets={"mine": {"source": "generated", "buckets": "full"}})
    raw = raw_tasks(buckets={"f": 50}, best={"ctr_auc": 0.75})
    monkeypatch.setitem(TASK_SOURCES, "generated", lambda folder, strict: raw)
    assert prepare_tasks("mine")["best"] == {"ctr_auc": 0.75}
    assert open_tasks("mine").tables == {"f": 51}


@pytest.mark.usefixtures("small")
def test_no_usable_row_is_an_error_and_leaves_no_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = raw_tasks(frame=raw_tasks().frame.clear(), accounts=[RowAccount("raw", 2, 0, {"x": 2})])
    monkeypatch.setitem(TASK_SOURCES, "generated", lambda folder, strict: empty)
    with pytest.raises(DataError, match=r"No row of .*generated is usable: \{'x': 2\}"):
        prepare_tasks("mine")
    assert not paths.task_dir("mine").exists()


@pytest.mark.usefixtures("project")
def test_generated_video_logs_bring_their_best_score_and_what_decides_it(
    set_params: SetParams,
) -> None:
    set_params(video_logs={"sessions": 50, "users": 20, "videos": 30, "parts": 2})
    data = open_tasks("video_logs")
    content = content_of("video_logs")
    assert set(content["best"]) == {"ctr_auc", "cvr_mse"}
    planted = content["planted"]
    assert list(planted) == ["both", "ctr", "cvr", "neither"]
    assert sorted(name for names in planted.values() for name in names) == sorted(FIELDS)
    assert not data.binary
    assert [field.name for field in data.fields] == list(FIELDS)
    assert max(field.columns for field in data.fields) == 8
    rows = rows_of("video_logs")
    assert rows["position"].drop_nulls().is_between(0, 9).all()
    assert rows["logged_ctr"].null_count() < rows.height / 2
    sessions = [
        set(pl.read_parquet(paths.task_dir("video_logs") / f"{part}.parquet")["cluster"])
        for part in SPLITS
    ]
    assert [len(part) for part in sessions] == [30, 10, 10]
    assert len(set.union(*sessions)) == 50


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "clicks", "converting", "clusters"),
    [
        ("movielens", 575_281, 575_281, 6_040),
        ("census", 6_186, 99_762, 99_762),
        ("tencent", 1_677, 1_677, 603),
    ],
)
@pytest.mark.usefixtures("project", "real_mirror")
def test_the_real_files(name: str, clicks: int, converting: int, clusters: int) -> None:
    content = prepare_tasks(name, strict=True)
    rows = rows_of(name)
    assert rows["click"].sum() == clicks
    assert rows["converts"].sum() == converting
    assert rows["cluster"].n_unique() == clusters
    assert all(not account["rejected"] for account in content["rows"])
    assert len(open_tasks(name).fields) == {"movielens": 8, "census": 39, "tencent": 20}[name]
    for part, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        assert content["splits"][part]["rows"] / rows.height == pytest.approx(share, abs=0.02)


@pytest.mark.realdata
@pytest.mark.usefixtures("project", "real_mirror")
def test_the_public_sample_in_the_released_codes_tables(set_params: SetParams) -> None:
    set_params(task_datasets={"tencent": {"source": "tencent", "buckets": "full"}})
    data = open_tasks("tencent")
    assert data.tables == {table: n + 1 for table, n in BUCKETS.items()}
    assert data.train.ids.max() < max(data.tables.values())
    assert not content_of("tencent")["missing_and_unknown"]["FEA_VID"]["unknown"]
