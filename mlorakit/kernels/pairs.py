"""Pairs of fields, and PNN's product layer over blocks of rows.

The pairs (f, g) with f < g are in order of f, then of g. Arrays of the compiled loops are float32
and C-contiguous; what ends in L is a block, see `lanes`, with L = LANES.
"""

from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.jit import parallel, serial
from mlorakit.kernels.lanes import LANES, blocks_and_shards, from_lanes, to_lanes
from mlorakit.kernels.sums import clear


def pairs(n_fields: int) -> tuple[list[int], list[int]]:
    """Indices of the F (F - 1) / 2 pairs of fields: the first field of each, and the second."""
    first, second = torch.triu_indices(n_fields, n_fields, offset=1).tolist()
    return first, second


def of_pairs(e: Tensor) -> tuple[Tensor, Tensor]:
    """The first field of every pair, and the second.

    Args:
        e: of shape (B, F, K).

    Returns:
        Two tensors of shape (B, P, K).
    """
    if not e.is_cuda:
        first, second = pairs(e.shape[1])
        return e[:, first], e[:, second]
    # The gradient of an indexed tensor is a sort and more on a GPU; this product's is a product.
    chosen = _members(e.shape[1], e.dtype, e.device)
    return chosen[0] @ e, chosen[1] @ e


@cache
def _members(n_fields: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 where a pair's first, or second, field is the one, else 0; of shape (2, P, F)."""
    rows = torch.eye(n_fields, dtype=dtype)
    return torch.stack([rows[fields] for fields in pairs(n_fields)]).to(device)


def inner_products(e: Tensor) -> Tensor:
    """<e_i, e_j> for every pair of fields, in plain PyTorch.

    Args:
        e: field embeddings of shape (B, F, K).

    Returns:
        Tensor of shape (B, F (F - 1) / 2).
    """
    first, second = of_pairs(e)
    return (first * second).sum(2)


def product_layer_reference(e: Tensor) -> Tensor:
    """The plain form of `product_layer`."""
    return torch.cat((e.flatten(1), inner_products(e)), 1)


def product_layer(e: Tensor) -> Tensor:
    """PNN's product layer: the embeddings, and `inner_products` of them (arXiv 1611.00144).

    Args:
        e: field embeddings of shape (B, F, K).

    Returns:
        Tensor of shape (B, F K + F (F - 1) / 2).
    """
    return ProductLayer.apply(e) if runs_compiled(e) else product_layer_reference(e)


class ProductLayer(torch.autograd.Function):
    """`product_layer` on a CPU."""

    @staticmethod
    def forward(ctx: Any, e: Tensor) -> Tensor:
        rows, fields, size = e.shape
        _, shards = blocks_and_shards(rows, 1)
        ctx.used = shards, array_of(e.contiguous())
        out = np.empty((rows, fields * size + fields * (fields - 1) // 2), np.float32)
        _forward(*ctx.used, out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor]:
        of_e = np.empty_like(ctx.used[1])
        _backward(*ctx.used, array_of(grad.contiguous()), of_e)
        return (torch.from_numpy(of_e),)


@serial
def _put_embeddings(e, first, last, out):  # type: ignore[no-untyped-def]
    """The first F K values of out's rows become those of e, (B, F, K)."""
    for row in range(first, last):
        own, to = e[row].reshape(-1), out[row]
        for i in range(own.size):
            to[i] = own[i]


@serial
def _add_embeddings(grad, first, last, of_e):  # type: ignore[no-untyped-def]
    """The gradient of `_put_embeddings`, added to of_e, (B, F, K)."""
    for row in range(first, last):
        own, to = grad[row], of_e[row].reshape(-1)
        for i in range(to.size):
            to[i] += own[i]


@parallel
def _forward(shards, e, out):  # type: ignore[no-untyped-def]
    """Fills out (B, F K + P) from e (B, F, K)."""
    (rows, fields, size), blocks = e.shape, -(-e.shape[0] // LANES)
    plain = fields * size
    for shard in numba.prange(shards):
        x = np.empty((fields, size, LANES), np.float32)
        y = np.empty((out.shape[1] - plain, 1, LANES), np.float32)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            first = block * LANES
            _put_embeddings(e, first, min(first + LANES, rows), out)
            to_lanes(e, first, x)
            pair = 0
            for f in range(fields):
                for g in range(f + 1, fields):
                    to = y[pair, 0]
                    for i in range(LANES):
                        to[i] = x[f, 0, i] * x[g, 0, i]
                    for k in range(1, size):
                        a, b = x[f, k], x[g, k]
                        for i in range(LANES):
                            to[i] += a[i] * b[i]
                    pair += 1
            from_lanes(y, first, np.expand_dims(out[:, plain:], 2))


@parallel
def _backward(shards, e, grad, of_e):  # type: ignore[no-untyped-def]
    """Fills of_e (B, F, K), the gradient of e."""
    (rows, fields, size), blocks = e.shape, -(-e.shape[0] // LANES)
    plain = fields * size
    for shard in numba.prange(shards):
        x = np.empty((fields, size, LANES), np.float32)
        of_x = np.empty_like(x)
        of_y = np.empty((grad.shape[1] - plain, 1, LANES), np.float32)
        for block in range(blocks * shard // shards, blocks * (shard + 1) // shards):
            first = block * LANES
            to_lanes(e, first, x)
            to_lanes(np.expand_dims(grad[:, plain:], 2), first, of_y)
            clear(of_x)
            pair = 0
            for f in range(fields):
                for g in range(f + 1, fields):
                    own = of_y[pair, 0]
                    for k in range(size):
                        a, b, of_a, of_b = x[f, k], x[g, k], of_x[f, k], of_x[g, k]
                        for i in range(LANES):
                            of_a[i] += own[i] * b[i]
                        for i in range(LANES):
                            of_b[i] += own[i] * a[i]
                    pair += 1
            from_lanes(of_x, first, of_e)
            _add_embeddings(grad, first, min(first + LANES, rows), of_e)
