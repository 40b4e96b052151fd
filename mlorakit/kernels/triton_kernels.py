"""Kernels for a GPU in Triton, which comes with PyTorch where that has CUDA.

Each replaces a kernel of PyTorch's that leaves most of a GPU idle at the sizes of a batch, or
several that take longer to start than to run. Sums are made in one order, so results repeat to the
bit. The plain forms stand in the modules that call them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_TILE, _BATCH = 16, 64
_MOST_SUMMED = 8
"""Width up to which sums cost less than a product, whose operands are 16 wide at least."""
_BLOCK = 1024


@triton.jit
def _lookup_backward(  # type: ignore[no-untyped-def]
    grad,
    ids,
    offsets,
    out,
    rows,
    size,
    batches: tl.constexpr,
    columns: tl.constexpr,
    width: tl.constexpr,
    padded: tl.constexpr,
    summed: tl.constexpr,
    tile: tl.constexpr,
    batch: tl.constexpr,
):
    """A tile of the table is the product of which rows of the batch have its ids, and grad."""
    first = tl.program_id(0) * tile
    own, ks = first + tl.arange(0, tile), tl.arange(0, padded)
    if summed:
        total = tl.zeros((tile, batch, padded), tl.float32)
    else:
        total = tl.zeros((tile, padded), tl.float32)
    for column in tl.static_range(columns):
        start = tl.load(offsets + column)
        end = tl.zeros_like(start) + size
        if column + 1 < columns:
            after = tl.load(offsets + column + 1)
            end = tl.where(after > start, after, end)  # columns of one field begin alike
        if (start < first + tile) & (end > first):
            for number in range(batches):
                row = number * batch + tl.arange(0, batch)
                inside = row < rows
                place = tl.load(ids + row * columns + column, inside, 0).to(tl.int64) + start
                hit = (own[:, None] == place[None, :]) & inside[None, :]
                where = (row[:, None] * columns + column) * width + ks[None, :]
                g = tl.load(grad + where, inside[:, None] & (ks < width)[None, :], 0.0)
                if summed:
                    total += tl.where(hit[:, :, None], g[None, :, :], 0.0)
                else:
                    total = tl.dot(hit.to(tl.float32), g, total, input_precision="ieee")
    if summed:
        total = tl.sum(total, 1)
    tl.store(
        out + own[:, None] * width + ks[None, :],
        total,
        (own < size)[:, None] & (ks < width)[None, :],
    )


@triton.jit
def _relu_dropout(h, keep, y, count, scale, block: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < count
    x = tl.load(h + at, inside)
    kept = (tl.load(keep + at, inside) > 0) & (x != 0) & ~(x < 0)  # NaN is kept
    tl.store(y + at, tl.where(kept, x * scale, 0.0), inside)


@triton.jit
def _relu_dropout_backward(grad, y, out, count, scale, block: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < count
    x = tl.load(y + at, inside)
    kept = (x != 0) & ~(x < 0)
    tl.store(out + at, tl.where(kept, tl.load(grad + at, inside) * scale, 0.0), inside)


def lookup_backward(grad: Tensor, ids: Tensor, offsets: Tensor, size: int) -> Tensor:
    """The gradient of a table of `size` rows from that of its rows at `ids + offsets`.

    Args:
        grad: contiguous, of shape (B, C, K).
        ids: contiguous, of shape (B, C), int32 or int64.
        offsets: of shape (C,), not falling.
        size: rows of the table.

    Returns:
        Tensor of shape (size, K).
    """
    rows, columns, width = grad.shape
    out = grad.new_empty(size, width)
    summed = width <= _MOST_SUMMED
    padded = triton.next_power_of_2(width) if summed else max(triton.next_power_of_2(width), 16)
    _lookup_backward[(triton.cdiv(size, _TILE),)](
        grad, ids, offsets, out, rows, size, triton.cdiv(rows, _BATCH), columns, width, padded,
        summed, _TILE, _BATCH,
    )  # fmt: skip
    return out


def relu_dropout(h: Tensor, keep: Tensor, scale: float) -> Tensor:
    """The scaled positive elements of h where `keep` is 1, else 0; contiguous, of one shape."""
    y = torch.empty_like(h)
    _relu_dropout[(triton.cdiv(h.numel(), _BLOCK),)](h, keep, y, h.numel(), scale, _BLOCK)
    return y


def relu_dropout_backward(grad: Tensor, y: Tensor, scale: float) -> Tensor:
    """The gradient of h from that of y, the result of `relu_dropout`; both contiguous."""
    out = torch.empty_like(grad)
    _relu_dropout_backward[(triton.cdiv(y.numel(), _BLOCK),)](
        grad, y, out, y.numel(), scale, _BLOCK
    )
    return out
