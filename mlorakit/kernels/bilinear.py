"""FiBiNET's bilinear interactions of E and of SENet's E, over blocks of rows.

SENet multiplies each field of a row by a number, its share, so an interaction of the weighted
fields f and g is that of the fields themselves times both shares, and one pass makes both. Arrays
of the compiled loops are float32 and C-contiguous; what ends in L is a block, see `lanes`, with
L = LANES.
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
from mlorakit.kernels.senet import senet_shares, shares_backward, shares_of
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


def fibinet_reference(e: Tensor, squeeze: Tensor, excite: Tensor, weight: Tensor) -> Tensor:
    """The plain form of `fibinet`."""
    weighted = e * senet_shares(e, squeeze, excite).unsqueeze(2)
    return torch.cat([bilinear_interactions(x, weight) for x in (weighted, e)], 1)


def fibinet(e: Tensor, squeeze: Tensor, excite: Tensor, weight: Tensor) -> Tensor:
    """`bilinear_interactions` of the fields, each times its share, and of the fields.

    Args:
        e: field embeddings of shape (B, F, K).
        squeeze: see `senet_shares`.
        excite: see `senet_shares`.
        weight: of shape (P, K, K).

    Returns:
        Tensor of shape (B, 2 P, K), the weighted pairs first.
    """
    if runs_compiled(e):
        return FiBiNETInteractions.apply(e, squeeze, excite, weight)
    return fibinet_reference(e, squeeze, excite, weight)


class FiBiNETInteractions(torch.autograd.Function):
    """`fibinet` on a CPU."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        e, *weights = (array_of(x.contiguous()) for x in tensors)
        _, shards = blocks_and_shards(len(e), 1)
        ctx.used = sgemm_address(), shards, e, *weights
        out = np.empty((len(e), 2 * len(weights[-1]), e.shape[2]), np.float32)
        _forward(*ctx.used, out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        _, shards, e, *weights = ctx.used
        of_e = np.empty_like(e)
        of_weights = [np.zeros((shards, *weight.shape), np.float32) for weight in weights]
        _backward(*ctx.used, array_of(grad.contiguous()), of_e, *of_weights)
        return torch.from_numpy(of_e), *(torch.from_numpy(of.sum(0)) for of in of_weights)


@parallel
def _forward(function, shards, e, squeeze, excite, weight, out):  # type: ignore[no-untyped-def]
    """Fills out (B, 2 P, K); the other arguments are as `fibinet` has them."""
    (fields, size), n_pairs, blocks = e.shape[1:], len(weight), -(-e.shape[0] // LANES)
    for shard in numba.prange(shards):
        x, y = (
            np.empty((fields, size, LANES), np.float32),
            np.empty((2 * n_pairs, size, LANES), np.float32),
        )
        shares, hidden = (
            np.empty((fields, LANES), np.float32),
            np.empty((excite.shape[0], LANES), np.float32),
        )
        means = np.empty_like(shares)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            to_lanes(e, block * LANES, x)
            shares_of(x, squeeze, excite, means, hidden, shares)
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
                            to[i] = own[i] * (shares[f, i] * shares[g, i])
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
def _backward(  # type: ignore[no-untyped-def]
    function, shards, e, squeeze, excite, weight, grad, of_e, of_squeeze, of_excite, of_weight
):
    """The gradients; those of the weights are zeros at first, and for each shard, to be summed."""
    (fields, size), n_pairs, blocks = e.shape[1:], len(weight), -(-e.shape[0] // LANES)
    for shard in numba.prange(shards):
        x, mapped = np.empty((fields, size, LANES), np.float32), np.empty((size, LANES), np.float32)
        of_x, of_mapped = np.empty_like(x), np.empty_like(mapped)
        of_y = np.empty((2 * n_pairs, size, LANES), np.float32)
        shares, both = np.empty((fields, LANES), np.float32), np.empty(LANES, np.float32)
        of_shares, of_both = np.empty_like(shares), np.empty_like(both)
        means, hidden = np.empty_like(shares), np.empty((excite.shape[0], LANES), np.float32)
        of_means, of_hidden = np.empty_like(means), np.empty_like(hidden)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            to_lanes(e, block * LANES, x)
            shares_of(x, squeeze, excite, means, hidden, shares)
            to_lanes(grad, block * LANES, of_y)
            clear(of_x)
            clear(of_shares)
            pair = 0
            for f in range(fields):
                for g in range(f + 1, fields):
                    for i in range(LANES):
                        both[i] = shares[f, i] * shares[g, i]
                    transposed_times(function, weight[pair], x[f], mapped, 0)
                    _joined(
                        of_y[pair], of_y[n_pairs + pair], mapped, x[g], both, of_mapped, of_x[g],
                        of_both,
                    )  # fmt: skip
                    for i in range(LANES):
                        of_shares[f, i] += of_both[i] * shares[g, i]
                    for i in range(LANES):
                        of_shares[g, i] += of_both[i] * shares[f, i]
                    times(function, weight[pair], of_mapped, of_x[f], 1)
                    times_transposed(function, x[f], of_mapped, of_weight[shard, pair], 1)
                    pair += 1
            shares_backward(
                squeeze, excite, means, hidden, shares, of_shares, of_hidden, of_means, of_x,
                of_squeeze[shard], of_excite[shard],
            )  # fmt: skip
            from_lanes(of_x, block * LANES, of_e)
