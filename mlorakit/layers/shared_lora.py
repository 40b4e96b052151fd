"""The MLoRA layer with one LoRA for all domains."""

import torch
from torch import Tensor

from mlorakit.kernels.dropout import activate
from mlorakit.kernels.groups import DomainGroups
from mlorakit.kernels.linear import linear
from mlorakit.layers.domain import one_domain
from mlorakit.layers.mlp import DomainLoRA


class SharedLoRA(DomainLoRA):
    r"""`DomainLoRA` with the same A, B and c in every domain.

    .. math:: h = \mathrm{ReLU}(W x + b + x A B + c)

    With A B added to W it computes what a plain layer can, and no more: beside it, MLoRA shows what
    telling the domains apart is worth. Dropout acts on h.

    Args:
        n_in, n_out: widths.
        rank: R.
        p: dropout probability.
    """

    def __init__(self, n_in: int, n_out: int, rank: int, p: float) -> None:
        super().__init__(n_in, n_out, 1, rank, p, dropout_on_shared=False)

    def domain_term(self, x: Tensor, groups: DomainGroups) -> Tensor:
        return super().domain_term(x, one_domain(groups))

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in) to (B, n_out)."""
        weight, bias = self.shared.weight, self.shared.bias + self.domain_bias[0]
        if self.lora_a is not None:  # one sum for all rows costs less than a second product
            weight = torch.addmm(weight, self.lora_b[0].t(), self.lora_a[0])
        return activate(linear(x, weight, bias), self.p, self.training)
