"""Sums over arrays for compiled loops; on the calling thread, in order."""

import numpy as np

from mlorakit.kernels.jit import serial


@serial
def clear(x):  # type: ignore[no-untyped-def]
    """Sets a contiguous array to zeros."""
    flat = x.reshape(-1)
    for i in range(flat.size):
        flat[i] = np.float32(0)


@serial
def add(y, x):  # type: ignore[no-untyped-def]
    """Y += x, of matrices."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += x[i, j]


@serial
def add_row(y, row):  # type: ignore[no-untyped-def]
    """Adds a row to each of a matrix."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += row[j]


@serial
def sum_shards(parts):  # type: ignore[no-untyped-def]
    """The first of the parts, (shards, N), becomes their sum."""
    for shard in range(1, parts.shape[0]):
        for i in range(parts.shape[1]):
            parts[0, i] += parts[shard, i]


@serial
def sum_rows(x, total):  # type: ignore[no-untyped-def]
    """Fills total with the sum of a matrix's rows."""
    clear(total)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total[j] += x[i, j]
