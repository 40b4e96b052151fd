"""Products of field embeddings in one pass."""

from typing import Any

import torch
from torch import Tensor

from mlorakit.kernels import compiled
from mlorakit.kernels.compiled import array_of


def bi_interaction_reference(e: Tensor) -> Tensor:
    """The plain form of `bi_interaction`."""
    return 0.5 * (e.sum(1).square() - e.square().sum(1))


class _BiInteraction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, e: Tensor) -> Tensor:
        e = e.contiguous()
        ctx.save_for_backward(e)
        out = e.new_empty(e.shape[0], e.shape[2])
        compiled.bi_interaction(array_of(e), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (e,) = ctx.saved_tensors
        of_e = torch.empty_like(e)
        compiled.bi_interaction_backward(array_of(e), array_of(grad.contiguous()), of_e.numpy())
        return of_e


def bi_interaction(e: Tensor) -> Tensor:
    """Sum over pairs of fields of e_f * e_g: NFM's pooling (arXiv 1708.05027, eq. 4).

    Args:
        e: field embeddings of shape (B, F, K).

    Returns:
        Tensor of shape (B, K).
    """
    return _BiInteraction.apply(e) if e.device.type == "cpu" else bi_interaction_reference(e)
