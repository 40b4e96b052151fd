"""Negatives: how many, which, and that they are a uniform sample in random order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlorakit.data import sampling
from mlorakit.data.sampling import draw_ctr_ratio, sample_negatives


def by_user(
    user: NDArray, item: NDArray, n_items: int, ctr_ratio: float
) -> dict[int, tuple[set[int], int]]:
    """A plain reference: of each user the items that may be drawn, and how many are."""
    allowed = {}
    for u in range(user.max() + 1):
        touched = set(item[user == u].tolist())
        rest = set(range(n_items)) - touched
        allowed[u] = rest, min(int(len(touched) / ctr_ratio), len(rest))
    return allowed


@st.composite
def positives(draw: st.DrawFn) -> tuple[NDArray, NDArray, int]:
    n_items = draw(st.integers(1, 30))
    pair = st.tuples(st.integers(0, 8), st.integers(0, n_items - 1))
    pairs = draw(st.lists(pair, min_size=1, max_size=60, unique=True))
    user, item = np.array(pairs, dtype=np.int32).T
    return user, item, n_items


@given(positives(), st.sampled_from([0.05, 0.2, 0.33, 0.5, 1.0, 4.0]), st.sampled_from([1, 40]))
def test_counts_and_items_are_those_of_a_loop(
    drawn: tuple[NDArray, NDArray, int], ctr_ratio: float, chunk: int
) -> None:
    user, item, n_items = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_CHUNK", chunk)
        for_user, negative = sample_negatives(user, item, n_items, ctr_ratio, 3)
    assert (np.diff(for_user) >= 0).all()
    assert for_user.dtype == negative.dtype == np.int32
    for u, (rest, count) in by_user(user, item, n_items, ctr_ratio).items():
        chosen = negative[for_user == u].tolist()
        assert len(chosen) == len(set(chosen)) == count
        assert set(chosen) <= rest


@pytest.mark.parametrize("dense", [1e-9, 1e9], ids=["by rejection", "by shuffle"])
def test_every_set_and_order_is_as_likely(monkeypatch: pytest.MonkeyPatch, dense: float) -> None:
    # 2 of 4 untouched items in order: 12 outcomes, 24,000 users, 2,000 each; 5 deviations is 214.
    monkeypatch.setattr(sampling, "_DENSE", dense)
    users = 24_000
    user = np.repeat(np.arange(users, dtype=np.int32), 2)
    item = np.tile(np.array([1, 4], dtype=np.int32), users)
    _, negative = sample_negatives(user, item, 6, 1.0, 7)
    first, second = negative.reshape(users, 2).T
    counts = np.bincount(first * 6 + second, minlength=36)
    assert np.count_nonzero(counts) == 12
    assert abs(counts[counts > 0] - 2000).max() < 214


def test_all_untouched_items_are_taken_where_there_are_fewer() -> None:
    user, item = np.zeros(4, np.int32), np.array([0, 2, 4, 6], np.int32)
    for_user, negative = sample_negatives(user, item, 7, 0.2, 1)
    assert for_user.tolist() == [0, 0, 0]
    assert sorted(negative.tolist()) == [1, 3, 5]


def test_a_user_who_touched_everything_has_none() -> None:
    for_user, negative = sample_negatives(
        np.array([0, 0, 1], np.int32), np.array([0, 1, 1], np.int32), 2, 0.5, 1
    )
    assert (for_user.tolist(), negative.tolist()) == ([1], [0])


def test_the_number_is_rounded_down() -> None:
    for_user, _ = sample_negatives(np.zeros(3, np.int32), np.arange(3, dtype=np.int32), 99, 0.41, 1)
    assert len(for_user) == 7  # 3 / 0.41 = 7.3


def test_a_seed_decides_everything_and_the_order_of_positives_nothing() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.permutation(50 * 40)[:400]
    user, item = (pairs // 40).astype(np.int32), (pairs % 40).astype(np.int32)
    first = np.stack(sample_negatives(user, item, 40, 0.3, 5))
    assert (np.stack(sample_negatives(user, item, 40, 0.3, 5)) == first).all()
    order = rng.permutation(400)
    assert (np.stack(sample_negatives(user[order], item[order], 40, 0.3, 5)) == first).all()
    assert (np.stack(sample_negatives(user, item, 40, 0.3, 6)) != first).any()


def test_ratios_are_drawn_with_two_digits() -> None:
    ratios = [draw_ctr_ratio(0.2, 0.5, (1, place)) for place in range(500)]
    assert all(round(ratio, 2) == ratio and 0.2 <= ratio <= 0.5 for ratio in ratios)
    assert np.mean(ratios) == pytest.approx(0.35, abs=0.02)
    assert draw_ctr_ratio(0.25, 0.25, (1, 0)) == 0.25


def test_a_bar_is_shown_where_there_is_more_than_one_chunk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user, item = (
        np.repeat(np.arange(6, dtype=np.int32), 2),
        np.tile(np.arange(2, dtype=np.int32), 6),
    )
    whole = sampling.sample_negatives(user, item, 40, 0.5, 1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sampling, "_CHUNK", 12)
    parts = sampling.sample_negatives(user, item, 40, 0.5, 1)
    assert "drawing negatives: 100%" in capsys.readouterr().err
    assert parts[0].tolist() == whole[0].tolist()
