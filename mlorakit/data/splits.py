"""Train, validation and test rows."""

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")


def stratified_split(
    domain: NDArray[np.integer], label: NDArray[np.integer], seed: int
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
