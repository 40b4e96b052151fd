"""Train, validation and test rows: exact shares in every domain and label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlorakit.data.splits import split_by_time, split_in_order, stratified_split

Rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=300)


def arrays(rows: list[tuple[int, int]]) -> tuple[NDArray, NDArray]:
    return np.array([d for d, _ in rows]), np.array([label for _, label in rows])


def counts(split: NDArray) -> list[int]:
    return np.bincount(split, minlength=3).tolist()


@given(Rows)
def test_a_domain_gives_three_fifths_to_train_and_halves_the_rest(
    rows: list[tuple[int, int]],
) -> None:
    domain, label = arrays(rows)
    split = stratified_split(domain, label, seed=1)
    for d in np.unique(domain):
        n = int((domain == d).sum())
        rest = n - 3 * n // 5
        assert counts(split[domain == d]) == [3 * n // 5, rest // 2, rest - rest // 2]


@given(Rows)
def test_shares_of_a_label_are_exact_to_one_row(rows: list[tuple[int, int]]) -> None:
    domain, label = arrays(rows)
    split = stratified_split(domain, label, seed=1)
    for d in np.unique(domain):
        for value in (0, 1):
            chosen = (domain == d) & (label == value)
            n = int(chosen.sum())
            for part, share in enumerate((0.6, 0.2, 0.2)):
                assert abs(counts(split[chosen])[part] - share * n) <= 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, [0, 0, 1]), (2, [1, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1]), (0, [0] * 3)],
)
def test_tiny_domains(rows: int, expected: list[int]) -> None:
    split = stratified_split(np.zeros(rows, int), np.zeros(rows, int), seed=1)
    assert counts(split) == expected


def test_the_counts_of_movielens_by_gender() -> None:
    domain = np.repeat([0, 1], [246_440, 753_769])
    label = np.concatenate([np.arange(246_440) < 58_546, np.arange(753_769) < 167_764]).astype(int)
    assert counts(stratified_split(domain, label, seed=123)) == [600_125, 200_042, 200_042]


def test_a_seed_repeats_and_another_differs() -> None:
    domain, label = np.arange(500) % 3, np.arange(500) % 2
    first = stratified_split(domain, label, seed=1)
    assert (stratified_split(domain, label, seed=1) == first).all()
    assert (stratified_split(domain, label, seed=2) != first).any()


def test_rows_are_taken_at_random() -> None:
    # Without shuffling, the train rows would stand at the same places of every five.
    split = stratified_split(np.zeros(5000, int), np.zeros(5000, int), seed=1)
    by_place = (split.reshape(-1, 5) == 0).mean(0)
    assert (abs(by_place - 0.6) < 0.08).all()


def test_labels_of_one_class_and_domains_with_gaps_are_fine() -> None:
    split = stratified_split(np.array([7] * 10 + [2] * 5), np.ones(15, int), seed=1)
    assert counts(split[:10]) == [6, 2, 2]
    assert counts(split[10:]) == [3, 1, 1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, [0, 0, 1]), (2, [1, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1]), (7, [4, 1, 2])],
)
def test_a_group_in_order_rounds_towards_test(rows: int, expected: list[int]) -> None:
    group = np.repeat([3, 5, 9], [2, rows, 5])
    assert counts(split_in_order(group)[2:-5]) == expected
    assert split_in_order(group)[:2].tolist() == [0, 2]
    assert split_in_order(group)[-5:].tolist() == [0, 0, 0, 1, 2]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_groups_in_order_are_what_a_loop_gives(groups: list[int]) -> None:
    group = np.sort(groups)
    split = split_in_order(group)
    for value in set(groups):
        n = groups.count(value)
        train, rest = 3 * n // 5, n - 3 * n // 5
        expected = [0] * train + [1] * (rest // 2) + [2] * (rest - rest // 2)
        assert split[group == value].tolist() == expected


def test_no_rows_have_no_split() -> None:
    assert split_in_order(np.empty(0, np.int32)).tolist() == []


def test_the_earliest_rows_of_each_domain_train() -> None:
    domain = np.array([1, 0, 1, 0, 1, 1, 0, 1])
    time = np.array([50, 9, 10, 7, 40, 30, 8, 20])
    assert split_by_time(domain, time).tolist() == [2, 2, 0, 0, 1, 0, 1, 0]


def test_rows_of_one_time_stay_in_their_order() -> None:
    assert split_by_time(np.zeros(5, int), np.zeros(5)).tolist() == [0, 0, 0, 1, 2]
