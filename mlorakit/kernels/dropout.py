"""Dropout from raw random bits.

`torch.nn.functional.dropout` draws one double per element on a CPU and takes most of a training
step there (pytorch/pytorch#138199). Here 64 random bits decide 62 elements where the probability
is 1/2, eight where it is another multiple of 1/256, and four elsewhere.
"""

from typing import Any

import torch
from torch import Tensor

_INT64_MIN = torch.iinfo(torch.int64).min
_BITS_OF_TWO = 1 << 30  # of the float32 2.0


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


def _random_bits(words: int, device: torch.device) -> Tensor:
    """Random int64 numbers, (words,), from the device's global generator."""
    # random_() without bounds leaves the sign bit at 0; the full range needs the lower bound.
    return torch.empty(words, dtype=torch.int64, device=device).random_(_INT64_MIN, None)


def scaled_mask(
    shape: torch.Size, p: float, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Tensor of `shape`, 1 / (1 - p) where an element is kept and 0 elsewhere, from the device's
    global generator.
    """
    count = shape.numel()
    if p == 0.5 and dtype == torch.float32:
        return _twos_and_zeros(count, device).view(shape)
    draw, values, dropped = _quantised(p)
    drawn = _random_bits(-(-count * draw.itemsize // 8), device).view(draw)
    if draw == torch.uint16:
        # uint16 has no comparison on every device: shift the threshold into int16's range instead.
        drawn, dropped = drawn.view(torch.int16), dropped - values // 2
    # Comparing into a float tensor is eight times faster than into a bool one that is then cast.
    keep = torch.empty(count, dtype=dtype, device=device)
    torch.ge(drawn[:count], dropped, out=keep)
    return keep.mul_(1.0 / (1.0 - realised_probability(p))).view(shape)


def _twos_and_zeros(count: int, device: torch.device) -> Tensor:
    """Float32 tensor of shape (count,), each element 2 or 0 with probability 1/2.

    The bits of 2.0 are those of the integer 2^30. Shifted left by 0 to 30 places, an int32 brings
    31 of its bits there one after the other, and all others are cleared.
    """
    words = _random_bits(-(-count // 62), device).view(torch.int32)
    places = torch.arange(31, dtype=torch.int32, device=device).unsqueeze(1)
    bits = torch.bitwise_left_shift(words, places).bitwise_and_(_BITS_OF_TWO)
    return bits.view(torch.float32).flatten()[:count]


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        keep = scaled_mask(x.shape, p, x.device, x.dtype)
        ctx.save_for_backward(keep)
        return x * keep

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return grad * keep, None


def relu_dropout_forward_(x: Tensor, p: float) -> Tensor:
    """Dropout of ReLU(x), in place and without a gradient."""
    return x.relu_().mul_(scaled_mask(x.shape, p, x.device, x.dtype)) if p > 0 else x.relu_()


def relu_dropout_backward(grad: Tensor, y: Tensor, p: float) -> Tensor:
    """The gradient of the input of `relu_dropout_forward_`, whose output y is above zero exactly
    where ReLU was active and the element was kept.
    """
    of_x = torch.ops.aten.threshold_backward(grad, y, 0)
    return of_x.mul_(1.0 / (1.0 - realised_probability(p))) if p > 0 else of_x


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        ctx.p = p
        y = relu_dropout_forward_(x, p)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return relu_dropout_backward(grad, y, ctx.p), None


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
