"""Pairs of fields, and their inner products over blocks of rows.

The pairs (f, g) with f < g are in order of f, then of g. Arrays of the compiled loops are float32
and C-contiguous; what ends in L is a block, see `lanes`, with L = LANES.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.jit import serial
from mlorakit.kernels.lanes import LANES, from_lanes, to_lanes
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


def inner_products_reference(e: Tensor) -> Tensor:
    """The plain form of `inner_products`."""
    first, second = of_pairs(e)
    return (first * second).sum(2)


def inner_products(e: Tensor) -> Tensor:
    """<e_i, e_j> for every pair of fields: PNN (arXiv 1611.00144).

    Args:
        e: field embeddings of shape (B, F, K).

    Returns:
        Tensor of shape (B, F (F - 1) / 2).
    """
    if runs_compiled(e) and e.numel() and e.shape[1] > 1:
        return _InnerProducts.apply(e)
    return inner_products_reference(e)


class _InnerProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, e: Tensor) -> Tensor:
        rows, fields, _ = e.shape
        ctx.e = array_of(e.contiguous())
        out = e.new_empty(rows, fields * (fields - 1) // 2)
        _forward(ctx.e, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        of_e = np.empty_like(ctx.e)
        _backward(ctx.e, array_of(grad.contiguous()), of_e)
        return torch.from_numpy(of_e)


@serial
def _forward(e, out):  # type: ignore[no-untyped-def]
    """Fills out (B, P) from e (B, F, K)."""
    rows, fields, size = e.shape
    x = np.empty((fields, size, LANES), np.float32)
    y = np.empty((out.shape[1], 1, LANES), np.float32)
    for first in range(0, rows, LANES):
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
        from_lanes(y, first, out.reshape(rows, -1, 1))


@serial
def _backward(e, grad, of_e):  # type: ignore[no-untyped-def]
    """Fills of_e (B, F, K), the gradient of e."""
    rows, fields, size = e.shape
    x = np.empty((fields, size, LANES), np.float32)
    of_x = np.empty_like(x)
    of_y = np.empty((grad.shape[1], 1, LANES), np.float32)
    for first in range(0, rows, LANES):
        to_lanes(e, first, x)
        to_lanes(grad.reshape(rows, -1, 1), first, of_y)
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
