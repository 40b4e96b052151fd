"""Intervals by the cluster bootstrap: whole sessions or users are drawn again, with their rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Statistic = Callable[[Counts, Counts], Floats]
"""How often each cluster is drawn, of shape (R, C), and each row's cluster, of shape (N,), numbers
from 0 to C - 1, to a value per replicate, of shape (R,)."""

_COUNTS_AT_ONCE = 1 << 24  # counts of clusters held in memory


@dataclass(frozen=True)
class Interval:
    """A value with its percentile interval.

    Args:
        value: on the rows as they are.
        low, high: 2.5th and 97.5th percentile over the replicates.
        replicates: the value in each replicate, of shape (R,).
    """

    value: float
    low: float
    high: float
    replicates: Floats

    def minus(self, other: "Interval") -> "Interval":
        """The difference to another value from the same replicates."""
        return interval(self.value - other.value, self.replicates - other.replicates)


def interval(value: float, replicates: Floats) -> Interval:
    """A value with the percentiles of its replicates; those that are nan are left out."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return Interval(value, float("nan"), float("nan"), replicates)
    low, high = np.percentile(defined, (2.5, 97.5))
    return Interval(value, float(low), float(high), replicates)


def bootstrap(
    statistic: Statistic, cluster: NDArray[np.integer], *, replicates: int, seed: int
) -> Interval:
    """The interval of a statistic under drawing clusters with replacement.

    The draws depend on the clusters, the number of replicates and the seed alone, so intervals of
    two models on the same rows are paired.

    Args:
        statistic: of rows drawn by clusters.
        cluster: of shape (N,); rows with the same number are drawn together.
        replicates: how many, R.
        seed: of the draws.
    """
    names, number = np.unique(cluster, return_inverse=True)
    clusters = len(names)
    rng = np.random.default_rng(seed)
    value = float(statistic(np.ones((1, clusters), dtype=np.int64), number)[0])
    found = []
    step = max(1, _COUNTS_AT_ONCE // max(clusters, 1))
    for start in range(0, replicates, step):
        drawn = [
            np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)
            for _ in range(min(step, replicates - start))
        ]
        found.append(statistic(np.stack(drawn), number))
    return interval(value, np.concatenate(found))


def auc_statistic(score: NDArray[np.floating], label: NDArray[np.floating]) -> Statistic:
    """The area under the ROC curve of rows drawn by clusters, exact, ties counted half.

    Rows are sorted once; a replicate then takes a running sum over the negatives, in which every
    positive finds those below it.

    Args:
        score: of shape (N,).
        label: of shape (N,), 0 or 1.

    Returns:
        The statistic; nan where one class is not drawn or a score is nan.
    """
    order = np.argsort(score, kind="stable")
    positive = label[order] > 0.5
    up, down = order[positive], order[~positive]
    # Of a positive: how many negatives score less, and how many no more.
    less, no_more = (np.searchsorted(score[down], score[up], side) for side in ("left", "right"))
    ties = bool((less != no_more).any())

    def statistic(drawn: Counts, number: Counts) -> Floats:
        of_up, of_down = number[up], number[down]
        below = np.zeros(len(down) + 1)
        value = np.full(len(drawn), np.nan)
        if np.isnan(score).any():
            return value
        for replicate, count in enumerate(drawn.astype(np.float64)):
            np.cumsum(count[of_down], out=below[1:])
            weight = count[of_up]
            pairs = weight.sum() * below[-1]
            # Not by BLAS, whose threads cost more than such a sum.
            ordered = np.einsum("i,i", weight, below[less])
            if ties:
                ordered = (ordered + np.einsum("i,i", weight, below[no_more])) / 2
            if pairs:
                value[replicate] = ordered / pairs
        return value

    return statistic


def mean_statistic(value: NDArray[np.floating], applies: NDArray[np.bool_]) -> Statistic:
    """The mean of a value over rows drawn by clusters, over those that it applies to.

    Args:
        value: of shape (N,).
        applies: of shape (N,).
    """
    chosen = np.where(applies, value, 0.0)

    def statistic(drawn: Counts, number: Counts) -> Floats:
        clusters = drawn.shape[1]
        total = drawn @ np.bincount(number, applies, minlength=clusters)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = drawn @ np.bincount(number, chosen, minlength=clusters) / total
        return np.where(total > 0, mean, np.nan)

    return statistic
