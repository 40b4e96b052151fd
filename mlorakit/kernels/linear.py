"""x W^T + b, with the faster of the two libraries that a CPU build of PyTorch carries.

`torch.nn.functional.linear` multiplies float32 matrices by MKL, which on processors that are not
Intel's leaves AVX-512 unused; oneDNN, which PyTorch takes for other types, uses it and is nearly
twice as fast there. On Intel's, MKL is as fast forward and twice as fast for a weight's gradient.
Same arithmetic in float32, another order of sums.
"""

import platform
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _is_intel() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    described = cpuinfo.read_text() if cpuinfo.is_file() else platform.processor()
    return "GenuineIntel" in described


_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)
_BY_ONEDNN = _HAS_ONEDNN and not _is_intel()


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The map without a gradient; x of shape (B, n_in), weight of shape (n_out, n_in)."""
    if not (_BY_ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32 and x.numel()):
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient of W, grad^T x; x of shape (B, n_in), grad of shape (B, n_out)."""
    if not _BY_ONEDNN:
        return grad.t() @ x
    if x.shape[1] < grad.shape[1]:  # oneDNN is faster with the longer axis last
        return product(x.t(), grad.t()).t().contiguous()
    return product(grad.t(), x.t())


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_bias = grad.sum(0) if ctx.has_bias else None
        return product(grad, weight.t()), weight_gradient(x, grad), grad_bias


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear` of a matrix, faster on CPUs.

    Args:
        x: of shape (B, n_in).
        weight: of shape (n_out, n_in).
        bias: of shape (n_out,).

    Returns:
        Tensor of shape (B, n_out).
    """
    if not (_BY_ONEDNN and x.device.type == "cpu"):
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)
