"""x W^T + b in shards of the batch, the same to the bit whatever the number of threads."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.kernels import dense
from mlorakit.kernels.blas import sgemm_address
from mlorakit.kernels.compiled import array_of, runs_compiled

_NO_BIAS = np.empty(0, np.float32)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y = x.new_empty(len(x), len(weight))
        arrays = array_of(x.contiguous()), array_of(weight.contiguous())
        own = _NO_BIAS if bias is None else array_of(bias)
        dense.linear(sgemm_address(), dense.shards_of(len(x)), *arrays, own, y.numpy())
        ctx.arrays, ctx.has_bias = arrays, bias is not None
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        (x, w), n_out = ctx.arrays, grad.shape[1]
        shards = dense.shards_of(len(x))
        of_x = np.empty(x.shape if ctx.needs_input_grad[0] else (0, 0), np.float32)
        of_w = np.empty((shards, *w.shape), np.float32)
        of_bias = np.empty((shards, n_out if ctx.has_bias else 0), np.float32)
        own = array_of(grad.contiguous())
        dense.linear_backward(sgemm_address(), shards, x, w, own, of_x, of_w, of_bias)
        return (
            torch.from_numpy(of_x) if of_x.size else None,
            torch.from_numpy(of_w[0]),
            torch.from_numpy(of_bias[0]) if ctx.has_bias else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear` of a matrix; elsewhere than on a CPU in float32, just that.

    Args:
        x: of shape (B, n_in).
        weight: of shape (n_out, n_in).
        bias: of shape (n_out,).

    Returns:
        Tensor of shape (B, n_out).
    """
    if runs_compiled(x) and x.numel():
        return _Linear.apply(x, weight, bias)
    return F.linear(x, weight, bias)
