"""Paired differences and Holm's correction."""

import math

import pytest

from mlorakit.statistics import holm, paired_difference


def test_paired_difference_by_hand() -> None:
    first = {"1": 0.5, "2": 0.75, "3": 1.0}
    second = {"1": 0.25, "2": 0.25, "3": 0.25}
    # Differences 1/4, 2/4, 3/4: mean 1/2, deviation 1/4, t = (1/2) / (1/4 / sqrt 3) = sqrt 12.
    # With 2 degrees of freedom P(T > t) = 1/2 - t / (2 sqrt(2 + t^2)).
    found = paired_difference(first, second)
    assert (found.mean, found.std) == (0.5, 0.25)
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14))


def test_seeds_are_paired_by_name_and_not_by_order() -> None:
    first = {"2": 3.0, "1": 1.0, "10": 9.0}
    second = {"1": 1.0, "2": 1.0, "3": 100.0}
    assert paired_difference(first, second).mean == (0 + 2) / 2


def test_one_seed_has_neither_spread_nor_p() -> None:
    found = paired_difference({"1": 0.75}, {"1": 0.5, "2": 0.9})
    assert (found.mean, found.std, found.p) == (0.25, None, None)


def test_equal_differences_have_no_p() -> None:
    found = paired_difference({"1": 0.75, "2": 0.5}, {"1": 0.5, "2": 0.25})
    assert (found.mean, found.std, found.p) == (0.25, 0.0, None)


def test_no_seed_in_common_is_refused_with_both_sides() -> None:
    with pytest.raises(ValueError, match=r"\['1', '2'\].*\['3'\]"):
        paired_difference({"1": 0.5, "2": 0.5}, {"3": 0.5})


def test_holm_by_hand() -> None:
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, each at least the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one() -> None:
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_comparisons_without_a_p_do_not_count() -> None:
    assert holm([None, 0.02, None, 0.03]) == [None, 0.04, None, 0.04]
    assert holm([None]) == [None]
    assert holm([]) == []
