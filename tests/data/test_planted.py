"""Planted tastes: exact probabilities, the best AUC, and domains that are alike without a shift."""

from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mlorakit.data import planted
from mlorakit.data.planted import PlantedDomain, PlantedSpec, draw_domains, draw_tastes
from mlorakit.data.sampling import sample_negatives

SPEC = PlantedSpec(
    domains=2, users=300, items=80, presence=0.5, positives=8, rank=2, signal=1.5, shift=1.5, seed=3
)


def domains_of(spec: PlantedSpec) -> list[PlantedDomain]:
    rng = np.random.default_rng(spec.seed)
    return list(draw_domains(spec, draw_tastes(spec, rng), rng))


def test_a_user_has_five_positives_or_more_each_once() -> None:
    for domain in domains_of(SPEC):
        counts = np.bincount(domain.user, minlength=300)
        assert counts[counts > 0].min() >= 5
        assert counts[counts > 0].mean() == pytest.approx(8, abs=0.8)
        assert np.flatnonzero(counts).tolist() == domain.present.tolist()
        assert len(domain.present) == 150
        assert len({*zip(domain.user, domain.item, strict=True)}) == len(domain.user)
        assert domain.probability.sum(1) == pytest.approx(counts[domain.present])


def test_items_are_drawn_with_their_probabilities() -> None:
    p = np.array([[0.9, 0.5, 0.3, 0.2, 0.1]])
    rng = np.random.default_rng(0)
    drawn = planted._systematic(np.repeat(p, 20_000, axis=0), rng)
    assert (drawn.sum(1) == 2).all()
    assert drawn.mean(0) == pytest.approx(p[0], abs=0.015)  # 4 standard errors


def test_the_best_auc_by_hand() -> None:
    # One user of one positive in expectation: pairs of a positive and a negative that differ.
    domain = PlantedDomain(*np.zeros((3, 0), int), probability=np.array([[0.8, 0.2]]))
    positive, negative = np.array([0.8, 0.2]), np.array([0.2, 0.8])
    by_hand = positive[0] * negative[1] + (positive * negative).sum() / 2
    assert domain.bayes_auc() == pytest.approx(by_hand)


def scored(domain: PlantedDomain, score: NDArray) -> float:
    """The AUC that a score of pairs reaches on the positives and on sampled negatives."""
    row = np.searchsorted(domain.present, domain.user).astype(np.int32)
    user, negative = sample_negatives(row, domain.item.astype(np.int32), 80, 0.25, 9)
    rows, items = np.append(row, user), np.append(domain.item, negative)
    label = np.repeat([1, 0], [len(row), len(user)])
    return float(roc_auc_score(label, score[rows, items]))


def test_the_true_odds_reach_the_best_auc_on_sampled_rows_and_nothing_else_does() -> None:
    spec = PlantedSpec(**asdict(SPEC) | {"users": 4000})
    first, second = domains_of(spec)
    assert scored(first, first.odds()) == pytest.approx(first.bayes_auc(), abs=0.01)
    shared = np.isin(first.present, second.present)
    other = np.zeros_like(first.probability)
    other[shared] = second.odds()[np.isin(second.present, first.present)]
    assert scored(first, other) < first.bayes_auc() - 0.1


def test_without_a_shift_the_domains_are_alike() -> None:
    spec = PlantedSpec(**asdict(SPEC) | {"presence": 1.0, "shift": 0.0})
    first, second = domains_of(spec)
    assert (np.diff(np.take_along_axis(
        second.probability, np.argsort(first.probability, axis=1), 1
    )) >= -1e-12).all()  # fmt: skip
    shifted = domains_of(PlantedSpec(**asdict(SPEC) | {"presence": 1.0}))
    order = np.argsort(shifted[0].probability, axis=1)
    assert (np.diff(np.take_along_axis(shifted[1].probability, order, 1)) < 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positives": 21}, "positives = 21.0 exceeds a quarter of the 80 items"),
        ({"items": 10}, "items"),
        ({"presence": 0}, "presence"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_spec_that_cannot_be_drawn_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlantedSpec(**asdict(SPEC) | change)
