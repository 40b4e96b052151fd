"""Dropout whose masks are a hash of each element's row, column and a key.

`torch.nn.functional.dropout` draws one double per element on a CPU and takes most of a training
step there (pytorch/pytorch#138199). A hash needs no memory: one pass draws, drops and scales, and
the backward pass draws the same again. A GPU draws its masks from PyTorch's generators.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlorakit.kernels import compiled
from mlorakit.kernels.compiled import array_of, runs_triton

Key = NDArray[np.uint32]
"""Two numbers that decide a mask."""

_generator: ContextVar[torch.Generator | None] = ContextVar("_generator", default=None)


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """Dropout on the generator's device draws from it in this thread, not from the global one."""
    token = _generator.set(generator)
    try:
        yield
    finally:
        _generator.reset(token)


def draw_keys(count: int) -> NDArray[np.uint32]:
    """Keys of several masks from the CPU's generator, see `drawn_from`, (count, 2)."""
    drawn = torch.randint(1 << 32, (count, 2), generator=_generator.get())
    return drawn.numpy().astype(np.uint32)


def threshold_and_scale(p: float) -> tuple[np.uint32, np.float32]:
    """From which number on an element is kept (a probability of p to within 2^-33), and the factor
    1 / (1 - p) of those that are.
    """
    return np.uint32(round(p * 2**32)), np.float32(1 / (1 - p))


def keep_mask(rows: int, columns: int, p: float, key: Key) -> Tensor:
    """Bool tensor of shape (rows, columns): which elements a key keeps. For tests; dropout itself
    never holds a mask.
    """
    threshold, _ = threshold_and_scale(p)
    return torch.from_numpy(compiled.random_numbers(rows, columns, key) >= threshold)


def keep_mask_reference(rows: int, columns: int, p: float, key: Key) -> Tensor:
    """The plain form of `keep_mask`: the hash in 64-bit integers."""

    def times(h: Tensor, factor: int) -> Tensor:  # modulo 2^32, by halves of the factor
        low, high = factor & 0xFFFF, factor >> 16
        return (h * low + ((h * high & 0xFFFF) << 16)) & 0xFFFFFFFF

    def mixed(h: Tensor) -> Tensor:
        h = times(h ^ h >> 16, 0x7FEB352D)
        h = times(h ^ h >> 15, 0x846CA68B)
        return h ^ h >> 16

    def numbers(first: int, count: int, step: int) -> Tensor:
        return mixed((first + times(torch.arange(count), step)) & 0xFFFFFFFF)

    h = numbers(int(key[0]), rows, 0x9E3779B9)[:, None] ^ numbers(int(key[1]), columns, 0x85EBCA6B)
    h = times(h, 0x7FEB352D)
    return times(h ^ h >> 15, 0x846CA68B) >= round(p * 2**32)


def dropout_reference(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """What `dropout` computes, given the mask: kept elements are scaled by 1 / (1 - p)."""
    return torch.where(keep, x / (1.0 - p), 0.0)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        ctx.p, ctx.key = p, draw_keys(1)[0]
        return _dropped(x, p, ctx.key)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _dropped(grad, ctx.p, ctx.key), None


class _ReluDropout(torch.autograd.Function):
    """`activate` on a GPU, a kernel beside that of the mask each way."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, p: float) -> Tensor:
        from mlorakit.kernels import triton_kernels

        y = triton_kernels.relu_dropout(h.contiguous(), _drawn(h, p), 1 / (1 - p))
        ctx.save_for_backward(y)
        ctx.p = p
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        from mlorakit.kernels import triton_kernels

        (y,) = ctx.saved_tensors
        return triton_kernels.relu_dropout_backward(grad.contiguous(), y, 1 / (1 - ctx.p)), None


def _drawn(x: Tensor, p: float) -> Tensor:
    """1 where an element is kept, else 0; on a GPU."""
    keep = torch.empty_like(x, memory_format=torch.contiguous_format)
    return keep.bernoulli_(1 - p, generator=_generator.get())


def _dropped(x: Tensor, p: float, key: Key) -> Tensor:
    out = x.detach().clone(memory_format=torch.contiguous_format)
    compiled.dropout(_rows(out), *threshold_and_scale(p), key)
    return out


def _rows(x: Tensor) -> Any:
    """A tensor's values as an array of shape (B, N)."""
    return array_of(x).reshape(-1, x.shape[-1])


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    Args:
        x: tensor of any shape but a scalar.
        p: probability in [0, 1).
        training: with False, x is returned as it is.
    """
    if not training or p == 0:
        return x
    if x.device.type == "cpu":
        return _Dropout.apply(x, p)
    return x * _drawn(x, p).mul_(1 / (1 - p))


def activate(h: Tensor, p: float, training: bool) -> Tensor:
    """`dropout` of ReLU of h, which may be changed in place; arguments are those of `dropout`."""
    if training and p > 0 and runs_triton(h):
        return _ReluDropout.apply(h, p)
    return dropout(h.relu_(), p, training)
