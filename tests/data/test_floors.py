"""Scores without a model: by hand, and on the public sample."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mlorakit.data.floors import floors, floors_of
from mlorakit.data.prepare_tasks import prepare_tasks
from mlorakit.data.rows import DataError
from mlorakit.data.video_fields import SAMPLE_SCHEMA
from mlorakit.data.video_records import read_video_logs

from ..conftest import SetParams

TRAIN = pl.DataFrame({"conversion": [0.5, 1.0, 0.0], "converts": [True, True, False]})
TEST = pl.DataFrame(
    {
        "click": [1, 0, 1, 0],
        "conversion": [1.0, 0.0, 0.25, 0.0],
        "converts": [True, False, True, False],
        "cluster": [1, 1, 2, 2],
        "position": [0.0, 1.0, 3.0, None],
        "logged_ctr": [0.9, 0.5, 0.4, 0.3],
    }
)


def by_name(rows: list[dict]) -> dict[tuple[str, str], tuple[float, int]]:
    return {(row["floor"], row["metric"]): (row["value"], row["rows"]) for row in rows}


def test_floors_by_hand() -> None:
    found = by_name(floors_of(TRAIN, TEST, binary=False, replicates=10))
    # The mean of the train rows that convert is 0.75: off by 0.25 and 0.5. Of the rows with a
    # position, 0 before 1 is right and 3 before 1 is wrong. By the log 3 of 4 pairs are right.
    assert found == {
        ("constant", "ctr_auc"): (0.5, 4),
        ("constant", "cvr_mse"): (pytest.approx((0.0625 + 0.25) / 2), 2),
        ("position", "ctr_auc"): (0.5, 3),
        ("logged_ctr", "ctr_auc"): (0.75, 4),
    }


def test_a_binary_second_label_has_an_auc_and_logs_may_be_missing() -> None:
    rows = floors_of(TRAIN, TEST.drop("position", "logged_ctr"), binary=True, replicates=10)
    assert list(by_name(rows)) == [
        ("constant", "ctr_auc"),
        ("constant", "cvr_mse"),
        ("constant", "cvr_auc"),
    ]
    assert by_name(rows)["constant", "cvr_auc"] == (0.5, 2)


def test_a_column_without_a_value_and_rows_that_never_convert_have_no_floor() -> None:
    test = TEST.with_columns(position=pl.lit(None, pl.Float64), converts=pl.lit(False))
    assert list(by_name(floors_of(TRAIN, test, binary=False, replicates=10))) == [
        ("constant", "ctr_auc"),
        ("logged_ctr", "ctr_auc"),
    ]


def test_intervals_draw_whole_clusters() -> None:
    # Two clusters, off by 0.25 and 0.5: a replicate has one of them twice, or both.
    row = floors_of(TRAIN, TEST, binary=False, replicates=200)[1]
    assert (row["low"], row["high"]) == pytest.approx((0.0625, 0.25))


@pytest.mark.usefixtures("project")
def test_of_a_processed_data_set(set_params: SetParams) -> None:
    set_params(video_logs={"sessions": 300, "users": 100, "videos": 100, "parts": 1})
    with pytest.raises(DataError, match="holds no processed data set"):
        floors("video_logs")
    content = prepare_tasks("video_logs")
    rows = floors("video_logs", replicates=50)
    found = by_name(rows)
    assert found["constant", "ctr_auc"][1] == content["splits"]["test"]["rows"]
    assert found["constant", "cvr_mse"][1] == content["splits"]["test"]["converting_rows"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    # Data with a planted truth leave room between the floors and the best score.
    assert found["constant", "cvr_mse"][0] > content["best"]["cvr_mse"]
    assert found["position", "ctr_auc"][0] < found["logged_ctr", "ctr_auc"][0]
    assert found["logged_ctr", "ctr_auc"][0] < content["best"]["ctr_auc"]


@pytest.mark.realdata
def test_the_public_sample_has_the_known_counts_and_floors(
    real_file: Callable[[str], Path],
) -> None:
    folder = real_file("lt4rec/part-r-00002.gz").parent
    rows, (account,) = read_video_logs(folder, list(SAMPLE_SCHEMA), strict=True)
    assert (account.read, account.kept, rows["cluster"].n_unique()) == (4322, 4322, 603)
    assert rows["click"].sum() == 1677
    assert rows["converts"].equals(rows["click"] == 1)
    watched = rows.filter("converts")["conversion"].cast(pl.Float64)
    assert watched.mean() == pytest.approx(0.8178, abs=5e-5)
    assert (watched == 1).mean() == pytest.approx(0.513, abs=5e-4)
    videos = rows["FEA_VID"].value_counts()
    assert (videos.height, (videos["count"] == 1).sum()) == (4191, 4082)
    assert rows.group_by("cluster").agg(pl.col("FEA_UID", "FEA_SVID").n_unique())[
        ["FEA_UID", "FEA_SVID"]
    ].max().row(0) == (1, 1)
    missing = {
        "FEA_STAG": 0.214, "FEA_UCAT": 0.199, "FEA_SICAT1": 0.096, "FEA_SICAT2": 0.097,
        "FEA_COVERQUALITY": 0.036, "FEA_ORDER": 0.028, "FEA_SIKEYWORD": 0.002,
    }  # fmt: skip
    for name in SAMPLE_SCHEMA[:20]:
        column = rows[name.name]
        share = (column.list.len() == 0 if column.dtype == pl.List else column.is_null()).mean()
        assert share == pytest.approx(missing.get(name.name, 0), abs=5e-4), name.name
    found = by_name(floors_of(rows, rows, binary=False, replicates=20))
    assert found["constant", "cvr_mse"] == (pytest.approx(0.0686, abs=5e-5), 1677)
    assert found["logged_ctr", "ctr_auc"] == (pytest.approx(0.638, abs=5e-4), 4322 - 131)
    assert (rows["logged_ctr"] > 1).sum() == 132
    # The known 0.608 has -1, the missing position, before 0; the floor leaves such rows out.
    as_it_is = -rows["position"].fill_null(-1).to_numpy()
    assert roc_auc_score(rows["click"], as_it_is) == pytest.approx(0.608, abs=5e-4)
    assert found["position", "ctr_auc"] == (pytest.approx(0.6158, abs=5e-5), 4322 - 120)
