"""Sums of the products of field embeddings, over all pairs of fields, in one pass."""

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
    """out[i, k] = sum over pairs of fields f < g of e[i, f, k] e[i, g, k]; e (B, F, K), out (B, K),
    or (B, 1) for the sum over k.
    """
    rows, fields, size = e.shape
    for shard in numba.prange(shards):
        total, twice = np.empty(size, e.dtype), np.empty(size, e.dtype)
        for i in range(rows * shard // shards, rows * (shard + 1) // shards):
            own, to = e[i], out[i]
            _sum_fields(own, total)
            for k in range(size):
                twice[k] = total[k] * total[k]
            for f in range(fields):
                for k in range(size):
                    twice[k] -= own[f, k] * own[f, k]
            if to.size == size:
                for k in range(size):
                    to[k] = twice[k] / 2
            else:
                to[0] = twice.sum() / 2


@parallel
def _backward(shards, e, grad, of_e):  # type: ignore[no-untyped-def]
    """of_e[i, f, k] = grad[i, k] times the sum of the other fields' e; grad as `_forward`'s out."""
    rows, fields, size = e.shape
    for shard in numba.prange(shards):
        total = np.empty(size, e.dtype)
        for i in range(rows * shard // shards, rows * (shard + 1) // shards):
            own, g, to = e[i], grad[i], of_e[i]
            _sum_fields(own, total)
            for f in range(fields):
                if g.size == size:
                    for k in range(size):
                        to[f, k] = g[k] * (total[k] - own[f, k])
                else:
                    for k in range(size):
                        to[f, k] = g[0] * (total[k] - own[f, k])


def bi_interaction_reference(e: Tensor) -> Tensor:
    """The plain form of `bi_interaction`."""
    return 0.5 * (e.sum(1).square() - e.square().sum(1))


def bi_interaction(e: Tensor) -> Tensor:
    """Sum over pairs of fields of e_f * e_g: NFM's pooling (arXiv 1708.05027, eq. 4).

    Args:
        e: field embeddings of shape (B, F, K).

    Returns:
        Tensor of shape (B, K).
    """
    return BiInteraction.apply(e) if e.device.type == "cpu" else bi_interaction_reference(e)


def factorization_machine(e: Tensor) -> Tensor:
    """Sum over pairs of fields of <e_f, e_g>: the FM term of DeepFM (arXiv 1703.04247).

    Args:
        e: field embeddings of shape (B, F, K).

    Returns:
        Tensor of shape (B,).
    """
    if e.device.type == "cpu":
        return FactorizationMachine.apply(e)
    return bi_interaction_reference(e).sum(1)


class BiInteraction(torch.autograd.Function):
    """`bi_interaction` on a CPU."""

    @staticmethod
    def forward(ctx: Any, e: Tensor) -> Tensor:
        return torch.from_numpy(_products(ctx, e, e.shape[2]))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor]:
        return (_of_products(ctx, grad),)


class FactorizationMachine(torch.autograd.Function):
    """`factorization_machine` on a CPU."""

    @staticmethod
    def forward(ctx: Any, e: Tensor) -> Tensor:
        return torch.from_numpy(_products(ctx, e, 1)[:, 0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor]:
        return (_of_products(ctx, grad.unsqueeze(1)),)


def _products(ctx: Any, e: Tensor, columns: int) -> Any:
    """The products that `_forward` makes, (B, columns)."""
    ctx.e = array_of(e.contiguous())
    out = np.empty((len(ctx.e), columns), ctx.e.dtype)
    _forward(shards_of(len(out)), ctx.e, out)
    return out


def _of_products(ctx: Any, grad: Tensor) -> Tensor:
    """The gradient of e from that of `_products`."""
    of_e = np.empty_like(ctx.e)
    _backward(shards_of(len(of_e)), ctx.e, array_of(grad.contiguous()), of_e)
    return torch.from_numpy(of_e)
