"""x_i A_{d(i)}^T B_{d(i)} + c_{d(i)} for every row i of a batch, where d(i) is the row's domain.

MLoRA (arXiv 2408.08913) adds this term to each layer of the MLP. Rows come sorted by domain
(`DomainGroups`), so no kernel gathers a matrix per row.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels import per_domain
from mlorakit.kernels.blas import sgemm_address
from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.groups import DomainGroups
from mlorakit.kernels.lookup import lookup_domains


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
        a: down-projections of shape (D, R, n_in), transposed as `torch.nn.Linear` keeps its weight.
            None for the bias alone.
        b: up-projections with the biases as their last row, of shape (D, R + 1, n_out).
        groups: where each domain's rows lie.

    Returns:
        Tensor of shape (B, n_out).
    """
    if a is None:
        return lookup_domains(b[:, -1], groups)
    if runs_compiled(x):
        return _LowRank.apply(x, a, b, groups)
    return _side_by_side(x, a, b, groups)


class _LowRank(torch.autograd.Function):
    """Domains one by one, several at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, groups: DomainGroups) -> Tensor:
        y = x.new_empty(x.shape[0], b.shape[2])
        down = np.empty((x.shape[0], a.shape[1]), np.float32)
        ctx.used = (
            *(array_of(t.contiguous()) for t in (x, a, b)), array_of(groups.ends), down
        )  # fmt: skip
        per_domain.low_rank(sgemm_address(), *ctx.used, y.numpy())
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = tuple(map(np.empty_like, ctx.used[:3]))
        per_domain.low_rank_backward(
            sgemm_address(), *ctx.used, array_of(grad.contiguous()), *gradients
        )
        return (*map(torch.from_numpy, gradients), None)


def _side_by_side(x: Tensor, a: Tensor, b: Tensor, groups: DomainGroups) -> Tensor:
    """Two dense products over all domains at once, foreign blocks zeroed between them.

    At these sizes a GPU pays for launches rather than for arithmetic.
    """
    own = groups.own.to(x.dtype).unsqueeze(2)  # (B, D, 1)
    down = (x @ a.flatten(0, 1).T).view(*own.shape[:2], a.shape[1])  # (B, D, R)
    own = torch.cat((down * own, own), 2)  # (B, D, R + 1)
    return own.flatten(1) @ b.flatten(0, 1)
