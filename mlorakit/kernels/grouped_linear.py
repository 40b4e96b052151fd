"""x_i W_{d(i)}^T + b_{d(i)} for every row i of a batch, where d(i) is the row's domain.

The layers of multi-domain baselines whose matrices have no low rank: towers, gates, networks of one
domain, and STAR's, where W_d is a product. Rows come sorted by domain (`DomainGroups`).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels import per_domain
from mlorakit.kernels.blas import sgemm_address
from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.groups import DomainGroups


def grouped_linear_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, groups: DomainGroups
) -> Tensor:
    """The plain form, row by row. Same arguments as `grouped_linear`."""
    rows = []
    for row, d in zip(x, groups.domain.tolist(), strict=True):
        out = weight[d] @ row
        rows.append(out if bias is None else out + bias[d])
    return torch.stack(rows)


class _Compiled(torch.autograd.Function):
    """A product per domain, several at a time."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, groups: DomainGroups
    ) -> Tensor:
        y = x.new_empty(x.shape[0], weight.shape[1])
        arrays = array_of(x.contiguous()), array_of(weight.contiguous())
        own = np.zeros((1, y.shape[1]), np.float32) if bias is None else array_of(bias)
        ctx.used, ctx.has_bias = (*arrays, array_of(groups.ends)), bias is not None
        per_domain.linear(sgemm_address(), *arrays, own, ctx.used[2], y.numpy())
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        x, weight, ends = ctx.used
        of_x, of_weight = np.empty_like(x), np.empty_like(weight)
        of_bias = np.empty(weight.shape[:2], np.float32)
        own = array_of(grad.contiguous())
        per_domain.linear_backward(sgemm_address(), x, weight, ends, own, of_x, of_weight, of_bias)
        found = torch.from_numpy(of_x), torch.from_numpy(of_weight)
        return (*found, torch.from_numpy(of_bias) if ctx.has_bias else None, None)


class _GroupedLinear(torch.autograd.Function):
    """A product per domain, written in place.

    A loop that autograd records adds up a gradient of all D matrices for each domain, D^2 in all.
    On a GPU the loop waits once per batch for where the domains end.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, groups: DomainGroups
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.groups, ctx.has_bias = groups, bias is not None
        y = x.new_empty(x.shape[0], weight.shape[1])
        for d, start, end in groups.slices:
            part, own = y[start:end], weight[d].t()
            if bias is None:
                torch.mm(x[start:end], own, out=part)
            else:
                torch.addmm(bias[d], x[start:end], own, out=part)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad_x, grad_weight = torch.empty_like(x), torch.zeros_like(weight)
        grad_bias = weight.new_zeros(weight.shape[:2]) if ctx.has_bias else None
        for d, start, end in ctx.groups.slices:
            own = grad[start:end]
            torch.mm(own, weight[d], out=grad_x[start:end])
            torch.mm(own.t(), x[start:end], out=grad_weight[d])
            if grad_bias is not None:
                torch.sum(own, 0, out=grad_bias[d])
        return grad_x, grad_weight, grad_bias, None


def grouped_linear(x: Tensor, weight: Tensor, bias: Tensor | None, groups: DomainGroups) -> Tensor:
    """A linear map of each row by its own domain's matrix.

    Args:
        x: inputs of shape (B, n_in), rows sorted by domain.
        weight: of shape (D, n_out, n_in).
        bias: of shape (D, n_out), or None.
        groups: where each domain's rows lie.

    Returns:
        Tensor of shape (B, n_out).
    """
    kind = _Compiled if runs_compiled(x) else _GroupedLinear
    return kind.apply(x, weight, bias, groups)


def grouped_product_linear_reference(
    x: Tensor, shared: Tensor, own: Tensor, bias: Tensor, groups: DomainGroups
) -> Tensor:
    """The plain form. Same arguments as `grouped_product_linear`."""
    return grouped_linear_reference(x, shared * own, bias, groups)


class _GroupedProductLinear(torch.autograd.Function):
    """A domain's product is made where it is needed, in the cache, and made again on the way back.

    Products of all domains at once are written, read and kept for each layer, and so are their
    gradients; with 21 domains a step of STAR takes a quarter longer so, with two the same.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shared: Tensor, own: Tensor, bias: Tensor, groups: DomainGroups
    ) -> Tensor:
        ctx.save_for_backward(x, shared, own)
        ctx.groups = groups
        y, weight = x.new_empty(x.shape[0], shared.shape[0]), torch.empty_like(shared)
        for d, start, end in groups.slices:
            torch.mul(shared, own[d], out=weight)
            torch.addmm(bias[d], x[start:end], weight.t(), out=y[start:end])
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        x, shared, own = ctx.saved_tensors
        weight, grad_weight = torch.empty_like(shared), torch.empty_like(shared)
        grad_x, grad_shared = torch.empty_like(x), torch.zeros_like(shared)
        grad_own, grad_bias = torch.zeros_like(own), own.new_zeros(own.shape[:2])
        for d, start, end in ctx.groups.slices:
            part = grad[start:end]
            torch.mul(shared, own[d], out=weight)
            torch.mm(part, weight, out=grad_x[start:end])
            torch.mm(part.t(), x[start:end], out=grad_weight)
            torch.mul(grad_weight, shared, out=grad_own[d])
            grad_shared.addcmul_(grad_weight, own[d])
            torch.sum(part, 0, out=grad_bias[d])
        return grad_x, grad_shared, grad_own, grad_bias, None


def grouped_product_linear(
    x: Tensor, shared: Tensor, own: Tensor, bias: Tensor, groups: DomainGroups
) -> Tensor:
    """A linear map of each row by the elementwise product of a shared and its own domain's matrix.

    Args:
        x: inputs of shape (B, n_in), rows sorted by domain.
        shared: of shape (n_out, n_in).
        own: of shape (D, n_out, n_in).
        bias: of shape (D, n_out).
        groups: where each domain's rows lie.

    Returns:
        Tensor of shape (B, n_out).
    """
    return _GroupedProductLinear.apply(x, shared, own, bias, groups)
