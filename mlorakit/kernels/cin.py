"""xDeepFM's compressed interaction network, all layers one after the other on a block of rows.

The outer products of a layer, (maps F) times (B K) values, are made for one block at a time, and
again in the backward pass, so that they stay in the cache. Arrays of the compiled loops are float32
and C-contiguous; what ends in (K, L) is a block, see `lanes`, with L = LANES.
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
from mlorakit.kernels.lanes import LANES, blocks_and_shards, from_lanes, matrix, to_lanes
from mlorakit.kernels.outer import outer_backward, outer_products
from mlorakit.kernels.products import times, times_transposed, transposed_times
from mlorakit.kernels.sums import clear


def cin_reference(e: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """The plain form of `cin`."""
    batch, n_fields, size = e.shape
    x0 = e.transpose(1, 2).reshape(batch * size, n_fields)  # (B K, F)
    x, pooled = x0, []
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        outer = (x.unsqueeze(2) * x0.unsqueeze(1)).flatten(1)  # (B K, maps F)
        x = torch.relu(outer @ weight.t() + bias)  # (B K, N)
        direct = x
        if i < len(weights) - 1:
            x, direct = x.split(len(weight) // 2, dim=1)
        pooled.append(direct.unflatten(0, (batch, size)).sum(1))
    return torch.cat(pooled, 1)


def cin(e: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """Outer products of fields, compressed per layer (arXiv 1803.05170, eq. 6).

    Args:
        e: field embeddings of shape (B, F, K).
        weights: of each layer, of shape (N, maps F), maps being F for the first layer and N / 2 of
            the layer before for the others.
        biases: of each layer, of shape (N,).

    Returns:
        Sums over K of the second half of each layer's N maps, and of all of the last one's, side
        by side: a tensor of shape (B, width).
    """
    if runs_compiled(e) and e.numel():
        return _Cin.apply(e, torch.is_grad_enabled(), *weights, *biases)
    return cin_reference(e, weights, biases)


class _Cin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, e: Tensor, kept: bool, *tensors: Tensor) -> Tensor:
        rows, fields, size = e.shape
        arrays = [array_of(tensor.contiguous()) for tensor in tensors]
        ws, biases = tuple(arrays[: len(arrays) // 2]), tuple(arrays[len(arrays) // 2 :])
        blocks, shards = blocks_and_shards(rows, size)
        slots = blocks if kept else shards
        maps = tuple(np.empty((slots, len(w), size, LANES), np.float32) for w in ws)
        x0s = np.empty((slots, fields, size, LANES), np.float32)
        out = e.new_empty(rows, sum(len(w) // 2 for w in ws[:-1]) + len(ws[-1]))
        ctx.used = sgemm_address(), shards, ws, x0s, maps
        _forward(*ctx.used, biases, array_of(e.contiguous()), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, shards, ws, x0s, _ = ctx.used
        of_e = np.empty((len(grad), *x0s.shape[1:3]), np.float32)
        of_ws = tuple(np.empty((shards, *w.shape), np.float32) for w in ws)
        of_biases = tuple(np.zeros((shards, len(w)), np.float32) for w in ws)
        _backward(*ctx.used, array_of(grad.contiguous()), of_e, of_ws, of_biases)
        sums = (torch.from_numpy(parts.sum(0)) for parts in (*of_ws, *of_biases))
        return (torch.from_numpy(of_e), None, *sums)


@serial
def _activate(maps, bias, split, pooled):  # type: ignore[no-untyped-def]
    """Adds the bias to the maps (N, K, L) and takes ReLU, in place; pooled (N - split, 1, L) is
    filled with the sums over K from map `split` on.
    """
    for n in range(maps.shape[0]):
        own, b = maps[n].reshape(-1), bias[n]
        for i in range(own.size):
            own[i] = max(own[i] + b, np.float32(0))
        if n >= split:
            total = pooled[n - split, 0]
            for i in range(LANES):
                total[i] = maps[n, 0, i]
            for k in range(1, maps.shape[1]):
                values = maps[n, k]
                for i in range(LANES):
                    total[i] += values[i]


@serial
def _deactivate(maps, of_pooled, split, of_maps, of_bias):  # type: ignore[no-untyped-def]
    """of_maps (N, K, L), up to `split` the gradient of the maps, becomes that of the sums before
    ReLU, and is added up in of_bias (N,).
    """
    for n in range(maps.shape[0]):
        values, own, total = maps[n].reshape(-1), of_maps[n].reshape(-1), np.float32(0)
        if n >= split:
            source = of_pooled[n - split, 0]
            for k in range(maps.shape[1]):
                to = of_maps[n, k]
                for i in range(LANES):
                    to[i] = source[i]
        for i in range(own.size):
            own[i] = own[i] if values[i] > 0 else np.float32(0)
        for i in range(own.size):
            total += own[i]
        of_bias[n] += total


@parallel
def _forward(function, shards, ws, x0s, maps, biases, e, out):  # type: ignore[no-untyped-def]
    """Fills x0s and maps, with a slot per block or, if nothing is kept, per shard.

    Args:
        function: of the matrix product, see `blas.sgemm_address`.
        shards: see `blocks_and_shards`.
        ws: of each layer, (N, maps F).
        x0s: e as blocks, (slots, F, K, L).
        maps: of each layer, (slots, N, K, L).
        biases: of each layer, (N,).
        e: (B, F, K).
        out: filled, (B, width).
    """
    blocks, kept, layers = -(-e.shape[0] // LANES), maps[0].shape[0] > shards, len(ws)
    widest = max([w.shape[1] for w in ws])
    for shard in numba.prange(shards):
        buffer = np.empty((widest, e.shape[2] * LANES), np.float32)
        pooled = np.empty((out.shape[1], 1, LANES), np.float32)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            at, place = block if kept else np.int64(shard), 0
            to_lanes(e, block * LANES, x0s[at])
            x0 = x = matrix(x0s[at])
            for layer in range(layers):
                w, own, outer = ws[layer], maps[layer][at], buffer[: ws[layer].shape[1]]
                outer_products(x, x0, outer)
                x = matrix(own)
                times(function, w, outer, x, 0)
                split = len(w) // 2 if layer < layers - 1 else 0
                _activate(own, biases[layer], split, pooled[place:])
                place += len(w) - split
            from_lanes(pooled, block * LANES, out.reshape(out.shape[0], -1, 1))


@parallel
def _backward(function, shards, ws, x0s, maps, grad, of_e, of_ws, of_biases):  # type: ignore[no-untyped-def]
    """The gradients: of_e (B, F, K), and per layer of_ws (shards, N, maps F) and of_biases
    (shards, N), zeros at first, to be summed.
    """
    blocks, layers = -(-grad.shape[0] // LANES), len(ws)
    widest, most = max([w.shape[1] for w in ws]), max([w.shape[0] for w in ws])
    for shard in numba.prange(shards):
        columns = x0s.shape[2] * LANES
        buffers = np.empty((2, widest, columns), np.float32)
        spaces = np.empty((2, most, *x0s.shape[2:]), np.float32)
        of_pooled = np.empty((grad.shape[1], 1, LANES), np.float32)
        of_x0 = np.empty_like(x0s[0])
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            first, place = block == blocks * shard // shards, grad.shape[1]
            to_lanes(grad.reshape(grad.shape[0], -1, 1), block * LANES, of_pooled)
            x0, own_x0 = matrix(x0s[block]), matrix(of_x0)
            clear(of_x0)
            for layer in range(layers - 1, -1, -1):
                w, own, to = ws[layer], maps[layer][block], spaces[layer % 2]
                split = len(w) // 2 if layer < layers - 1 else 0
                place -= len(w) - split
                _deactivate(own, of_pooled[place:], split, to, of_biases[layer][shard])
                outer, of_outer = buffers[0, : w.shape[1]], buffers[1, : w.shape[1]]
                x = x0 if layer == 0 else matrix(maps[layer - 1][block])
                of_x = own_x0 if layer == 0 else matrix(spaces[(layer - 1) % 2])
                if layer > 0:
                    clear(of_x[: w.shape[1] // x0.shape[0]])
                outer_products(x, x0, outer)
                of_maps = matrix(to[: len(w)])
                times_transposed(function, of_maps, outer, of_ws[layer][shard], 0 if first else 1)
                transposed_times(function, w, of_maps, of_outer, 0)
                outer_backward(of_outer, x, x0, of_x, own_x0)
            from_lanes(of_x0, block * LANES, of_e)
