"""x_i A_{d(i)}^T B_{d(i)} + c_{d(i)} for every row i of a batch, where d(i) is the row's domain.

MLoRA (arXiv 2408.08913) adds this term to each layer of the MLP. Rows come sorted by domain
(`DomainGroups`), so no kernel gathers a matrix per row.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.kernels.groups import DomainGroups


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
    if x.device.type == "cpu":
        return _Tiled.apply(x, a, b, bias, groups)
    return _side_by_side(x, a, b, bias, groups)


class _Tiled(torch.autograd.Function):
    """One batched product over tiles of rows, each tile of one domain.

    A product per domain leaves a CPU with hundreds of matrices too small to share between
    threads; `F.grouped_mm` runs just that loop. Padding costs at most one tile per domain.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor, b: Tensor, bias: Tensor, groups: DomainGroups
    ) -> Tensor:
        tiles = groups.tiles
        xt = x.index_select(0, tiles.rows).view(*tiles.shape, -1)  # (T, M, n_in)
        at = a.index_select(0, tiles.domain)  # (T, R, n_in)
        bt = b.index_select(0, tiles.domain)  # (T, R, n_out)
        # Zeros here keep the padding out of every gradient below.
        down = torch.bmm(at, xt.transpose(1, 2)).mul_(tiles.real)  # (T, R, M)
        ct = bias.index_select(0, tiles.domain).unsqueeze(1)  # (T, 1, n_out)
        up = torch.baddbmm(ct, down.transpose(1, 2), bt)  # (T, M, n_out)
        ctx.save_for_backward(xt, at, bt, down)
        ctx.tiles, ctx.n_domains = tiles, a.shape[0]
        return up.flatten(0, 1).index_select(0, tiles.place)  # (B, n_out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        xt, at, bt, down = ctx.saved_tensors
        tiles = ctx.tiles

        def per_domain(tile_grad: Tensor) -> Tensor:
            total = tile_grad.new_zeros(ctx.n_domains, *tile_grad.shape[1:])
            return total.index_add_(0, tiles.domain, tile_grad)

        gt = grad.index_select(0, tiles.rows).view(*tiles.shape, -1)  # (T, M, n_out)
        grad_bias = per_domain(torch.bmm(tiles.real.to(gt.dtype), gt).squeeze(1))
        grad_b = per_domain(torch.bmm(down, gt))
        grad_down = torch.bmm(bt, gt.transpose(1, 2)).mul_(tiles.real)  # (T, R, M)
        grad_a = per_domain(torch.bmm(grad_down, xt))
        grad_x = torch.bmm(grad_down.transpose(1, 2), at).flatten(0, 1)
        return grad_x.index_select(0, tiles.place), grad_a, grad_b, grad_bias, None


def _side_by_side(x: Tensor, a: Tensor, b: Tensor, bias: Tensor, groups: DomainGroups) -> Tensor:
    """Two dense products over all domains at once, foreign blocks zeroed between them.

    At these sizes a GPU pays for launches rather than for arithmetic.
    """
    own = F.one_hot(groups.domain, a.shape[0]).to(x.dtype)  # (B, D)
    down = (x @ a.flatten(0, 1).T).view(*own.shape, -1) * own.unsqueeze(2)  # (B, D, R)
    return torch.cat((down.flatten(1), own), 1) @ torch.cat((b.flatten(0, 1), bias))
