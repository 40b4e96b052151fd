"""Intervals by the cluster bootstrap: whole sessions or users are drawn again, with their rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Weights of rows, of shape (R, N), to a value per replicate, of shape (R,)."""

_ROWS_AT_ONCE = 1 << 24  # weights of rows held in memory


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
        statistic: of weighted rows.
        cluster: of shape (N,); rows with the same number are drawn together.
        replicates: how many, R.
        seed: of the draws.
    """
    names, number = np.unique(cluster, return_inverse=True)
    rng = np.random.default_rng(seed)
    value = float(statistic(np.ones((1, len(cluster))))[0])
    found = []
    step = max(1, _ROWS_AT_ONCE // max(len(cluster), 1))
    for start in range(0, replicates, step):
        count = min(step, replicates - start)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
        found.append(statistic(drawn[:, number].astype(np.float64)))
    return interval(value, np.concatenate(found))


def auc_statistic(score: NDArray[np.floating], label: NDArray[np.floating]) -> Statistic:
    """The area under the ROC curve of weighted rows, exact, ties counted half.

    Args:
        score: of shape (N,).
        label: of shape (N,), 0 or 1.
    """
    _, place = np.unique(score, return_inverse=True)  # equal scores share a place
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    positive = label[order] > 0.5

    def statistic(weight: Floats) -> Floats:
        weight = weight[:, order]
        up = np.add.reduceat(weight * positive, starts, axis=1)
        down = np.add.reduceat(weight * ~positive, starts, axis=1)
        below = down.cumsum(1) - down
        pairs = up.sum(1) * down.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 0, (up * (below + down / 2)).sum(1) / pairs, np.nan)

    return statistic


def mean_statistic(value: NDArray[np.floating], applies: NDArray[np.bool_]) -> Statistic:
    """The mean of a value over weighted rows, over those that it applies to.

    Args:
        value: of shape (N,).
        applies: of shape (N,).
    """
    chosen = np.where(applies, value, 0.0)

    def statistic(weight: Floats) -> Floats:
        total = weight @ applies.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, weight @ chosen / total, np.nan)

    return statistic
