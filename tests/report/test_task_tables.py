"""LT4REC's tables: numbers by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlorakit.bootstrap import Interval
from mlorakit.report.task_methods import Score
from mlorakit.report.task_readable import (
    readable_differences,
    readable_selection,
    readable_tasks,
    with_interval,
)
from mlorakit.report.task_results import read_scores, read_selection
from mlorakit.report.task_tables import FEW_CLUSTERS, differences, floors, task_data, tasks

DATASETS = ("movielens", "census")


def score(
    method: str,
    values: list[float],
    replicates: list[float],
    metric: str = "ctr_auc",
    dataset: str = "census",
) -> Score:
    mean = sum(values) / len(values)
    drawn = np.array(replicates)
    return Score(
        dataset=dataset,
        method=method,
        metric=metric,
        interval=Interval(mean, float(drawn.min()), float(drawn.max()), drawn),
        std=None,
        seeds={str(seed): value for seed, value in enumerate(values, 1)},
        kept=100,
        total=100,
        kept_share=1.0,
        multiply_adds=102,
    )


def compared(scores: list[Score]) -> pd.DataFrame:
    """Differences without a floor."""
    return differences(scores, pd.DataFrame())


BASE = [0.69, 0.70, 0.71] * 10
"""Replicates of a method of 0.7."""


def shifted(by: float, spread: float) -> list[float]:
    """Replicates whose differences to `BASE` are by - spread, by and by + spread, as often each."""
    steps = [by + step for step in (-spread, 0, spread) for _ in range(10)]
    return [value + step for value, step in zip(BASE, steps, strict=True)]


@pytest.mark.usefixtures("tree")
def test_there_is_a_row_per_data_set_and_method() -> None:
    frame = tasks(read_scores())
    assert frame[["dataset", "method"]].to_numpy().tolist() == [
        [dataset, method]
        for dataset in DATASETS
        for method in ("single", "ticket-1", "ticket-2", "hard", "sparse")
    ]
    row = frame.iloc[1]
    assert (row["ctr_auc"], row["cvr_mse"], row["cvr_auc"]) == (0.72, 0.19, 0.61)
    assert (row["ctr_auc_low"], row["ctr_auc_high"]) == pytest.approx((0.701, 0.739))
    assert (row["n_seeds"], row["kept_share"]) == (2, 0.5)
    assert (row["kept_ctr"], row["kept_cvr"]) == (50, 50)
    assert (row["multiply_adds_ctr"], row["multiply_adds_cvr"]) == (52, 52)
    sparse = frame.iloc[4]
    assert (sparse["kept_share"], sparse["kept_ctr"], sparse["kept_cvr"]) == (0.6, 50, 25)
    assert (sparse["multiply_adds_ctr"], sparse["multiply_adds_cvr"]) == (52, 27)
    census = frame[frame["dataset"] == "census"]
    assert census["cvr_auc"].isna().all()
    assert not census["cvr_mse"].isna().any()


def test_a_difference_is_that_of_paired_replicates() -> None:
    # Either method's replicates spread over 0.02 and more, their differences over 0.002.
    sparse = score("sparse", [0.72, 0.74], shifted(0.03, 0.001))
    (row,) = compared([score("hard", [0.69, 0.71], BASE), sparse]).to_dict("records")
    assert row["other"] == "hard"
    assert row["difference"] == pytest.approx(0.03)
    assert (row["low"], row["high"]) == pytest.approx((0.029, 0.031))
    assert (row["seeds_better"], row["n_seeds"]) == (2, 2)
    assert row["verdict"] == "better"


@pytest.mark.parametrize(
    ("values", "by", "spread", "metric", "verdict"),
    [
        ([0.72, 0.74], 0.03, 0.001, "ctr_auc", "better"),
        ([0.66, 0.68], -0.03, 0.001, "ctr_auc", "worse"),
        # A smaller error is better.
        ([0.66, 0.68], -0.03, 0.001, "cvr_mse", "better"),
        ([0.72, 0.74], 0.03, 0.001, "cvr_mse", "worse"),
        # The interval holds 0.
        ([0.72, 0.74], 0.03, 0.04, "ctr_auc", "undecided"),
        # Seed 2 says otherwise.
        ([0.78, 0.70], 0.04, 0.001, "ctr_auc", "undecided"),
        # One seed says nothing of others.
        ([0.74], 0.05, 0.001, "ctr_auc", "undecided"),
    ],
)
def test_a_verdict_needs_the_interval_and_every_seed(
    values: list[float], by: float, spread: float, metric: str, verdict: str
) -> None:
    scores = [
        score("hard", [0.69, 0.71][: len(values)], BASE, metric),
        score("sparse", values, shifted(by, spread), metric),
    ]
    assert compared(scores)["verdict"].tolist() == [verdict]


def test_p_values_are_corrected_over_the_rows_of_a_metric() -> None:
    spread = 0.02
    sparse = score("sparse", [0.74, 0.76], shifted(0.05, spread))
    others = [score(name, [0.69, 0.71], BASE) for name in ("hard", "mmoe", "ple")]
    one = compared([others[0], sparse]).iloc[0]
    deviation = spread * math.sqrt(20 / 29)  # of ten each of -spread, 0 and spread
    assert one["p"] == pytest.approx(math.erfc(0.05 / deviation / math.sqrt(2)))
    assert one["p_holm"] == one["p"]
    three = compared([*others, sparse])
    assert three["p_holm"].tolist() == pytest.approx([3 * one["p"]] * 3)
    # Another metric is a family of its own.
    more = [replace(s, metric="cvr_mse") for s in (others[0], sparse)]
    frame = compared([*others, sparse, *more])
    assert frame["metric"].tolist() == ["ctr_auc"] * 3 + ["cvr_mse"]
    assert frame["p_holm"].tolist() == pytest.approx([3 * one["p"]] * 3 + [one["p"]])


def test_too_many_comparisons_decide_nothing() -> None:
    # p = 0.0455 alone; its interval leaves out 0, but three of its kind are 0.137.
    spread = 0.02 / math.sqrt(20 / 29)
    sparse = score("sparse", [0.73, 0.75], shifted(0.04, spread))
    others = [score(name, [0.69, 0.71], BASE) for name in ("hard", "mmoe", "ple")]
    assert compared([others[0], sparse])["verdict"].tolist() == ["better"]
    assert compared([*others, sparse])["verdict"].tolist() == ["undecided"] * 3


def test_equal_methods_have_no_p() -> None:
    scores = [score("hard", [0.7, 0.7], BASE), score("sparse", [0.7, 0.7], BASE)]
    frame = compared(scores)
    assert frame["p"].isna().all()
    assert frame["verdict"].tolist() == ["undecided"]
    assert readable_differences(frame)["p (Holm)"].tolist() == [""]


@pytest.mark.usefixtures("tree")
def test_sparse_sharing_is_compared_with_every_other_method() -> None:
    frame = differences(read_scores(), floors(DATASETS))
    others = ["single", "ticket-1", "ticket-2", "hard"]
    for dataset, metrics in (("movielens", 3), ("census", 2)):
        assert frame[frame["dataset"] == dataset]["other"].tolist() == others * metrics
    shown = readable_differences(frame).iloc[0]
    assert shown["sparse sharing minus"] == "single task, dense"
    # The tree's replicates of two methods move together: no spread, and so no p.
    assert shown["difference"] == "+0.0500 (+0.0500 to +0.0500)"
    assert (shown["seeds better"], shown["verdict"]) == ("2 of 2", "undecided")


@pytest.mark.parametrize(
    ("metric", "floor", "verdict"),
    [
        ("ctr_auc", 0.72, "better"),  # sparse sharing's 0.73 lies above it
        ("ctr_auc", 0.74, "below floor"),
        ("cvr_mse", 0.72, "worse"),  # the other's 0.70 lies below it
        ("cvr_mse", 0.69, "below floor"),
    ],
)
def test_two_methods_that_a_constant_beats_are_not_ranked(
    metric: str, floor: float, verdict: str
) -> None:
    scores = [
        score("hard", [0.69, 0.71], BASE, metric),
        score("sparse", [0.72, 0.74], shifted(0.03, 0.001), metric),
    ]
    known = {"dataset": "census", "metric": metric, "test_clusters": FEW_CLUSTERS}
    rows = [known | {"floor": "constant", "value": floor}]
    rows.append(known | {"floor": "position", "value": 0.99})  # no matter
    assert differences(scores, pd.DataFrame(rows))["verdict"].tolist() == [verdict]


def test_own_intervals_may_overlap_where_the_paired_one_decides() -> None:
    # 0.69 to 0.71 beside 0.70 to 0.72 and beside 0.72 to 0.74.
    near, far = (
        compared([score("hard", [0.69, 0.71], BASE), score("sparse", [v, v], shifted(by, 0.001))])
        for v, by in ((0.712, 0.012), (0.73, 0.03))
    )
    assert near["verdict"].tolist() == far["verdict"].tolist() == ["better"]
    assert readable_differences(near)["own intervals"].tolist() == ["overlap"]
    assert readable_differences(far)["own intervals"].tolist() == ["apart"]


@pytest.mark.parametrize(
    ("clusters", "value", "by", "verdict"),
    [
        (FEW_CLUSTERS, 0.712, 0.012, "better"),
        (FEW_CLUSTERS - 1, 0.712, 0.012, "undecided"),  # own intervals overlap
        (FEW_CLUSTERS - 1, 0.73, 0.03, "better"),
    ],
)
def test_with_few_clusters_own_intervals_must_be_apart_too(
    clusters: int, value: float, by: float, verdict: str
) -> None:
    scores = [
        score("hard", [0.69, 0.71], BASE),
        score("sparse", [value, value], shifted(by, 0.001)),
    ]
    floor = {"dataset": "census", "metric": "ctr_auc", "floor": "constant", "value": 0.5}
    frame = differences(scores, pd.DataFrame([floor | {"test_clusters": clusters}]))
    assert frame["verdict"].tolist() == [verdict]


def test_without_sparse_sharing_there_are_no_differences() -> None:
    assert compared([score("hard", [0.7, 0.7], BASE)]).empty
    assert compared([]).empty


@pytest.mark.usefixtures("tree")
def test_floors_carry_the_number_of_records_and_the_best_score() -> None:
    frame = floors(DATASETS)
    assert frame[["dataset", "floor", "metric"]].to_numpy().tolist() == [
        ["movielens", "constant", "ctr_auc"],
        ["movielens", "constant", "cvr_mse"],
        ["movielens", "position", "ctr_auc"],
        ["census", "constant", "ctr_auc"],
        ["census", "constant", "cvr_mse"],
        ["census", "position", "ctr_auc"],
        ["census", "best", "ctr_auc"],
    ]
    assert set(frame["records"]) == {100}
    assert set(frame["test_rows"]) == {20}
    assert set(frame["test_clusters"]) == {2}
    best = frame.iloc[-1]
    assert best["value"] == 0.9
    assert pd.isna(best["low"])
    assert pd.isna(best["rows"])


@pytest.mark.usefixtures("tree")
def test_a_person_reads_floors_below_the_methods() -> None:
    shown = readable_tasks(tasks(read_scores()), floors(DATASETS)).fillna("")
    assert set(shown["data set"]) == {"movielens, 100 records", "census, 100 records"}
    census = shown[shown["data set"] == "census, 100 records"].set_index("method")
    assert list(census.index) == [
        "single task, dense",
        "single task, ticket 1",
        "single task, ticket 2",
        "hard sharing",
        "sparse sharing",
        "constant prediction",
        "position in the list",
        "best possible",
    ]
    sparse = census.loc["sparse sharing"]
    assert sparse["CTR AUC"] == "0.7500 (0.7310 to 0.7690)"
    assert sparse["CVR MSE"] == "0.15000 (0.13100 to 0.16900)"
    assert sparse["CVR AUC"] == ""
    assert (sparse["weights kept"], sparse["multiply-adds CVR"]) == ("60.00%", "27")
    assert census.loc["constant prediction"]["CVR MSE"] == "0.20000 (0.10000 to 0.30000)"
    assert census.loc["position in the list"]["CVR MSE"] == ""
    assert census.loc["best possible"]["CTR AUC"] == "0.9000"


@pytest.mark.parametrize(
    ("numbers", "metric", "signed", "text"),
    [
        ((0.81234, 0.8, 0.82), "ctr_auc", False, "0.8123 (0.8000 to 0.8200)"),
        ((0.068612, 0.06, 0.07), "cvr_mse", False, "0.06861 (0.06000 to 0.07000)"),
        ((0.01, -0.01, 0.03), "ctr_auc", True, "+0.0100 (-0.0100 to +0.0300)"),
        ((0.5, math.nan, math.nan), "ctr_auc", False, "0.5000"),
        ((math.nan, math.nan, math.nan), "ctr_auc", False, ""),
    ],
)
def test_intervals_are_written_once(
    numbers: tuple[float, float, float], metric: str, signed: bool, text: str
) -> None:
    assert with_interval(*numbers, metric, signed) == text


@pytest.mark.usefixtures("tree")
def test_the_choice_is_shown_round_by_round() -> None:
    shown = readable_selection(read_selection())
    assert shown.iloc[1].to_dict() == {
        "data set": "movielens",
        "task": "CVR",
        "chosen": "round 2",
        "weights kept": "25 (25.00%)",
        "dense": "0.20000",
        "round 1": "0.21000",
        "round 2": "0.19000",
    }


@pytest.mark.usefixtures("tree")
def test_the_data_sets_have_a_row_per_split() -> None:
    frame = task_data(DATASETS)
    assert frame["split"].tolist() == ["train", "validation", "test"] * 2
    assert frame["rows"].tolist() == [60, 20, 20] * 2
    assert frame.iloc[0].to_dict() == {
        "dataset": "movielens",
        "split": "train",
        "rows": 60,
        "clusters": 6,
        "clicks": 30,
        "converting_rows": 30,
        "fields": 1,
        "ids": 12,
    }


def test_an_empty_grid_has_empty_tables() -> None:
    for frame in (tasks([]), floors(()), task_data(()), compared([])):
        assert frame.empty
    nothing = pd.DataFrame()
    assert readable_tasks(nothing, nothing).empty
    for readable in (readable_differences, readable_selection):
        assert readable(nothing).empty
