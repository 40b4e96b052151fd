"""Bootstrap intervals: the statistics, the draws, and their coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mlorakit import bootstrap as module
from mlorakit.bootstrap import auc_statistic, bootstrap, interval, mean_statistic


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40
    )
)
def test_weighted_auc_is_scikit_learns(rows: list[tuple[int, bool, int]]) -> None:
    score, label, weight = (np.array(column, dtype=int) for column in zip(*rows, strict=True))
    # Each row a cluster of its own.
    (ours,) = auc_statistic(score, label)(weight[None], np.arange(len(rows)))
    if (weight * label).sum() == 0 or (weight * (1 - label)).sum() == 0:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(roc_auc_score(label, score, sample_weight=weight))


def test_the_mean_runs_over_the_rows_it_applies_to() -> None:
    statistic = mean_statistic(np.array([1.0, 5.0, 3.0]), np.array([True, False, True]))
    drawn = np.array([[1, 1, 1], [3, 9, 1], [0, 1, 0]])
    found = statistic(drawn, np.arange(3))
    assert found[:2].tolist() == [2, 1.5]
    assert np.isnan(found[2])
    together = statistic(np.array([[1, 1], [3, 1]]), np.array([1, 0, 0]))
    assert together.tolist() == [2, (1 * 1 + 3 * 3) / 4]


def test_rows_of_a_cluster_are_drawn_together_and_as_many_clusters_as_there_are() -> None:
    cluster = np.array([4, 4, 7, 9, 9, 9])
    seen = []

    def statistic(drawn: np.ndarray, number: np.ndarray) -> np.ndarray:
        seen.append(drawn[:, number])
        return drawn.sum(1).astype(float)

    bootstrap(statistic, cluster, replicates=50, seed=1)
    drawn = np.concatenate(seen[1:])
    assert drawn.shape == (50, 6)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 3] == drawn[:, 5]).all()
    assert (drawn[:, [0, 2, 3]].sum(1) == 3).all()
    assert seen[0].tolist() == [[1] * 6]


def test_draws_are_the_same_whatever_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    value = np.random.default_rng(0).normal(size=30)
    statistic = mean_statistic(value, np.ones(30, dtype=bool))
    whole = bootstrap(statistic, np.arange(30) // 3, replicates=40, seed=5)
    monkeypatch.setattr(module, "_COUNTS_AT_ONCE", 100)
    parts = bootstrap(statistic, np.arange(30) // 3, replicates=40, seed=5)
    assert whole.replicates.tolist() == pytest.approx(parts.replicates.tolist())
    assert whole.value == pytest.approx(value.mean())


def test_the_interval_of_a_mean_is_about_two_standard_errors_each_way() -> None:
    value = np.random.default_rng(3).normal(loc=2, size=400)
    statistic = mean_statistic(value, np.ones(400, dtype=bool))
    found = bootstrap(statistic, np.arange(400), replicates=2000, seed=1)
    error = value.std() / 20
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.25 * error)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.25 * error)


def test_rows_that_repeat_each_other_in_a_cluster_do_not_narrow_it() -> None:
    value = np.random.default_rng(3).normal(size=50)
    alone = bootstrap(
        mean_statistic(value, np.ones(50, dtype=bool)), np.arange(50), replicates=500, seed=1
    )
    repeated = np.repeat(value, 8)
    together = bootstrap(
        mean_statistic(repeated, np.ones(400, dtype=bool)),
        np.repeat(np.arange(50), 8),
        replicates=500,
        seed=1,
    )
    assert together.replicates.tolist() == pytest.approx(alone.replicates.tolist())


def test_a_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=60) * 10
    applies, cluster = np.ones(60, dtype=bool), np.arange(60)
    first = bootstrap(mean_statistic(value + 1, applies), cluster, replicates=200, seed=2)
    second = bootstrap(mean_statistic(value, applies), cluster, replicates=200, seed=2)
    difference = first.minus(second)
    assert (difference.low, difference.value, difference.high) == pytest.approx((1, 1, 1))


def test_undefined_replicates_are_left_out() -> None:
    found = interval(1.0, np.array([np.nan, 1.0, 1.0]))
    assert (found.low, found.high) == (1, 1)
    assert np.isnan(interval(1.0, np.array([np.nan])).low)


def test_a_score_that_is_nan_leaves_the_area_undefined() -> None:
    found = bootstrap(
        auc_statistic(np.array([0.1, np.nan, 0.3]), np.array([0, 1, 1])),
        np.arange(3),
        replicates=5,
        seed=1,
    )
    assert np.isnan([found.value, *found.replicates]).all()
