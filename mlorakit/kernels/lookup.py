"""Rows of a table by id, as `torch.nn.functional.embedding` gives them."""

from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.kernels import compiled
from mlorakit.kernels.compiled import array_of, runs_triton
from mlorakit.kernels.groups import DomainGroups

_MOST_COMPARED = 1 << 16
"""Rows of a table each of which is compared with all ids of a batch."""


class _Lookup(torch.autograd.Function):
    """On a CPU `embedding` reads all ids once per thread in its backward pass, and one after the
    other takes a third of the time.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, offsets: Tensor) -> Tensor:
        ctx.places, ctx.size = (ids, offsets), len(table)
        return lookup_forward(table, ids, offsets)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        ids, offsets = ctx.places
        return lookup_backward(grad, ids, offsets, ctx.size), None, None


class _LookupOnGpu(torch.autograd.Function):
    """PyTorch's kernel for the gradient leaves it to a few blocks of threads."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, offsets: Tensor) -> Tensor:
        ctx.places, ctx.size = (ids, offsets), len(table)
        return F.embedding(ids + offsets, table)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        from mlorakit.kernels import triton_kernels

        ids, offsets = ctx.places
        return (
            triton_kernels.lookup_backward(grad.contiguous(), ids, offsets, ctx.size), None, None
        )  # fmt: skip


def lookup_forward(table: Tensor, ids: Tensor, offsets: Tensor) -> Tensor:
    """`lookup` on a CPU without autograd; ids and offsets are contiguous."""
    out = torch.empty((*ids.shape, table.shape[1]), dtype=table.dtype)
    if not compiled.gather(array_of(table), array_of(ids), array_of(offsets), array_of(out)):
        refuse_places(ids + offsets, len(table))
    return out


def lookup_backward(grad: Tensor, ids: Tensor, offsets: Tensor, size: int) -> Tensor:
    """The gradient of a table of `size` rows from that of `lookup_forward`."""
    total = grad.new_zeros(size, grad.shape[-1])
    compiled.scatter(array_of(grad.contiguous()), array_of(ids), array_of(offsets), array_of(total))
    return total


def refuse_places(places: Tensor, size: int) -> NoReturn:
    """Say that some rows are not in a table of this size.

    Raises:
        IndexError: always.
    """
    raise IndexError(
        f"Ids {int(places.min())} to {int(places.max())} are looked up in a table of {size} rows; "
        "the ids were made with other field sizes than the table."
    )


def lookup(table: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
    """The table's rows at some ids.

    Args:
        table: of shape (N, K).
        ids: int32 or int64 tensor of any shape; of shape (B, F) with offsets.
        offsets: int64 tensor of shape (F,), added to the ids of each column.

    Returns:
        Tensor of shape (*ids.shape, K).

    Raises:
        IndexError: on a CPU, an id plus its offset is not in 0..N-1.
    """
    if offsets is not None and runs_triton(table) and len(table) <= _MOST_COMPARED:
        return _LookupOnGpu.apply(table, ids.contiguous(), offsets)
    if table.device.type != "cpu":
        return F.embedding(ids if offsets is None else ids + offsets, table)
    if offsets is not None:
        return _Lookup.apply(table, ids.contiguous(), offsets)
    flat = ids.reshape(-1, 1).contiguous()
    return _Lookup.apply(table, flat, ids.new_zeros(1)).view(*ids.shape, table.shape[1])


def lookup_domains(table: Tensor, groups: DomainGroups) -> Tensor:
    """The table's row of each row's own domain.

    Args:
        table: of shape (D, K).
        groups: of a batch of B rows.

    Returns:
        Tensor of shape (B, K).
    """
    if not table.is_cuda:
        return lookup(table, groups.domain)
    # The gradient of a lookup is a sort and more on a GPU; this product's is a product.
    return groups.own.to(table.dtype) @ table
