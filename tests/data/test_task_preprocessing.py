"""Two tasks' rows to ids and back, splits of whole clusters, and loading."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from mlorakit.data.rows import RowAccount
from mlorakit.data.splits import split_clusters, split_rows
from mlorakit.data.task_preprocessing import bucket, write_tasks
from mlorakit.data.tasks import PADDING, load_tasks

FRAME = pl.DataFrame(
    {
        "user": ["u2", "u1", "u2", "u9"],
        "video": ["a", None, "c", "b"],
        "source": ["b", "a", "z", "z"],
        "tags": [["x", "y"], [], ["y"], ["q", "x", "y"]],
        "click": [1, 0, 1, 0],
        "conversion": [0.5, 0.0, 1.0, 0.0],
        "converts": [True, False, True, False],
        "cluster": [7, 8, 7, 9],
        "split": [0, 0, 1, 2],
    },
    schema_overrides={"tags": pl.List(pl.String), "cluster": pl.Int64},
)
TABLES = {"user": "user", "video": "video", "source": "video", "tags": "tag"}


def write(into: Path) -> dict:
    return write_tasks(
        FRAME,
        into,
        description={"name": "hand", "binary": False},
        tables=TABLES,
        accounts=[RowAccount("raw", 5, 4, {"bad": 1})],
    )


def test_a_data_set_by_hand(tmp_path: Path) -> None:
    content = write(tmp_path / "hand")
    data = load_tasks(tmp_path / "hand")
    # Train has users u1, u2; videos and sources a, b (one table); tags x, y: ids from 2, sorted.
    assert data.tables == {"user": 4, "video": 4, "tag": 4}
    assert [(f.name, f.table, f.columns) for f in data.fields] == [
        ("user", "user", 1),
        ("video", "video", 1),
        ("source", "video", 1),
        ("tags", "tag", 3),
    ]
    assert data.train.ids.tolist() == [[3, 2, 3, 2, 3, PADDING], [2, 0, 2, 0, PADDING, PADDING]]
    assert data.validation.ids.tolist() == [[3, 1, 1, 3, PADDING, PADDING]]
    assert data.test.ids.tolist() == [[1, 3, 1, 1, 2, 3]]
    assert data.train.click.tolist() == [1, 0]
    assert data.train.conversion.tolist() == [0.5, 0]
    assert data.train.converts.tolist() == [True, False]
    assert data.test.cluster.tolist() == [9]
    assert data.train.ids.dtype == torch.int32
    assert content["rows"] == [{"file": "raw", "read": 5, "kept": 4, "rejected": {"bad": 1}}]
    assert content["missing_and_unknown"] == {
        "user": {"missing": 0, "unknown": 1},
        "video": {"missing": 1, "unknown": 1},
        "source": {"missing": 0, "unknown": 2},
        "tags": {"missing": 1, "unknown": 1},
    }
    assert content["splits"]["train"] == {
        "rows": 2,
        "clicks": 1,
        "converting_rows": 1,
        "clusters": 2,
    }


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [
        "dataset.json",
        "test.parquet",
        "train.parquet",
        "validation.parquet",
        "values_tag.parquet",
        "values_user.parquet",
        "values_video.parquet",
    ]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_list_field_that_never_holds_two_values_is_single(tmp_path: Path) -> None:
    frame = FRAME.with_columns(tags=pl.col("tags").list.head(1))
    write_tasks(
        frame,
        tmp_path / "d",
        description={"name": "d", "binary": True},
        tables=TABLES,
        accounts=[],
    )
    data = load_tasks(tmp_path / "d")
    assert data.fields[-1].columns == 1
    assert data.train.ids[:, -1].tolist() == [2, 0]


def test_a_value_falls_into_the_same_bucket_everywhere() -> None:
    # `printf v1 | b2sum -l 64` prints 1c8a073540fe0bda; the first byte is the lowest.
    assert bucket("v1", 1 << 64) == 0xDA0BFE4035078A1C
    assert bucket("v1", 1000) == 0xDA0BFE4035078A1C % 1000
    counts = np.bincount([bucket(f"v{i}", 10) for i in range(10_000)], minlength=10)
    assert counts.min() > 900  # an even spread; a standard deviation is 30


def test_full_buckets_hash_every_value_that_is_not_missing(tmp_path: Path) -> None:
    buckets = {"user": 1000, "video": 10, "tag": 3}
    content = write_tasks(
        FRAME,
        tmp_path / "full",
        description={"name": "full", "binary": False},
        tables=TABLES,
        accounts=[],
        buckets=buckets,
    )
    data = load_tasks(tmp_path / "full")
    assert data.tables == {"user": 1001, "video": 11, "tag": 4}
    first, second = data.train.ids.tolist()
    assert first[0] == 1 + bucket("u2", 1000)
    # Fields that share a table share the buckets, and a value of test alone has one too.
    assert (first[1], second[2]) == (1 + bucket("a", 10), 1 + bucket("a", 10))
    assert data.test.ids[0, 0] == 1 + bucket("u9", 1000)
    assert data.test.ids[0, 3:].tolist() == [1 + bucket(tag, 3) for tag in "qxy"]
    assert second[1] == second[3] == 0  # missing
    assert content["missing_and_unknown"]["video"] == {"missing": 1, "unknown": 0}


def test_columns_for_floors_are_kept_beside_the_ids(tmp_path: Path) -> None:
    frame = FRAME.with_columns(position=pl.Series([3, None, 1, 0]), other=pl.lit(1))
    write_tasks(
        frame,
        tmp_path / "d",
        description={"name": "d", "binary": False},
        tables=TABLES,
        accounts=[],
    )
    train = pl.read_parquet(tmp_path / "d" / "train.parquet")
    assert train["position"].dtype == pl.Float64
    assert train["position"].to_list() == [3, None]
    assert "other" not in train.columns
    assert load_tasks(tmp_path / "d").train.ids.shape == (2, 6)


@pytest.mark.parametrize("clusters", [5, 10, 101])
def test_a_cluster_lies_in_one_split_and_shares_are_60_20_20(clusters: int) -> None:
    cluster = np.repeat(np.arange(clusters) * 3, 4)
    split = split_clusters(cluster, seed=1)
    parts = [set(cluster[split == part]) for part in range(3)]
    assert sum(map(len, parts)) == clusters
    assert len(parts[0]) == 3 * clusters // 5
    assert 0 <= len(parts[2]) - len(parts[1]) <= 1
    assert np.array_equal(split, split_clusters(cluster, seed=1))
    assert not np.array_equal(split, split_clusters(cluster, seed=2))


def test_rows_alone_are_split_alike() -> None:
    split = split_rows(1000, seed=3)
    assert [int((split == part).sum()) for part in range(3)] == [600, 200, 200]
