"""Train, validation and test rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")


def stratified_split(
    domain: NDArray[np.integer], label: NDArray[np.integer], seed: int | Sequence[int]
) -> NDArray[np.int8]:
    """Assign rows to train, validation and test, 60 / 20 / 20 in every domain and label.

    A domain of n rows gives floor(3 n / 5) rows to train and halves the rest, the odd row going to
    test; each label's share is exact to one row. These are the counts of MLoRA's two calls of
    scikit-learn's `train_test_split` per domain.

    Args:
        domain: of shape (N,).
        label: of shape (N,).
        seed: of the random order within a domain and label.

    Returns:
        Array of shape (N,): 0 train, 1 validation, 2 test.
    """
    shuffled = np.random.default_rng(seed).permutation(len(domain))
    order = np.lexsort((shuffled, label, domain))
    split = np.empty(len(domain), dtype=np.int8)
    for rows in np.split(order, np.flatnonzero(np.diff(domain[order])) + 1):
        # Every step of 3/5 that crosses a whole number is a train row: an even spread over the
        # rows sorted by label, hence over the labels.
        step = np.arange(len(rows))
        in_train = (3 * (step + 1)) // 5 > (3 * step) // 5
        rest = rows[~in_train]
        split[rows[in_train]] = 0
        split[rest[1::2]] = 1
        split[rest[0::2]] = 2
    return split


def split_clusters(cluster: NDArray[np.integer], seed: int) -> NDArray[np.int8]:
    """Assign whole clusters to train, validation and test, 60 / 20 / 20 of the clusters.

    Args:
        cluster: of shape (N,); rows of a session or user share a number.
        seed: of the random order.

    Returns:
        Array of shape (N,): 0 train, 1 validation, 2 test.
    """
    names, number = np.unique(cluster, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    part = np.zeros(len(names), dtype=np.int8)
    train, rest = (3 * len(names)) // 5, len(names) - (3 * len(names)) // 5
    part[order[train : train + rest // 2]] = 1
    part[order[train + rest // 2 :]] = 2
    return part[number]


def split_rows(count: int, seed: int) -> NDArray[np.int8]:
    """Assign rows to train, validation and test, 60 / 20 / 20."""
    return split_clusters(np.arange(count), seed)


def split_in_order(group: NDArray[np.integer]) -> NDArray[np.int8]:
    """Assign the first rows of every group to train, the next to validation, the last to test.

    A group of n rows gives floor(3 n / 5) to train and halves the rest, the odd row going to test:
    small groups round towards test, as where MLoRA's released code splits the negatives of each
    user by themselves.

    Args:
        group: of shape (N,), not decreasing.

    Returns:
        Array of shape (N,): 0 train, 1 validation, 2 test.
    """
    n = len(group)
    starts = np.flatnonzero(np.diff(group, prepend=group[:1] - 1)) if n else np.empty(0, np.int64)
    sizes = np.diff(starts, append=n)
    place = np.arange(n) - np.repeat(starts, sizes)
    train = 3 * sizes // 5
    validation = train + (sizes - train) // 2
    after = (place >= np.repeat(train, sizes)).astype(np.int8)
    return after + (place >= np.repeat(validation, sizes))


def split_by_time(domain: NDArray[np.integer], time: NDArray[np.generic]) -> NDArray[np.int8]:
    """Assign each domain's earliest rows to train, the next to validation, the latest to test.

    The shares are those of `split_in_order`; rows of one time stay in their order. (The released
    code of MLoRA cuts by time before validation only, and shuffles what comes after.)

    Args:
        domain: of shape (N,).
        time: of shape (N,), of any type that can be sorted.

    Returns:
        Array of shape (N,): 0 train, 1 validation, 2 test.
    """
    order = np.lexsort((time, domain))
    split = np.empty(len(domain), dtype=np.int8)
    split[order] = split_in_order(domain[order])
    return split
