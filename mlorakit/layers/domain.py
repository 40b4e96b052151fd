"""Layers with weights of their own for each domain, the parts of multi-domain baselines."""

import torch
from torch import Tensor, nn

from mlorakit.kernels.dropout import activate
from mlorakit.kernels.grouped_linear import grouped_linear, grouped_product_linear
from mlorakit.kernels.groups import DomainGroups
from mlorakit.kernels.lookup import lookup
from mlorakit.layers.mlp import MLP, LayerFactory, shared_linear


class DomainLinear(nn.Module):
    """W_d x + b_d, where d is the row's domain.

    Args:
        n_in, n_out: widths; every W starts Glorot-normal and every b at zero.
        n_domains: D.
        bias: whether there is a b.
    """

    def __init__(self, n_in: int, n_out: int, n_domains: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = _glorot(n_domains, n_out, n_in)
        self.bias = nn.Parameter(torch.zeros(n_domains, n_out)) if bias else None

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in), rows sorted by domain, to (B, n_out)."""
        return grouped_linear(x, self.weight, self.bias, groups)


class DomainDense(nn.Module):
    """Dropout(ReLU(W_d x + b_d)): `Dense` with weights of its own for each domain.

    Args:
        n_in, n_out: widths.
        n_domains: D.
        p: dropout probability.
    """

    def __init__(self, n_in: int, n_out: int, n_domains: int, p: float) -> None:
        super().__init__()
        self.own = DomainLinear(n_in, n_out, n_domains)
        self.p = p

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in), rows sorted by domain, to (B, n_out)."""
        return activate(self.own(x, groups), self.p, self.training)


class StarDense(nn.Module):
    r"""The layer of STAR's star topology (arXiv 2101.11427).

    .. math:: h = \mathrm{ReLU}((W \odot W_d) x + b + b_d)

    W and every W_d start Glorot-normal and the biases at zero, as in MAMDR's code. Its W_d start
    smaller by the root of D, because Keras counts the axis of domains as part of the fan; these
    do not.

    Args:
        n_in, n_out: widths.
        n_domains: D.
        p: dropout probability, after ReLU.
    """

    def __init__(self, n_in: int, n_out: int, n_domains: int, p: float) -> None:
        super().__init__()
        self.shared = shared_linear(n_in, n_out)
        self.domain_weight = _glorot(n_domains, n_out, n_in)
        self.domain_bias = nn.Parameter(torch.zeros(n_domains, n_out))
        self.p = p

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in), rows sorted by domain, to (B, n_out)."""
        bias = self.shared.bias + self.domain_bias  # (D, n_out)
        h = grouped_product_linear(x, self.shared.weight, self.domain_weight, bias, groups)
        return activate(h, self.p, self.training)


class Tower(nn.Module):
    """An MLP and a logit, with weights of their own for each domain.

    Args:
        n_in: width of the input.
        hidden: widths of the MLP; none leaves the logit alone.
        n_domains: D.
        p: dropout probability.
    """

    def __init__(self, n_in: int, hidden: tuple[int, ...], n_domains: int, p: float) -> None:
        super().__init__()
        self.mlp = MLP(n_in, hidden, _domain_dense(n_domains, p))
        self.head = DomainLinear((n_in, *hidden)[-1], 1, n_domains)

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in), rows sorted by domain, to logits of shape (B,)."""
        return self.head(self.mlp(x, groups), groups).squeeze(1)


class Gate(nn.Module):
    """Weights that sum to 1, from an MLP of each domain's own.

    Args:
        n_in: width of the input.
        hidden: widths of the MLP; none leaves the linear map alone.
        n_domains: D.
        n_weights: how many weights.
        p: dropout probability.
    """

    def __init__(
        self, n_in: int, hidden: tuple[int, ...], n_domains: int, n_weights: int, p: float
    ) -> None:
        super().__init__()
        self.mlp = MLP(n_in, hidden, _domain_dense(n_domains, p))
        self.head = DomainLinear((n_in, *hidden)[-1], n_weights, n_domains, bias=False)

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in), rows sorted by domain, to (B, n_weights)."""
        return torch.softmax(self.head(self.mlp(x, groups), groups), 1)


class DomainExperts(nn.Module):
    """Several MLPs for each domain, all of its own.

    Expert s of domain d is the network of number d E + s, and each row goes to the E of its
    domain.

    Args:
        n_in: width of the input.
        hidden: widths of an expert.
        n_domains: D.
        count: E, the experts of a domain.
        p: dropout probability.
    """

    def __init__(
        self, n_in: int, hidden: tuple[int, ...], n_domains: int, count: int, p: float
    ) -> None:
        super().__init__()
        self.count = count
        self.mlp = MLP(n_in, hidden, _domain_dense(n_domains * count, p))

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, n_in), rows sorted by domain, to (B, E, hidden[-1])."""
        rows, place, of_experts = repeat_groups(groups, self.count)
        return lookup(self.mlp(lookup(x, rows), of_experts), place)


def one_domain(groups: DomainGroups) -> DomainGroups:
    """All rows of a batch as those of a single domain."""
    return DomainGroups(torch.zeros_like(groups.domain), groups.ends[-1:])


def repeat_groups(groups: DomainGroups, times: int) -> tuple[Tensor, Tensor, DomainGroups]:
    """Each domain's rows several times over, one copy after the other.

    Args:
        groups: of a batch of B rows.
        times: E.

    Returns:
        ``rows`` of shape (B E,), the row that each place holds; ``place`` of shape (B, E), where
        each copy of a row lies; and the groups of the places, in which copy s of domain d is
        domain d E + s.
    """
    domain, row = groups.domain, torch.arange(groups.domain.numel(), device=groups.domain.device)
    copy = torch.arange(times, device=domain.device)
    counts = torch.diff(groups.ends, prepend=groups.ends.new_zeros(1))
    start = (groups.ends - counts)[domain]
    place = ((times - 1) * start + row).unsqueeze(1) + copy * counts[domain].unsqueeze(1)
    rows, of_place = domain.new_empty(2, place.numel())
    rows[place] = row.unsqueeze(1)
    of_place[place] = times * domain.unsqueeze(1) + copy
    ends = counts.repeat_interleave(times).cumsum(0)
    return rows, place, DomainGroups(of_place, ends)


def _glorot(n_domains: int, n_out: int, n_in: int) -> nn.Parameter:
    """A matrix per domain, Glorot-normal by its own fan and not by one over all domains."""
    weight = torch.empty(n_domains, n_out, n_in)
    for own in weight:
        nn.init.xavier_normal_(own)
    return nn.Parameter(weight)


def _domain_dense(n_domains: int, p: float) -> LayerFactory:
    return lambda n_in, n_out: DomainDense(n_in, n_out, n_domains, p)
