"""FiBiNET's bilinear interactions of E and of SENet's E, over blocks of rows.

SENet multiplies each field of a row by a number, so an interaction of the weighted fields f and g
is that of the fields themselves times both numbers, and one pass makes both. Arrays of the compiled
loops are float32 and C-contiguous; what ends in L is a block, see `lanes`, with L = LANES.
"""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.blas import sgemm_address
from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.jit import parallel, serial
from mlorakit.kernels.lanes import LANES, blocks_and_shards, from_lanes, to_lanes
from mlorakit.kernels.pairs import of_pairs
from mlorakit.kernels.products import times, times_transposed, transposed_times
from mlorakit.kernels.sums import clear


def bilinear_interactions(e: Tensor, weight: Tensor) -> Tensor:
    """(e_i W_ij) * e_j of every pair of fields (arXiv 1905.09433, eq. 8), in plain PyTorch.

    Args:
        e: field embeddings of shape (B, F, K).
        weight: W of every pair, see `pairs`, of shape (P, K, K) with P = F (F - 1) / 2.

    Returns:
        Tensor of shape (B, P, K).
    """
    first, second = of_pairs(e)
    return torch.einsum("bpk,pkl->bpl", first, weight) * second


def bilinear_reference(e: Tensor, share: Tensor, weight: Tensor) -> Tensor:
    """The plain form of `bilinear`."""
    weighted = e * share.unsqueeze(2)
    return torch.cat([bilinear_interactions(x, weight) for x in (weighted, e)], 1)


def bilinear(e: Tensor, share: Tensor, weight: Tensor) -> Tensor:
    """`bilinear_interactions` of the weighted fields and of the fields.

    Args:
        e: field embeddings of shape (B, F, K).
        share: SENet's weight of each field, of shape (B, F).
        weight: of shape (P, K, K).

    Returns:
        Tensor of shape (B, 2 P, K), the weighted pairs first.
    """
    if runs_compiled(e) and e.numel() and len(weight):
        return _Bilinear.apply(e, share, weight)
    return bilinear_reference(e, share, weight)


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, e: Tensor, share: Tensor, weight: Tensor) -> Tensor:
        _, shards = blocks_and_shards(len(e), 1)
        arrays = tuple(array_of(x.contiguous()) for x in (e, share, weight))
        ctx.used = sgemm_address(), shards, *arrays
        out = e.new_empty(len(e), 2 * len(weight), e.shape[2])
        _forward(*ctx.used, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, shards, e, share, weight = ctx.used
        of_e, of_share = np.empty_like(e), np.empty_like(share)
        of_weight = np.empty((shards, *weight.shape), np.float32)
        _backward(*ctx.used, array_of(grad.contiguous()), of_e, of_share, of_weight)
        sums = torch.from_numpy(of_weight.sum(0))
        return torch.from_numpy(of_e), torch.from_numpy(of_share), sums


@parallel
def _forward(function, shards, e, share, weight, out):  # type: ignore[no-untyped-def]
    """Fills out (B, 2 P, K); the other arguments are as `bilinear` has them."""
    (rows, fields, size), n_pairs, blocks = e.shape, len(weight), -(-e.shape[0] // LANES)
    for shard in numba.prange(shards):
        x, y = (
            np.empty((fields, size, LANES), np.float32),
            np.empty((2 * n_pairs, size, LANES), np.float32),
        )
        shares = np.empty((fields, 1, LANES), np.float32)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            to_lanes(e, block * LANES, x)
            to_lanes(share.reshape(rows, -1, 1), block * LANES, shares)
            pair = 0
            for f in range(fields):
                for g in range(f + 1, fields):
                    plain, weighted = y[n_pairs + pair], y[pair]
                    transposed_times(function, weight[pair], x[f], plain, 0)
                    for k in range(size):
                        own, other = plain[k], x[g, k]
                        for i in range(LANES):
                            own[i] *= other[i]
                        to = weighted[k]
                        for i in range(LANES):
                            to[i] = own[i] * (shares[f, 0, i] * shares[g, 0, i])
                    pair += 1
            from_lanes(y, block * LANES, out)


@serial
def _joined(weighted, plain, mapped, other, shares, of_mapped, of_other, of_both):  # type: ignore[no-untyped-def]
    """The gradients of a pair up to its map: with h = e_f W `mapped`, e_g `other` and both shares'
    product `shares`, fills that of h, adds that of e_g and fills that of the product, (L,).
    """
    for i in range(LANES):
        of_both[i] = 0
    for k in range(mapped.shape[0]):
        a, b, h, x, of_h, of_x = (
            weighted[k],
            plain[k],
            mapped[k],
            other[k],
            of_mapped[k],
            of_other[k],
        )
        for i in range(LANES):
            of_both[i] += a[i] * h[i] * x[i]
        for i in range(LANES):
            of_h[i] = (b[i] + shares[i] * a[i]) * x[i]
        for i in range(LANES):
            of_x[i] += (b[i] + shares[i] * a[i]) * h[i]


@parallel
def _backward(function, shards, e, share, weight, grad, of_e, of_share, of_weight):  # type: ignore[no-untyped-def]
    """The gradients; that of the weight per shard, (shards, P, K, K), to be summed."""
    (rows, fields, size), n_pairs, blocks = e.shape, len(weight), -(-e.shape[0] // LANES)
    for shard in numba.prange(shards):
        x, mapped = np.empty((fields, size, LANES), np.float32), np.empty((size, LANES), np.float32)
        of_x, of_mapped = np.empty_like(x), np.empty_like(mapped)
        of_y = np.empty((2 * n_pairs, size, LANES), np.float32)
        shares, both = np.empty((fields, 1, LANES), np.float32), np.empty(LANES, np.float32)
        of_shares, of_both = np.empty_like(shares), np.empty_like(both)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            first = block == blocks * shard // shards
            to_lanes(e, block * LANES, x)
            to_lanes(share.reshape(rows, -1, 1), block * LANES, shares)
            to_lanes(grad, block * LANES, of_y)
            clear(of_x)
            clear(of_shares)
            pair = 0
            for f in range(fields):
                for g in range(f + 1, fields):
                    for i in range(LANES):
                        both[i] = shares[f, 0, i] * shares[g, 0, i]
                    transposed_times(function, weight[pair], x[f], mapped, 0)
                    _joined(
                        of_y[pair], of_y[n_pairs + pair], mapped, x[g], both, of_mapped, of_x[g],
                        of_both,
                    )  # fmt: skip
                    for i in range(LANES):
                        of_shares[f, 0, i] += of_both[i] * shares[g, 0, i]
                    for i in range(LANES):
                        of_shares[g, 0, i] += of_both[i] * shares[f, 0, i]
                    times(function, weight[pair], of_mapped, of_x[f], 1)
                    times_transposed(
                        function, x[f], of_mapped, of_weight[shard, pair], 0 if first else 1
                    )
                    pair += 1
            from_lanes(of_x, block * LANES, of_e)
            from_lanes(of_shares, block * LANES, of_share.reshape(rows, -1, 1))
