"""Negative rows: items of a domain that a user did not touch, drawn without replacement."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlorakit.progress import progress

_CHUNK = 1 << 22  # pairs handled at once, or all those of one user
_DENSE = 2  # a user who needs more than 1 / _DENSE of the items gets a shuffle of all of them

Ints = NDArray[np.int32]


def draw_ctr_ratio(low: float, high: float, seed: Sequence[int]) -> float:
    """Positives per negative of a domain, round(U(low, high), 2) as in MAMDR's data."""
    return round(float(np.random.default_rng(seed).uniform(low, high)), 2)


def sample_negatives(
    user: Ints, item: Ints, n_items: int, ctr_ratio: float, seed: int | Sequence[int]
) -> tuple[Ints, Ints]:
    """Draw int(positives / ctr_ratio) items per user that the user did not touch.

    A user who left fewer items untouched gets all of them. The items are a uniform sample without
    replacement, in an order that is random too. Users are taken in chunks of `_CHUNK` pairs, so
    memory beyond the result does not grow with the data. Everything is computed on one thread and
    depends on the arguments alone.

    Args:
        user: of shape (P,), from 0; the positives of one domain, each (user, item) once.
        item: of shape (P,), below `n_items`.
        n_items: I, number of items of the domain.
        ctr_ratio: positives per negative, above 0.
        seed: of the draw.

    Returns:
        Arrays of users and items of shape (Q,), users in ascending order.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(user, kind="stable")
    user, item = user[order], item[order]
    touched = np.bincount(user)
    wanted = np.minimum((touched / ctr_ratio).astype(np.int64), n_items - touched)
    first = np.concatenate(([0], np.cumsum(touched)))
    dense = _DENSE * (touched + wanted) > n_items
    cost = np.where(dense, n_items, touched + wanted)
    users, items = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    chunks = _chunks(cost)
    # One chunk is done in less time than a bar takes to read.
    bar = progress(chunks, description="drawing negatives", unit="chunks") if chunks[1:] else chunks
    for start, end in bar:
        # Users of this chunk count from 0.
        taken = user[first[start] : first[end]] - start, item[first[start] : first[end]]
        want, is_dense = wanted[start:end], dense[start:end]
        drawn = [
            _by_rejection(*taken, np.where(is_dense, 0, want), n_items, rng),
            _by_shuffle(*taken, np.where(is_dense, want, 0), n_items, rng),
        ]
        who, what = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        by_user = np.argsort(who, kind="stable")
        users.append((who[by_user] + start).astype(np.int32))
        items.append(what[by_user].astype(np.int32))
    return np.concatenate(users), np.concatenate(items)


def _chunks(cost: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of users whose costs add up to `_CHUNK` at most, or of one user."""
    total = np.cumsum(cost)
    ranges, start = [], 0
    while start < len(cost):
        before = total[start - 1] if start else 0
        end = max(int(np.searchsorted(total, before + _CHUNK, side="right")), start + 1)
        ranges.append((start, end))
        start = end
    return ranges


def _by_rejection(
    user: Ints, item: Ints, wanted: NDArray[np.int64], n_items: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Draw with replacement, drop what was touched or drawn before, and draw again what is missing.

    The first `wanted` distinct untouched items of a sequence of uniform draws are a uniform sample
    without replacement, and in random order.
    """
    taken = (user * np.int64(n_items) + item)[wanted[user] > 0]
    missing = wanted.copy()
    kept = []
    while missing.any():
        # Only users who still miss some; what they have is taken.
        taken = taken[missing[taken // n_items] > 0]
        who = np.repeat(np.arange(len(missing)), missing)
        drawn = who * n_items + rng.integers(n_items, size=len(who))
        pairs = np.concatenate((taken, drawn))
        order = np.argsort(pairs, kind="stable")
        repeats = order[1:][pairs[order[1:]] == pairs[order[:-1]]]
        fresh = np.ones(len(pairs), dtype=bool)
        fresh[repeats] = False  # the first of equal pairs stays, and touched ones come first
        drawn = drawn[fresh[len(taken) :]]
        kept.append(drawn)
        missing = missing - np.bincount(drawn // n_items, minlength=len(missing))
        taken = np.concatenate((taken, drawn))
    pairs = np.concatenate(kept) if kept else np.empty(0, np.int64)
    return pairs // n_items, pairs % n_items


def _by_shuffle(
    user: Ints, item: Ints, wanted: NDArray[np.int64], n_items: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Shuffle all items, touched ones last, and take the first `wanted`; a row per user."""
    rows = np.flatnonzero(wanted)
    row_of = np.full(len(wanted), -1)
    row_of[rows] = np.arange(len(rows))
    key = rng.random((len(rows), n_items))
    here = row_of[user] >= 0
    key[row_of[user][here], item[here]] = 2
    shuffled = np.argsort(key, axis=1, kind="stable")
    row, place = np.nonzero(np.arange(n_items) < wanted[rows, None])
    return rows[row], shuffled[row, place]
