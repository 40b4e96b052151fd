"""AutoInt's self-attention over fields, all layers one after the other on a block of rows.

The layers are `layers.interactions.InteractingLayer`. Arrays of the compiled loops are float32 and
C-contiguous; what ends in L is a block, see `lanes`, with L = LANES.
"""

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.blas import sgemm_address
from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.jit import parallel, serial
from mlorakit.kernels.lanes import LANES, blocks_and_shards, from_lanes, to_lanes
from mlorakit.kernels.products import times, times_transposed, transposed_times
from mlorakit.kernels.softmax import softmax, softmax_backward


def attention_reference(e: Tensor, weight: Tensor, heads: int) -> Tensor:
    """The plain form of one layer of `attention`."""
    query, key, value, residual = (e @ weight).chunk(4, dim=2)

    def split(x: Tensor) -> Tensor:  # (B, F, S H) to (B, H, F, S)
        return x.unflatten(2, (heads, -1)).transpose(1, 2)

    scores = split(query) @ split(key).transpose(2, 3)  # (B, H, F, F)
    mixed = scores.softmax(-1) @ split(value)  # (B, H, F, S)
    return torch.relu(mixed.transpose(1, 2).flatten(2) + residual)


def attention(e: Tensor, weights: Sequence[Tensor], heads: int) -> Tensor:
    """Layers of multi-head self-attention with a residual (arXiv 1810.11921, eq. 5-8).

    Args:
        e: inputs of shape (B, F, n_in).
        weights: of each layer the maps to query, key, value and residual side by side, of shape
            (n_in, 4 S H), n_in being S H after the first.
        heads: H.

    Returns:
        Tensor of shape (B, F, S H).
    """
    if runs_compiled(e) and e.numel():
        return _Attention.apply(e, heads, torch.is_grad_enabled(), *weights)
    for weight in weights:
        e = attention_reference(e, weight, heads)
    return e


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, e: Tensor, heads: int, kept: bool, *weights: Tensor) -> Tensor:
        (rows, fields, n_in), values = e.shape, weights[0].shape[1] // 4
        blocks, shards = blocks_and_shards(rows, fields)
        slots, layers = blocks if kept else shards, range(len(weights))
        ws = tuple(array_of(weight.contiguous()) for weight in weights)
        sizes = n_in, *(values for _ in layers)
        xs = tuple(np.empty((slots, size, fields, LANES), np.float32) for size in sizes)
        own = 4, heads, values // heads, fields, LANES
        mapped = tuple(np.empty((slots, *own), np.float32) for _ in layers)
        shares = tuple(np.empty((slots, heads, fields, fields, LANES), np.float32) for _ in layers)
        out = e.new_empty(rows, fields, values)
        ctx.used = sgemm_address(), shards, ws, xs, mapped, shares
        _forward(*ctx.used, array_of(e.contiguous()), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, shards, ws, xs, *_ = ctx.used
        of_e = np.empty((*grad.shape[:2], xs[0].shape[1]), np.float32)
        of_ws = tuple(np.empty((shards, *w.shape), np.float32) for w in ws)
        _backward(*ctx.used, array_of(grad.contiguous()), of_e, of_ws)
        return (torch.from_numpy(of_e), None, None, *(torch.from_numpy(w.sum(0)) for w in of_ws))


@serial
def _pair(x, y, out):  # type: ignore[no-untyped-def]
    """out[f, g] = sum over s of x[s, f] y[s, g]; x and y (S, F, L), out (F, F, L)."""
    for f in range(x.shape[1]):
        for g in range(x.shape[1]):
            own = out[f, g]
            for i in range(LANES):
                own[i] = x[0, f, i] * y[0, g, i]
            for s in range(1, x.shape[0]):
                a, b = x[s, f], y[s, g]
                for i in range(LANES):
                    own[i] += a[i] * b[i]


@serial
def _mix(shares, turned, x, out):  # type: ignore[no-untyped-def]
    """out[s, f] += sum over g of shares[f, g] x[s, g], or shares[g, f] where turned; shares
    (F, F, L), x and out (S, F, L).
    """
    for s in range(x.shape[0]):
        for f in range(x.shape[1]):
            for g in range(x.shape[1]):
                own, a, b = out[s, f], shares[g, f] if turned else shares[f, g], x[s, g]
                for i in range(LANES):
                    own[i] += a[i] * b[i]


@serial
def _attend(mapped, shares, out, buffers):  # type: ignore[no-untyped-def]
    """A layer's result from its products; mapped (4, H, S, F, L), shares (H, F, F, L) is filled,
    out (H, S, F, L) too; buffers (2, L).
    """
    flat, residual = out.reshape(-1), mapped[3].reshape(-1)
    for i in range(flat.size):
        flat[i] = residual[i]
    for h in range(shares.shape[0]):
        _pair(mapped[0, h], mapped[1, h], shares[h])
        softmax(shares[h], buffers[0], buffers[1])
        _mix(shares[h], False, mapped[2, h], out[h])
    for i in range(flat.size):
        flat[i] = max(flat[i], np.float32(0))


@serial
def _attend_backward(mapped, shares, grad, of_mapped, of_scores, buffer):  # type: ignore[no-untyped-def]
    """The gradient of `mapped` from that of the sum before ReLU; of_scores (F, F, L) and buffer
    (L,) are overwritten.
    """
    flat, after = of_mapped.reshape(-1), grad.reshape(-1)
    for i in range(3 * after.size):
        flat[i] = 0
    residual = flat[3 * after.size :]
    for i in range(after.size):
        residual[i] = after[i]
    for h in range(shares.shape[0]):
        _mix(shares[h], True, grad[h], of_mapped[2, h])
        _pair(grad[h], mapped[2, h], of_scores)
        softmax_backward(shares[h], of_scores, buffer)
        _mix(of_scores, False, mapped[1, h], of_mapped[0, h])
        _mix(of_scores, True, mapped[0, h], of_mapped[1, h])


@serial
def _matrix(block):  # type: ignore[no-untyped-def]
    """(M, ..., F, L) as (M, F L); the leading axes of `mapped` count as one."""
    return block.reshape(-1, block.shape[-2] * block.shape[-1])


@parallel
def _forward(function, shards, ws, xs, mapped, shares, e, out):  # type: ignore[no-untyped-def]
    """Fills xs, mapped and shares, all with a slot per block or, if nothing is kept, per shard.

    Args:
        function: of the matrix product, see `blas.sgemm_address`.
        shards: see `lanes.blocks_and_shards`.
        ws: of each layer, (n_in, 4 H S).
        xs: input of each layer and the last one's result, (slots, n_in, F, L).
        mapped: products of each layer, (slots, 4, H, S, F, L).
        shares: how much each field attends to each, (slots, H, F, F, L).
        e: (B, F, n_in).
        out: filled, (B, F, S H).
    """
    blocks, kept = -(-e.shape[0] // LANES), xs[0].shape[0] > shards
    for shard in numba.prange(shards):
        buffers = np.empty((2, LANES), np.float32)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            at = block if kept else np.int64(shard)
            to_lanes(e.transpose(0, 2, 1), block * LANES, xs[0][at])
            for layer in range(len(ws)):
                products, to = mapped[layer][at], xs[layer + 1][at]
                transposed_times(function, ws[layer], _matrix(xs[layer][at]), _matrix(products), 0)
                _attend(products, shares[layer][at], to.reshape(products.shape[1:]), buffers)
            from_lanes(xs[len(ws)][at], block * LANES, out.transpose(0, 2, 1))


@parallel
def _backward(function, shards, ws, xs, mapped, shares, grad, of_e, of_ws):  # type: ignore[no-untyped-def]
    """The gradients: of_e (B, F, n_in), and per layer of_ws (shards, n_in, 4 H S) to be summed."""
    blocks = -(-grad.shape[0] // LANES)
    for shard in numba.prange(shards):
        of_mapped = np.empty_like(mapped[0][0])
        of_scores = np.empty(shares[0].shape[2:], np.float32)
        buffer, of_out = np.empty(LANES, np.float32), np.empty_like(xs[len(ws)][0])
        of_x = np.empty_like(xs[0][0])
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            first = block == blocks * shard // shards
            to_lanes(grad.transpose(0, 2, 1), block * LANES, of_out)
            for layer in range(len(ws) - 1, -1, -1):
                after, before = of_out.reshape(-1), xs[layer + 1][block].reshape(-1)
                for i in range(after.size):
                    after[i] = after[i] if before[i] > 0 else np.float32(0)
                _attend_backward(
                    mapped[layer][block], shares[layer][block],
                    of_out.reshape(of_mapped.shape[1:]), of_mapped, of_scores, buffer,
                )  # fmt: skip
                x, w, to = xs[layer][block], ws[layer], of_x if layer == 0 else of_out
                times_transposed(
                    function, _matrix(x), _matrix(of_mapped), of_ws[layer][shard], 0 if first else 1
                )
                times(function, w, _matrix(of_mapped), _matrix(to), 0)
            from_lanes(of_x, block * LANES, of_e.transpose(0, 2, 1))
