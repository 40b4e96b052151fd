"""Products of field embeddings in one pass."""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.compiled import array_of
from mlorakit.kernels.dense import shards_of
from mlorakit.kernels.jit import parallel, serial


@serial
def _sum_fields(e, total):  # type: ignore[no-untyped-def]
    """Fills total, (K,), with the sum of e, (F, K), over the fields."""
    for k in range(total.size):
        total[k] = e[0, k]
    for f in range(1, e.shape[0]):
        for k in range(total.size):
            total[k] += e[f, k]


@parallel
def _forward(shards, e, out):  # type: ignore[no-untyped-def]
    """out[i, k] = sum over pairs of fields f < g of e[i, f, k] e[i, g, k]; e (B, F, K)."""
    rows, fields, size = e.shape
    for shard in numba.prange(shards):
        total = np.empty(size, e.dtype)
        for i in range(rows * shard // shards, rows * (shard + 1) // shards):
            own, to = e[i], out[i]
            _sum_fields(own, total)
            for k in range(size):
                to[k] = total[k] * total[k]
            for f in range(fields):
                for k in range(size):
                    to[k] -= own[f, k] * own[f, k]
            for k in range(size):
                to[k] /= 2


@parallel
def _backward(shards, e, grad, of_e):  # type: ignore[no-untyped-def]
    """of_e[i, f, k] = grad[i, k] times the sum of the other fields' e."""
    rows, fields, size = e.shape
    for shard in numba.prange(shards):
        total = np.empty(size, e.dtype)
        for i in range(rows * shard // shards, rows * (shard + 1) // shards):
            own, g, to = e[i], grad[i], of_e[i]
            _sum_fields(own, total)
            for f in range(fields):
                for k in range(size):
                    to[f, k] = g[k] * (total[k] - own[f, k])


def bi_interaction_reference(e: Tensor) -> Tensor:
    """The plain form of `bi_interaction`."""
    return 0.5 * (e.sum(1).square() - e.square().sum(1))


class _BiInteraction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, e: Tensor) -> Tensor:
        e = e.contiguous()
        ctx.save_for_backward(e)
        out = e.new_empty(e.shape[0], e.shape[2])
        _forward(shards_of(len(e)), array_of(e), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (e,) = ctx.saved_tensors
        of_e = torch.empty_like(e)
        _backward(shards_of(len(e)), array_of(e), array_of(grad.contiguous()), of_e.numpy())
        return of_e


def bi_interaction(e: Tensor) -> Tensor:
    """Sum over pairs of fields of e_f * e_g: NFM's pooling (arXiv 1708.05027, eq. 4).

    Args:
        e: field embeddings of shape (B, F, K).

    Returns:
        Tensor of shape (B, K).
    """
    return _BiInteraction.apply(e) if e.device.type == "cpu" else bi_interaction_reference(e)
