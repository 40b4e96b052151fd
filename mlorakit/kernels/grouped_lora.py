"""x_i A_{d(i)}^T B_{d(i)} + c_{d(i)} for every row i of a batch, where d(i) is the row's domain.

MLoRA (arXiv 2408.08913) adds this term to each layer of the MLP. Rows come sorted by domain
(`DomainGroups`), so no kernel gathers a matrix per row.
"""

from typing import Any

import torch
from torch import Tensor

from mlorakit.kernels.dropout import relu_dropout_, relu_dropout_backward, relu_dropout_forward_
from mlorakit.kernels.groups import DomainGroups, Tiles
from mlorakit.kernels.linear import linear, product, weight_gradient


def grouped_lora_reference(x: Tensor, a: Tensor | None, b: Tensor, groups: DomainGroups) -> Tensor:
    """The plain form, a loop over domains. Same arguments as `grouped_lora`."""
    parts, start = [], 0
    for d, end in enumerate(groups.ends.tolist()):
        own = b[d, -1].expand(end - start, -1)
        parts.append(own if a is None else x[start:end] @ a[d].T @ b[d, :-1] + own)
        start = end
    return torch.cat(parts)


def grouped_lora(x: Tensor, a: Tensor | None, b: Tensor, groups: DomainGroups) -> Tensor:
    """Low-rank product of each row with its own domain's matrices, plus its domain's bias.

    Args:
        x: inputs of shape (B, n_in), rows sorted by domain.
        a: down-projections of shape (D, R, n_in), transposed as `torch.nn.Linear` keeps its weight:
            products with a long last axis run up to four times faster than with one of length R.
            None for the bias alone.
        b: up-projections with the biases as their last row, of shape (D, R + 1, n_out): the bias
            belongs to a low-rank coordinate that is always 1.
        groups: where each domain's rows lie.

    Returns:
        Tensor of shape (B, n_out).
    """
    if x.device.type != "cpu":
        return _side_by_side(x, a, b, groups)
    return _in_tiles(x, None, None, a, b, groups.tiles, None)


def adapted_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    a: Tensor | None,
    b: Tensor,
    groups: DomainGroups,
    p: float,
) -> Tensor:
    """A whole layer, dropout of ReLU(x W^T + b + `grouped_lora`), in one step.

    Args:
        x: inputs of shape (B, n_in), rows sorted by domain.
        weight: W of shape (n_out, n_in).
        bias: shared by the domains, of shape (n_out,).
        a: see `grouped_lora`.
        b: see `grouped_lora`.
        groups: see `grouped_lora`.
        p: dropout probability; 0 outside training.

    Returns:
        Tensor of shape (B, n_out).
    """
    if x.device.type != "cpu":
        h = linear(x, weight, bias) + _side_by_side(x, a, b, groups)
        return relu_dropout_(h, p, training=True)
    if not torch.is_grad_enabled():
        return relu_dropout_forward_(_merged(x, weight, bias, a, b, groups), p)
    return _in_tiles(x, weight, bias, a, b, groups.tiles, p)


def _merged(
    x: Tensor, weight: Tensor, bias: Tensor, a: Tensor | None, b: Tensor, groups: DomainGroups
) -> Tensor:
    """`adapted_layer` before ReLU, a product per domain with W + (A B)^T: the fastest way where
    each domain has many rows, as in evaluation.
    """
    parts = []
    for d, start, end in groups.slices:
        merged = weight if a is None else torch.addmm(weight, b[d, :-1].t(), a[d])
        parts.append(product(x[start:end], merged, bias + b[d, -1]))
    return torch.cat(parts) if parts else product(x, weight, bias)


def _in_tiles(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    a: Tensor | None,
    b: Tensor,
    tiles: Tiles,
    p: float | None,
) -> Tensor:
    whole_map = a is not None and a.shape[1] >= a.shape[2]
    if a is not None and whole_map:
        # No low rank: the product of the two is smaller than they are.
        b = torch.cat((torch.bmm(a.transpose(1, 2), b[:, :-1]), b[:, -1:]), 1)
        a = None
    return tiles.unpad(_Tiled.apply(tiles.pad(x), weight, bias, a, b, whole_map, tiles, p))


class _Tiled(torch.autograd.Function):
    """Shared product, low-rank product and bias of rows in tiles, each tile of one domain.

    A product per domain leaves a CPU with hundreds of matrices too small to share between
    threads; `F.grouped_mm` runs just that loop. Here one batched product over all tiles adds to
    what is there. Padding costs at most one tile per domain.

    Arguments are those of `adapted_layer`. Without a weight the result is the domain's term alone,
    and without p there is no ReLU and no dropout. With `whole_map` there is no a, and b, of shape
    (D, n_in + 1, n_out), maps x itself.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        a: Tensor | None,
        b: Tensor,
        whole_map: bool,
        tiles: Tiles,
        p: float | None,
    ) -> Tensor:
        y = x.new_zeros(len(x), b.shape[2]) if weight is None else product(x, weight, bias)
        xt = tiles.cut(x)  # (T, M, n_in)
        at = None if a is None else a.index_select(0, tiles.domain)  # (T, R, n_in)
        bt = b.index_select(0, tiles.domain)  # (T, R + 1, n_out)
        down = xt.new_ones(len(xt), 1, tiles.size)
        if at is not None or whole_map:
            low = xt.transpose(1, 2) if at is None else torch.bmm(at, xt.transpose(1, 2))
            down = torch.cat((low, down), 1)  # (T, R + 1, M)
        tiles.cut(y).baddbmm_(down.transpose(1, 2), bt)
        if p is not None:
            relu_dropout_forward_(y, p)
        ctx.save_for_backward(x, weight, at, bt, down, None if p is None else y)
        ctx.whole_map, ctx.has_bias = whole_map, bias is not None
        ctx.tiles, ctx.n_domains, ctx.p = tiles, b.shape[0], p
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Padding has no gradient, so it adds nothing to any sum below.
        x, weight, at, bt, down, y = ctx.saved_tensors
        tiles = ctx.tiles
        if y is not None:
            grad = relu_dropout_backward(grad, y, ctx.p)

        def per_domain(of_tile: Tensor) -> Tensor:
            total = of_tile.new_zeros(ctx.n_domains, *of_tile.shape[1:])
            return total.index_add_(0, tiles.domain, of_tile)

        gt = tiles.cut(grad)  # (T, M, n_out)
        grad_b = per_domain(torch.bmm(down, gt))
        grad_x = grad_weight = grad_a = None
        if weight is None:
            grad_x = torch.zeros_like(x)
        else:
            grad_x, grad_weight = product(grad, weight.t()), weight_gradient(x, grad)
        if at is not None or ctx.whole_map:
            grad_down = torch.bmm(bt[:, :-1], gt.transpose(1, 2))  # (T, R, M)
            of_x = tiles.cut(grad_x)
            if at is None:
                of_x.add_(grad_down.transpose(1, 2))
            else:
                of_x.baddbmm_(grad_down.transpose(1, 2), at)
                grad_a = per_domain(torch.bmm(grad_down, tiles.cut(x)))
        grad_bias = grad_b[:, -1].sum(0) if ctx.has_bias else None
        return grad_x, grad_weight, grad_bias, grad_a, grad_b, None, None, None


def _side_by_side(x: Tensor, a: Tensor | None, b: Tensor, groups: DomainGroups) -> Tensor:
    """Two dense products over all domains at once, foreign blocks zeroed between them.

    At these sizes a GPU pays for launches rather than for arithmetic.
    """
    own = groups.own.to(x.dtype).unsqueeze(2)  # (B, D, 1)
    if a is not None:
        down = (x @ a.flatten(0, 1).T).view(*own.shape[:2], -1)  # (B, D, R)
        own = torch.cat((down * own, own), 2)  # (B, D, R + 1)
    return own.flatten(1) @ b.flatten(0, 1)
