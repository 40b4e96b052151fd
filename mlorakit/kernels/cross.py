"""DCN's cross layers in one pass over the batch.

In vector form every layer's result is a multiple of x_0 plus a vector that all rows share,
x_l = c_l x_0 + d_l with c_0 = 1, d_0 = 0. Setting this into x_{l+1} = x_0 <x_l, w_l> + b_l + x_l
gives c_{l+1} = c_l (1 + <x_0, w_l>) + <d_l, w_l> and d_{l+1} = d_l + b_l, numbers instead of
vectors for each row.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.jit import serial


def cross_reference(x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The plain form of `cross`."""
    x = x0
    for w, b in zip(weight, bias, strict=True):
        x = torch.addcmul(x + b, x0, (x @ w).unsqueeze(1))
    return x


def cross(x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Cross layers x_{l+1} = x_0 <x_l, w_l> + b_l + x_l (arXiv 1708.05123).

    Args:
        x0: of shape (B, N).
        weight: of shape (L, N).
        bias: of shape (L, N).

    Returns:
        x_L of shape (B, N).
    """
    if runs_compiled(x0) and x0.numel():
        return _Cross.apply(x0, weight, bias)
    return cross_reference(x0, weight, bias)


class _Cross(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, w, b = (array_of(tensor.contiguous()) for tensor in (x0, weight, bias))
        shared = np.concatenate((np.zeros_like(b[:1]), np.cumsum(b, 0)))  # d_0 to d_L
        own = np.sum(shared[:-1] * w, 1)  # <d_l, w_l>
        dots = np.empty((len(x0), len(w)), np.float32)
        out = x0.new_empty(x0.shape)
        ctx.shared, ctx.used = shared, (x, w, own, dots)
        _forward(*ctx.used, shared[-1], out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x0, w, *_ = ctx.used
        of_x0, of_w, of_own = np.empty_like(x0), np.zeros_like(w), np.zeros(len(w), np.float32)
        of_shared = np.zeros(w.shape[1], np.float32)
        _backward(*ctx.used, array_of(grad.contiguous()), of_x0, of_w, of_own, of_shared)
        # Each bias is in d_l of all later layers and in d_L.
        through = of_own[:, None] * w  # of d_l
        later = np.cumsum(through[::-1], 0)[::-1] - through
        of_weight = torch.from_numpy(of_w + of_own[:, None] * ctx.shared[:-1])
        return torch.from_numpy(of_x0), of_weight, torch.from_numpy(later + of_shared)


@serial
def _forward(x0, w, own, dots, shared, out):  # type: ignore[no-untyped-def]
    """The result c_L x_0 + d_L.

    Args:
        x0: (B, N).
        w: (L, N).
        own: <d_l, w_l>, (L,).
        dots: filled with <x_0, w_l>, (B, L).
        shared: d_L, (N,).
        out: filled, (B, N).
    """
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


@serial
def _backward(x0, w, own, dots, grad, of_x0, of_w, of_own, of_shared):  # type: ignore[no-untyped-def]
    """The gradients, of the arguments of `_forward` with these names; all but of_x0 are zeros at
    first. Own's is not yet passed on to w.
    """
    layers = own.size
    cs = np.empty(layers, np.float32)
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
