"""The MLP of every backbone, and the layer that MLoRA puts in its place."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeGuard

import torch
from torch import Tensor, nn

from mlorakit.kernels.compiled import runs_compiled
from mlorakit.kernels.dropout import activate, dropout
from mlorakit.kernels.grouped_lora import grouped_lora
from mlorakit.kernels.groups import DomainGroups
from mlorakit.kernels.linear import linear
from mlorakit.kernels.stack import StackLayer, dense_stack

LayerFactory = Callable[[int, int], nn.Module]
"""Makes a layer from its input and output width; its forward takes (x, groups)."""


def shared_linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear map with Glorot-normal weights and zero bias, as in deepctr 0.9.0's `DNN`."""
    linear = nn.Linear(n_in, n_out)
    nn.init.xavier_normal_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Dense(nn.Module):
    """Dropout(ReLU(W x + b)): the layer of a base model, the same for every domain.

    Args:
        n_in, n_out: widths.
        p: dropout probability.
    """

    def __init__(self, n_in: int, n_out: int, p: float) -> None:
        super().__init__()
        self.shared = shared_linear(n_in, n_out)
        self.p = p

    def stacked(self) -> StackLayer:
        """Its weights, as `dense_stack` takes them."""
        return StackLayer(self.shared.weight, self.shared.bias)

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in) to (B, n_out)."""
        p = self.p if self.training else 0.0
        if runs_compiled(x):
            return dense_stack(x, [self.stacked()], groups, p)
        shared = linear(x, self.shared.weight, self.shared.bias)
        return activate(shared, p, self.training)


def lora_rank(n_out: int, alpha: int) -> int:
    """MLoRA's rank of a layer: max(floor(n_out / alpha), 1).

    Args:
        n_out: output width of the layer.
        alpha: the temperature coefficient, `lora_reduce` in the released configs.
    """
    return max(n_out // alpha, 1)


class DomainLoRA(nn.Module):
    r"""The MLoRA layer (arXiv 2408.08913): a shared map plus a low-rank map and bias per domain.

    .. math:: h = \mathrm{ReLU}(W x + b + x A_d B_d + c_d)

    A starts Glorot-normal (see `reset_adapters`), B and c at zero, and no alpha / r factor scales
    the product. The released code applies dropout to the shared path alone, before the sum; the
    default applies it to h, where the base model has it. Without a low-rank term the two agree,
    because ReLU commutes with scaling by 0 or 1 / (1 - p).

    Args:
        n_in, n_out: widths.
        n_domains: D.
        rank: R; 0 leaves the low-rank term out, which makes the `control` layer.
        p: dropout probability.
        dropout_on_shared: True for the released code's dropout position.
    """

    def __init__(
        self, n_in: int, n_out: int, n_domains: int, rank: int, p: float, dropout_on_shared: bool
    ) -> None:
        super().__init__()
        self.shared = shared_linear(n_in, n_out)
        self.rank = rank
        self.p = p
        self.dropout_on_shared = dropout_on_shared
        self.lora_a = nn.Parameter(torch.zeros(n_domains, rank, n_in)) if rank else None
        # B and, as its last row, c: one product for both, see `grouped_lora`.
        self.lora_b_bias = nn.Parameter(torch.zeros(n_domains, rank + 1, n_out))

    @property
    def lora_b(self) -> Tensor:
        """B of every domain, a view of shape (D, R, n_out)."""
        return self.lora_b_bias[:, :-1]

    @property
    def domain_bias(self) -> Tensor:
        """The bias c of every domain, a view of shape (D, n_out)."""
        return self.lora_b_bias[:, -1]

    def reset_adapters(self) -> None:
        """Draw every A from Glorot's normal distribution and set every B and c to zero.

        Apart from the constructor, so that the shared weights of a seed are the same whatever
        the rank.
        """
        nn.init.zeros_(self.lora_b_bias)
        if self.lora_a is not None:
            for a in self.lora_a:
                nn.init.xavier_normal_(a)

    def domain_term(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """X A_d B_d + c_d, of shape (B, n_out)."""
        return grouped_lora(x, self.lora_a, self.lora_b_bias, groups)

    def stacked(self) -> StackLayer:
        """Its weights, as `dense_stack` takes them."""
        shared = self.shared
        return StackLayer(shared.weight, shared.bias, self.lora_a, self.lora_b_bias)

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in), rows sorted by domain, to (B, n_out)."""
        weight, bias = self.shared.weight, self.shared.bias
        if self.dropout_on_shared:
            shared = dropout(linear(x, weight, bias), self.p, self.training)
            return torch.relu_(shared + self.domain_term(x, groups))
        p = self.p if self.training else 0.0
        if runs_compiled(x):
            return dense_stack(x, [self.stacked()], groups, p)
        shared = linear(x, weight, bias) + self.domain_term(x, groups)
        return activate(shared, p, self.training)


class MLP(nn.Module):
    """A stack of layers.

    Args:
        n_in: width of the input.
        hidden: widths of the layers.
        layer: what makes each of them.
    """

    def __init__(self, n_in: int, hidden: tuple[int, ...], layer: LayerFactory) -> None:
        super().__init__()
        widths = (n_in, *hidden)
        self.layers = nn.ModuleList(layer(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in) to (B, hidden[-1])."""
        stacked = self.stacked() if runs_compiled(x) else None
        if stacked is not None:
            layers, p = stacked
            return dense_stack(x, layers, groups, p if self.training else 0.0)
        for layer in self.layers:
            x = layer(x, groups)
        return x

    def stacked(self) -> tuple[list[StackLayer], float] | None:
        """The layers' weights and their dropout probability, as `dense_stack` takes them, or None
        if it does not compute what the layers do.
        """
        stackable = [layer for layer in self.layers if _is_stackable(layer)]
        ps = {layer.p for layer in stackable}
        if len(stackable) < len(self.layers) or len(ps) != 1:
            return None
        return [layer.stacked() for layer in stackable], ps.pop()


def _is_stackable(layer: nn.Module) -> TypeGuard[Dense | DomainLoRA]:
    """Whether `dense_stack` computes what the layer does."""
    if type(layer) is DomainLoRA:
        return not layer.dropout_on_shared
    return type(layer) is Dense
