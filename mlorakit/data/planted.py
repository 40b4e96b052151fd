"""Positives of several domains with a known truth: tastes that a domain shifts by a low rank."""

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.special import expit
from sklearn.metrics import roc_auc_score

Floats = NDArray[np.float64]

LEAST = 5
"""Positives of a user in a domain, at least, as in a 5-core."""

_SIZE = 8  # of the vectors of users and items


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PlantedSpec:
    """What is drawn, `generated_amazon` and `generated_taobao` in params.yaml.

    Args:
        domains: how many.
        users, items: how many of each, the items being those of every domain.
        presence: share of the users who are in a domain.
        positives: of a user in a domain, on average.
        rank: of each domain's shift of the shared taste.
        signal: standard deviation of the shared taste.
        shift: that of the domain's own taste beside it; 0 makes the domains alike.
        seed: of everything.
    """

    domains: Annotated[int, Field(ge=1)]
    users: Annotated[int, Field(ge=2)]
    items: Annotated[int, Field(ge=4 * LEAST)]
    presence: Annotated[float, Field(gt=0, le=1)]
    positives: Annotated[float, Field(ge=LEAST)]
    rank: Annotated[int, Field(ge=1)]
    signal: Annotated[float, Field(ge=0)]
    shift: Annotated[float, Field(ge=0)]
    seed: int

    def __post_init__(self) -> None:
        if self.positives > self.items / 4:
            raise ValueError(
                f"positives = {self.positives} exceeds a quarter of the {self.items} items"
            )


@plain_dataclass(frozen=True)
class Tastes:
    """Vectors that scores are products of.

    Args:
        users: of shape (users, 8).
        items: of shape (items, 8).
        popularity: of shape (items,).
    """

    users: Floats
    items: Floats
    popularity: Floats


@plain_dataclass(frozen=True)
class PlantedDomain:
    """A domain's positives and the truth of them.

    Args:
        user, item: of shape (P,), every pair once, in random order.
        present: the users of the domain, of shape (U,).
        probability: of shape (U, items): that of each pair to be positive.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    present: NDArray[np.int64]
    probability: Floats

    def bayes_auc(self) -> float:
        """The AUC that the best model expects, see `odds`.

        It is that of all pairs, each a positive with its probability and a negative with the
        expected number of times that it is sampled; no row drawn has a say in it.
        """
        p = self.probability.ravel()
        odds = self.odds().ravel()
        return float(
            roc_auc_score(
                np.repeat([1, 0], p.size), np.tile(odds, 2), sample_weight=np.append(p, p / odds)
            )
        )

    def odds(self) -> Floats:
        """Odds of a pair in the data set to be positive, up to a factor; of shape (U, items).

        A user of k positives has negatives drawn evenly from the other items, in proportion to k,
        so that each of n items without a click is drawn in proportion to k / (n - k). That users'
        numbers of negatives are rounded down is left out.
        """
        k = self.probability.sum(1, keepdims=True)
        drawn = k / (self.probability.shape[1] - k)
        return self.probability / ((1 - self.probability) * drawn)


def draw_tastes(spec: PlantedSpec, rng: np.random.Generator) -> Tastes:
    """Normal vectors whose products have variance 1."""
    return Tastes(
        rng.normal(size=(spec.users, _SIZE)),
        rng.normal(size=(spec.items, _SIZE)) / np.sqrt(_SIZE),
        rng.normal(size=spec.items),
    )


def draw_domains(
    spec: PlantedSpec, tastes: Tastes, rng: np.random.Generator
) -> Iterator[PlantedDomain]:
    """Domains one after the other.

    The score of user i and item j in domain d is b_j + signal u_i v_j + shift u_i P_d Q_d v_j,
    where P_d has `rank` columns. A user has 5 positives or more; the probability that an item is
    one is sigmoid(score + c), c being such that the probabilities add up to their number.
    """
    size = max(1, round(spec.presence * spec.users))
    for _ in range(spec.domains):
        down = rng.normal(size=(_SIZE, spec.rank)) / np.sqrt(_SIZE)
        up = rng.normal(size=(spec.rank, _SIZE)) / np.sqrt(spec.rank)
        present = np.sort(rng.choice(spec.users, size=size, replace=False))
        users = tastes.users[present]
        score = tastes.popularity + (spec.signal * users + spec.shift * users @ down @ up) @ (
            tastes.items.T
        )
        count = LEAST + rng.poisson(spec.positives - LEAST, size=size)
        probability = _adding_up_to(np.minimum(count, spec.items // 2), score)
        row, item = np.nonzero(_systematic(probability, rng))
        order = rng.permutation(len(row))
        yield PlantedDomain(present[row[order]], item[order], present, probability)


def _adding_up_to(count: NDArray[np.int64], score: Floats) -> Floats:
    """sigmoid(score + c), c by bisection such that each row adds up to its count."""
    low, high = np.full(len(score), -60.0), np.full(len(score), 60.0)
    for _ in range(60):
        middle = (low + high) / 2
        over = expit(score + middle[:, None]).sum(1) > count
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return expit(score + low[:, None])


def _systematic(probability: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Systematic sampling in random order: exact probabilities, and as many as they add up to.

    The probabilities are laid end to end from a random start, and an item is drawn where its piece
    holds a whole number (Madow, 1949).
    """
    order = np.argsort(rng.random(probability.shape), axis=1)
    ends = np.cumsum(np.take_along_axis(probability, order, 1), axis=1)
    ends *= np.rint(ends[:, -1:]) / ends[:, -1:]
    whole = np.floor(ends + rng.random((len(ends), 1)))
    drawn = np.diff(whole, axis=1, prepend=0) > 0
    result = np.empty(probability.shape, dtype=bool)
    np.put_along_axis(result, order, drawn, 1)
    return result
