"""Rows of a table by id, as `torch.nn.functional.embedding` gives them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _Lookup(torch.autograd.Function):
    """On a CPU `embedding` reads all ids once per thread in its backward pass; adding the rows up
    one after the other takes a third of the time.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor) -> Tensor:
        flat = ids.flatten()
        ctx.save_for_backward(flat)
        ctx.shape = table.shape
        return table.index_select(0, flat).view(*ids.shape, table.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (flat,) = ctx.saved_tensors
        total = grad.new_zeros(ctx.shape)
        return total.index_add_(0, flat, grad.reshape(-1, grad.shape[-1])), None


def lookup(table: Tensor, ids: Tensor) -> Tensor:
    """The table's rows at some ids.

    Args:
        table: of shape (N, K).
        ids: int32 or int64 tensor of any shape, values in 0..N-1.

    Returns:
        Tensor of shape (*ids.shape, K).
    """
    return _Lookup.apply(table, ids) if table.device.type == "cpu" else F.embedding(ids, table)
