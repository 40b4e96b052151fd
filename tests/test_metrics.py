"""Exact AUC, per domain and over domains."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mlorakit.kernels.groups import DomainGroups
from mlorakit.metrics import auc, domain_auc, mean_auc, weighted_auc

Rows = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=200)


def test_auc_by_hand() -> None:
    # Pairs (positive, negative): 0.9 beats 0.8 and 0.4; 0.4 loses to 0.8 and ties with 0.4.
    score = torch.tensor([0.8, 0.9, 0.4, 0.4])
    label = torch.tensor([0.0, 1.0, 1.0, 0.0])
    assert auc(score, label) == (1 + 1 + 0 + 0.5) / 4


@given(Rows)
def test_auc_is_scikit_learns_with_many_ties(rows: list[tuple[int, bool]]) -> None:
    label = [positive for _, positive in rows]
    assume(0 < sum(label) < len(label))
    score = [float(s) for s, _ in rows]
    ours = auc(torch.tensor(score), torch.tensor(label).float())
    assert ours == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_auc_is_exact_on_many_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(200_000, generator=generator) < 0.2).float()
    score = torch.randn(200_000, generator=generator) + label
    expected = roc_auc_score(label.numpy(), score.numpy())
    assert auc(score, label) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("scores", "expected"), [([1, 2], 1.0), ([2, 1], 0.0), ([1, 1], 0.5)])
def test_auc_of_two_rows(scores: list[int], expected: float) -> None:
    assert auc(torch.tensor(scores).float(), torch.tensor([0.0, 1.0])) == expected


@pytest.mark.parametrize("label", [[0.0, 0.0], [1.0, 1.0], []])
def test_auc_of_one_class_is_not_defined(label: list[float]) -> None:
    assert math.isnan(auc(torch.zeros(len(label)), torch.tensor(label)))


def test_domain_auc_takes_each_domain_apart() -> None:
    # Domain 0: right order; domain 1: no rows; domain 2: one class; domain 3: wrong order.
    score = torch.tensor([1.0, 2.0, 0.0, 9.0, 5.0, 4.0])
    label = torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    domain = torch.tensor([0, 0, 2, 2, 3, 3])
    first, second, third, fourth = domain_auc(
        score, label, DomainGroups(domain, torch.tensor([2, 2, 4, 6]))
    )
    assert (first, fourth) == (1.0, 0.0)
    assert math.isnan(second)
    assert math.isnan(third)


def test_wauc_by_hand() -> None:
    assert weighted_auc([0.5, 0.75], [100, 300]) == (0.5 * 100 + 0.75 * 300) / 400
    assert mean_auc([0.5, 0.75]) == 0.625


def test_domains_without_both_classes_are_left_out() -> None:
    aucs = [0.5, math.nan, 0.75]
    assert weighted_auc(aucs, [100, 5000, 300]) == (0.5 * 100 + 0.75 * 300) / 400
    assert mean_auc(aucs) == 0.625


def test_without_any_domain_there_is_no_score() -> None:
    assert math.isnan(weighted_auc([math.nan], [3]))
    assert math.isnan(mean_auc([math.nan]))
