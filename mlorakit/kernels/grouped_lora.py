"""x_i A_{d(i)}^T B_{d(i)} + c_{d(i)} for every row i of a batch, where d(i) is the row's domain.

MLoRA (arXiv 2408.08913) adds this term to each layer of the MLP. Rows come sorted by domain
(`DomainGroups`), so no kernel gathers a matrix per row.
"""

from typing import Any

import torch
from torch import Tensor

from mlorakit.kernels.groups import DomainGroups, Tiles
from mlorakit.kernels.linear import linear, product, weight_gradient


def grouped_lora_reference(
    x: Tensor, a: Tensor, b: Tensor, bias: Tensor, groups: DomainGroups
) -> Tensor:
    """The plain form, a loop over domains. Same arguments as `grouped_lora`."""
    parts, start = [], 0
    for d, end in enumerate(groups.ends.tolist()):
        parts.append(x[start:end] @ a[d].T @ b[d] + bias[d])
        start = end
    return torch.cat(parts)


def grouped_lora(x: Tensor, a: Tensor, b: Tensor, bias: Tensor, groups: DomainGroups) -> Tensor:
    """Low-rank product of each row with its own domain's matrices, plus its domain's bias.

    Args:
        x: inputs of shape (B, n_in), rows sorted by domain.
        a: down-projections of shape (D, R, n_in), transposed as `torch.nn.Linear` keeps its weight:
            products with a long last axis run up to four times faster than with one of length R.
        b: up-projections of shape (D, R, n_out).
        bias: of shape (D, n_out).
        groups: where each domain's rows lie.

    Returns:
        Tensor of shape (B, n_out).
    """
    if x.device.type != "cpu":
        return _side_by_side(x, a, b, bias, groups)
    tiles = groups.tiles
    return tiles.unpad(_Tiled.apply(tiles.pad(x), a, b, bias, tiles))


def grouped_bias(bias: Tensor, groups: DomainGroups) -> Tensor:
    """c_{d(i)} alone: (D, n_out) to (B, n_out)."""
    if bias.device.type != "cpu":
        return groups.own.to(bias.dtype) @ bias
    tiles = groups.tiles
    of_tile = bias.index_select(0, tiles.domain).unsqueeze(1)
    return tiles.unpad(of_tile.expand(-1, tiles.size, -1).flatten(0, 1))


def adapted_linear(
    x: Tensor,
    weight: Tensor,
    shared_bias: Tensor,
    a: Tensor,
    b: Tensor,
    bias: Tensor,
    groups: DomainGroups,
) -> Tensor:
    """A whole layer's map: the shared one plus `grouped_lora`.

    Args:
        x: inputs of shape (B, n_in), rows sorted by domain.
        weight: W of shape (n_out, n_in).
        shared_bias: of shape (n_out,).
        a: see `grouped_lora`.
        b: see `grouped_lora`.
        bias: see `grouped_lora`.
        groups: see `grouped_lora`.

    Returns:
        Tensor of shape (B, n_out).
    """
    if x.device.type == "cpu" and not groups.small:
        return _Merged.apply(x, weight, shared_bias, a, b, bias, groups)
    return linear(x, weight, shared_bias) + grouped_lora(x, a, b, bias, groups)


class _Tiled(torch.autograd.Function):
    """One batched product over tiles of rows, each tile of one domain.

    A product per domain leaves a CPU with hundreds of matrices too small to share between
    threads; `F.grouped_mm` runs just that loop. Padding costs at most one tile per domain.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
        xt = tiles.cut(x)  # (T, M, n_in)
        at = a.index_select(0, tiles.domain)  # (T, R, n_in)
        bt = b.index_select(0, tiles.domain)  # (T, R, n_out)
        ct = bias.index_select(0, tiles.domain).unsqueeze(1)  # (T, 1, n_out)
        down = torch.bmm(at, xt.transpose(1, 2))  # (T, R, M)
        ctx.save_for_backward(xt, at, bt, down)
        ctx.tiles, ctx.n_domains = tiles, a.shape[0]
        return torch.baddbmm(ct, down.transpose(1, 2), bt).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Padding has no gradient, so it adds nothing to any sum below.
        xt, at, bt, down = ctx.saved_tensors

        def per_domain(of_tile: Tensor) -> Tensor:
            total = of_tile.new_zeros(ctx.n_domains, *of_tile.shape[1:])
            return total.index_add_(0, ctx.tiles.domain, of_tile)

        gt = ctx.tiles.cut(grad)  # (T, M, n_out)
        grad_down = torch.bmm(bt, gt.transpose(1, 2))  # (T, R, M)
        grad_x = torch.bmm(grad_down.transpose(1, 2), at).flatten(0, 1)
        grad_a, grad_b = per_domain(torch.bmm(grad_down, xt)), per_domain(torch.bmm(down, gt))
        return grad_x, grad_a, grad_b, per_domain(gt.sum(1)), None


class _Merged(torch.autograd.Function):
    """A plain product per domain with W + (A B)^T, which costs no more than the shared one alone
    where each domain has rows enough.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        shared_bias: Tensor,
        a: Tensor,
        b: Tensor,
        bias: Tensor,
        groups: DomainGroups,
    ) -> Tensor:
        merged = [torch.addmm(weight, b[d].t(), a[d]) for d, _, _ in groups.slices]
        offset = bias + shared_bias
        ctx.save_for_backward(x, a, b, *merged)
        ctx.slices = groups.slices
        parts = [
            product(x[start:end], w, offset[d])
            for (d, start, end), w in zip(groups.slices, merged, strict=True)
        ]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, a, b, *merged = ctx.saved_tensors
        grad_a, grad_b = torch.zeros_like(a), torch.zeros_like(b)
        grad_bias = grad.new_zeros(a.shape[0], grad.shape[1])
        parts, grad_weight = [], None
        for (d, start, end), w in zip(ctx.slices, merged, strict=True):
            g = grad[start:end]
            parts.append(product(g, w.t()))
            own = weight_gradient(x[start:end], g)  # (n_out, n_in)
            torch.mm(b[d], own, out=grad_a[d])
            torch.mm(a[d], own.t(), out=grad_b[d])
            torch.sum(g, 0, out=grad_bias[d])
            grad_weight = own if grad_weight is None else grad_weight.add_(own)
        return torch.cat(parts), grad_weight, grad_bias.sum(0), grad_a, grad_b, grad_bias, None


def _side_by_side(x: Tensor, a: Tensor, b: Tensor, bias: Tensor, groups: DomainGroups) -> Tensor:
    """Two dense products over all domains at once, foreign blocks zeroed between them.

    At these sizes a GPU pays for launches rather than for arithmetic.
    """
    own = groups.own.to(x.dtype)  # (B, D)
    down = (x @ a.flatten(0, 1).T).view(*own.shape, -1) * own.unsqueeze(2)  # (B, D, R)
    return torch.cat((down.flatten(1), own), 1) @ torch.cat((b.flatten(0, 1), bias))
