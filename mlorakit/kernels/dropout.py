"""Dropout from raw random bytes.

`torch.nn.functional.dropout` draws one double per element on a CPU and takes most of a training
step there (pytorch/pytorch#138199). Here 64 random bits decide eight elements, or four where the
probability is no multiple of 1/256.
"""

from typing import Any

import torch
from torch import Tensor

_INT64_MIN = torch.iinfo(torch.int64).min


def _quantised(p: float) -> tuple[torch.dtype, int, int]:
    """The integer type to draw, its number of values, and how many of them drop an element."""
    if (p * 256).is_integer():
        return torch.uint8, 2**8, int(p * 256)
    return torch.uint16, 2**16, round(p * 2**16)


def realised_probability(p: float) -> float:
    """The probability that `dropout` works with: p itself where p is a multiple of 1/256, else p
    rounded to a multiple of 1/65536 (off by at most 7.7e-6).
    """
    _, values, dropped = _quantised(p)
    return dropped / values


def dropout_mask(
    shape: torch.Size, p: float, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Tensor of `shape`, 1 where an element is kept and 0 elsewhere, from the device's global
    generator.
    """
    draw, values, dropped = _quantised(p)
    count = shape.numel()
    per_draw = 8 // draw.itemsize
    # random_() without bounds leaves the sign bit at 0; the full range needs the lower bound.
    bits = torch.empty(-(-count // per_draw), dtype=torch.int64, device=device)
    bits.random_(_INT64_MIN, None)
    if draw == torch.uint16:
        # uint16 has no comparison on every device: shift the threshold into int16's range instead.
        drawn, dropped = bits.view(torch.int16), dropped - values // 2
    else:
        drawn = bits.view(torch.uint8)
    # Comparing into a float tensor is eight times faster than into a bool one that is then cast.
    keep = torch.empty(count, dtype=dtype, device=device)
    return torch.ge(drawn[:count], dropped, out=keep).view(shape)


def _scaled_mask(x: Tensor, p: float) -> tuple[Tensor, float]:
    """1 / (1 - p) where an element is kept and 0 elsewhere, and that factor."""
    scale = 1.0 / (1.0 - realised_probability(p))
    return dropout_mask(x.shape, p, x.device, x.dtype).mul_(scale), scale


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        keep, _ = _scaled_mask(x, p)
        ctx.save_for_backward(keep)
        return x * keep

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return grad * keep, None


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        keep, ctx.scale = _scaled_mask(x, p)
        y = x.relu_().mul_(keep)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # The output is above zero exactly where ReLU was active and the element was kept.
        (y,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(grad, y, 0).mul_(ctx.scale), None


def dropout_reference(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """What `dropout` computes, given the mask: kept elements are scaled by 1 / (1 - p)."""
    return torch.where(keep.bool(), x / (1.0 - realised_probability(p)), 0.0)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    Args:
        x: tensor of any shape.
        p: probability in [0, 1), see `realised_probability`.
        training: with False, x is returned as it is.
    """
    return _Dropout.apply(x, p) if training and p > 0 else x


def relu_dropout_(x: Tensor, p: float, training: bool) -> Tensor:
    """`dropout` of ReLU(x) in one step, in place; same arguments as `dropout`.

    x may be no leaf and its value may be needed by no other operation.
    """
    return _ReluDropout.apply(x, p) if training and p > 0 else x.relu_()
