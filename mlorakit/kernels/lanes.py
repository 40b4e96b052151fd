"""Blocks of rows with the rows as the last axis, for loops over few fields and small vectors.

A loop over the 3 fields or the 8 values of an embedding is too short for a processor's vectors. A
block is an array of shape (M, N, LANES) of what each of its rows has as an (M, N) matrix, so the
same arithmetic runs over `LANES` rows side by side. Rows that a batch's last block lacks are zeros.
"""

import numpy as np

from mlorakit.kernels import dense
from mlorakit.kernels.jit import serial

LANES = 64
"""Rows of a block."""


def blocks_and_shards(rows: int, work: int) -> tuple[int, int]:
    """The number of blocks of a batch, and of shards that they are computed in.

    Args:
        rows: of the batch.
        work: how many rows of the MLP a row is worth.
    """
    blocks = -(-rows // LANES)
    return blocks, min(blocks, dense.shards_of(rows * work))


@serial
def to_lanes(x, first, block):  # type: ignore[no-untyped-def]
    """block[m, n, i] = x[first + i, m, n], and 0 after the last row; x (B, M, N)."""
    rows = min(x.shape[0] - first, LANES)
    for m in range(x.shape[1]):
        for n in range(x.shape[2]):
            to = block[m, n]
            for i in range(rows):
                to[i] = x[first + i, m, n]
            for i in range(rows, LANES):
                to[i] = np.float32(0)


@serial
def from_lanes(block, first, x):  # type: ignore[no-untyped-def]
    """x[first + i, m, n] = block[m, n, i]; x (B, M, N)."""
    rows = min(x.shape[0] - first, LANES)
    for m in range(x.shape[1]):
        for n in range(x.shape[2]):
            source = block[m, n]
            for i in range(rows):
                x[first + i, m, n] = source[i]


@serial
def matrix(block):  # type: ignore[no-untyped-def]
    """(M, N, L) as (M, N L)."""
    return block.reshape(block.shape[0], -1)
