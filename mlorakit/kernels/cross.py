"""DCN's cross layers in one pass over the batch.

In vector form every layer's result is a multiple of x_0 plus a vector that all rows share,
x_l = c_l x_0 + d_l with c_0 = 1, d_0 = 0. Setting this into x_{l+1} = x_0 <x_l, w_l> + b_l + x_l
gives c_{l+1} = c_l (1 + <x_0, w_l>) + <d_l, w_l> and d_{l+1} = d_l + b_l, numbers instead of
vectors for each row.
"""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.dense import shards_of
from mlorakit.kernels.jit import parallel, serial
from mlorakit.kernels.sums import sum_shards


def cross_reference(x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The plain form of `cross`."""
    x = first = x0.flatten(1)
    for w, b in zip(weight, bias, strict=True):
        x = torch.addcmul(x + b, first, (x @ w).unsqueeze(1))
    return x.view_as(x0)


def cross(x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Cross layers x_{l+1} = x_0 <x_l, w_l> + b_l + x_l (arXiv 1708.05123).

    Args:
        x0: of shape (B, N), or (B, F, K) with F K = N.
        weight: of shape (L, N).
        bias: of shape (L, N).

    Returns:
        x_L, of the shape of x_0.
    """
    if runs_compiled(x0) and x0.numel():
        return Cross.apply(x0, weight, bias)
    return cross_reference(x0, weight, bias)


class Cross(torch.autograd.Function):
    """`cross` on a CPU."""

    @staticmethod
    def forward(ctx: Any, x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        w, b = (array_of(tensor.contiguous()) for tensor in (weight, bias))
        x, own = array_of(x0.contiguous()).reshape(-1, w.shape[1]), np.empty(len(w), np.float32)
        dots, out = np.empty((len(x), len(w)), np.float32), np.empty_like(x)
        ctx.used = shards_of(len(x)), x, w, b, own, dots
        _forward(*ctx.used, out)
        return torch.from_numpy(out).view_as(x0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shards, x, w, *_ = ctx.used
        of_x, of_ws = np.empty_like(x), np.empty((shards, *w.shape), np.float32)
        of_owns, of_shared = (np.empty((shards, n), np.float32) for n in w.shape)
        of_bias, out = np.empty_like(w), array_of(grad.contiguous()).reshape(x.shape)
        _backward(*ctx.used, out, of_x, of_ws, of_owns, of_shared, of_bias)
        of_x0 = torch.from_numpy(of_x).view(grad.shape)
        return of_x0, torch.from_numpy(of_ws[0]), torch.from_numpy(of_bias)


@serial
def _forward_rows(x0, w, own, dots, shared, out):  # type: ignore[no-untyped-def]
    """The result c_L x_0 + d_L of some rows; d_L is `shared`, (N,)."""
    for row in range(x0.shape[0]):
        x, to, c = x0[row], out[row], np.float32(1)
        for layer in range(own.size):
            weight, dot = w[layer], np.float32(0)
            for i in range(x.size):
                dot += x[i] * weight[i]
            dots[row, layer] = dot
            c = c * (np.float32(1) + dot) + own[layer]
        for i in range(x.size):
            to[i] = c * x[i] + shared[i]


@parallel
def _forward(shards, x0, w, bias, own, dots, out):  # type: ignore[no-untyped-def]
    """The result.

    Args:
        shards: see `dense.shards_of`.
        x0: (B, N).
        w: (L, N).
        bias: (L, N).
        own: filled with <d_l, w_l>, (L,).
        dots: filled with <x_0, w_l>, (B, L).
        out: filled, (B, N).
    """
    rows, (layers, width) = x0.shape[0], w.shape
    shared = np.zeros(width, np.float32)  # d_0, and at last d_L
    for layer in range(layers):
        own[layer] = 0
        for i in range(width):
            own[layer] += shared[i] * w[layer, i]
            shared[i] += bias[layer, i]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        _forward_rows(x0[first:last], w, own, dots[first:last], shared, out[first:last])


@serial
def _backward_rows(x0, w, own, dots, grad, of_x0):  # type: ignore[no-untyped-def]
    """Fills of_x0 of some rows; returns the gradients of w, <d_l, w_l> and d_L."""
    layers = own.size
    cs, of_own = np.empty(layers, np.float32), np.zeros(layers, np.float32)
    of_w, of_shared = np.zeros(w.shape, np.float32), np.zeros(w.shape[1], np.float32)
    for row in range(x0.shape[0]):
        x, g, to = x0[row], grad[row], of_x0[row]
        c, of_c = np.float32(1), np.float32(0)
        for layer in range(layers):
            cs[layer] = c
            c = c * (np.float32(1) + dots[row, layer]) + own[layer]
        for i in range(x.size):
            of_c += g[i] * x[i]
        for i in range(x.size):
            of_shared[i] += g[i]
        for i in range(x.size):
            to[i] = c * g[i]
        for layer in range(layers - 1, -1, -1):
            of_dot, weight, of_weight = of_c * cs[layer], w[layer], of_w[layer]
            of_own[layer] += of_c
            for i in range(x.size):
                to[i] += of_dot * weight[i]
            for i in range(x.size):
                of_weight[i] += of_dot * x[i]
            of_c *= np.float32(1) + dots[row, layer]
    return of_w, of_own, of_shared


@parallel
def _backward(  # type: ignore[no-untyped-def] # noqa: D417
    shards, x0, w, bias, own, dots, grad, of_x0, of_ws, of_owns, of_shared, of_bias
):
    """The gradients; the first arguments are those of `_forward`.

    Args:
        grad: of its result, (B, N).
        of_x0: filled, (B, N).
        of_ws: of (shards, L, N), the first filled with the gradient of w.
        of_owns: buffer, (shards, L).
        of_shared: buffer, (shards, N).
        of_bias: filled, (L, N).
    """
    rows, (layers, width) = x0.shape[0], w.shape
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        # Sums in arrays of their own: in those of all shards two threads would write side by side.
        of_ws[shard], of_owns[shard], of_shared[shard] = _backward_rows(
            x0[first:last], w, own, dots[first:last], grad[first:last], of_x0[first:last]
        )
    sum_shards(of_ws.reshape(shards, -1))
    sum_shards(of_owns)
    sum_shards(of_shared)
    shared = np.zeros(width, np.float32)  # d_l
    for layer in range(layers):
        for i in range(width):
            of_ws[0, layer, i] += of_owns[0, layer] * shared[i]
            shared[i] += bias[layer, i]
    # Each bias is in d_L, and in d_l of all later layers.
    for layer in range(layers - 1, -1, -1):
        for i in range(width):
            of_bias[layer, i] = of_shared[0, i]
            of_shared[0, i] += of_owns[0, layer] * w[layer, i]
