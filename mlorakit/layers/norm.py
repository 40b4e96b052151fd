"""Normalisation of the MLP's input: of the batch, or of each domain's rows in it.

Constants are those of Keras, which STAR's code in MAMDR and MLoRA's build on.
"""

import torch
from torch import Tensor, nn

from mlorakit.kernels.groups import DomainGroups
from mlorakit.kernels.lookup import lookup_domains
from mlorakit.layers.domain import one_domain

_EPSILON = 1e-3
_MEMORY = 100  # updates; Keras's momentum is 0.99

NORMS = ("none", "bn", "pn")
"""What the key `norm` of the released configs may hold."""


class Standardize(nn.Module):
    """(x - mean) / sqrt(variance + 0.001), with the statistics of each domain's rows in the batch.

    In evaluation the statistics are running ones, kept per domain. They move by a hundredth per
    update, as in Keras, but a domain's first hundred updates count equally: Keras starts from mean
    0 and variance 1, which a domain of few batches would be evaluated with. Running variances are
    unbiased, because in a mixed batch a domain may have a few rows only. A domain with a single
    row has no variance; it takes its running statistics and leaves them as they are.

    `frozen` set to True, the running statistics are used and kept in training too.

    Args:
        width: of the input.
        n_domains: D.
    """

    mean: Tensor
    variance: Tensor
    updates: Tensor

    def __init__(self, width: int, n_domains: int) -> None:
        super().__init__()
        self.frozen = False
        self.register_buffer("mean", torch.zeros(n_domains, width))
        self.register_buffer("variance", torch.ones(n_domains, width))
        self.register_buffer("updates", torch.zeros(n_domains, 1, dtype=torch.int64))

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, width), rows sorted by domain and none of them padding, to (B, width)."""
        moves = self.training and not self.frozen
        mean, variance = self._of_batch(x, groups) if moves else (self.mean, self.variance)
        scale = (variance + _EPSILON).rsqrt()
        return (x - lookup_domains(mean, groups)) * lookup_domains(scale, groups)

    def _of_batch(self, x: Tensor, groups: DomainGroups) -> tuple[Tensor, Tensor]:
        """Mean and variance of each domain, (D, width); moves the running ones."""
        own = groups.own.to(x.dtype).t()  # (D, B)
        rows = torch.diff(groups.ends, prepend=groups.ends.new_zeros(1)).unsqueeze(1)
        several = rows > 1
        mean = own @ x / rows.clamp_min(1)
        squares = own @ (x - lookup_domains(mean, groups)).square()
        with torch.no_grad():
            self.updates += several
            rate = several / self.updates.clamp(1, _MEMORY)
            self.mean += rate * (mean - self.mean)
            self.variance += rate * (squares / (rows - 1).clamp_min(1) - self.variance)
        return (
            torch.where(several, mean, self.mean),
            torch.where(several, squares / rows.clamp_min(1), self.variance),
        )


class BatchNorm(nn.Module):
    """Batch normalisation (arXiv 1502.03167), the same for every domain.

    Args:
        width: of the input; the scale starts at 1 and the shift at 0.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.standardize = Standardize(width, 1)
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, width) to (B, width)."""
        return torch.addcmul(self.shift, self.standardize(x, one_domain(groups)), self.scale)


class PartitionedNorm(nn.Module):
    r"""STAR's normalisation with statistics of each domain (arXiv 2101.11427).

    .. math:: y = \gamma \gamma_d \frac{x - \mu_d}{\sqrt{\sigma_d^2 + \epsilon}} + \beta + \beta_d

    STAR's batches hold one domain each. In a batch that mixes domains each row is normalised by
    the rows of its own domain there, and the fewer those are, the noisier are their statistics.

    Args:
        width: of the input; scales start at 1 and shifts at 0.
        n_domains: D.
    """

    def __init__(self, width: int, n_domains: int) -> None:
        super().__init__()
        self.standardize = Standardize(width, n_domains)
        self.shared_scale = nn.Parameter(torch.ones(width))
        self.shared_shift = nn.Parameter(torch.zeros(width))
        self.scale = nn.Parameter(torch.ones(n_domains, width))
        self.shift = nn.Parameter(torch.zeros(n_domains, width))

    def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """(B, width), rows sorted by domain and none of them padding, to (B, width)."""
        scale = lookup_domains(self.shared_scale * self.scale, groups)
        shift = lookup_domains(self.shared_shift + self.shift, groups)
        return torch.addcmul(shift, self.standardize(x, groups), scale)

    def of_domain(self, domain: int) -> BatchNorm:
        """The normalisation that gives every domain, in evaluation, what this gives one."""
        own, all_ = BatchNorm(self.scale.shape[1]), self.standardize
        with torch.no_grad():
            for name in ("mean", "variance", "updates"):
                getattr(own.standardize, name).copy_(getattr(all_, name)[domain])
            own.scale.copy_(self.shared_scale * self.scale[domain])
            own.shift.copy_(self.shared_shift + self.shift[domain])
        return own.to(self.scale.device)


def make_norm(name: str, width: int, n_domains: int) -> BatchNorm | PartitionedNorm | None:
    """The layer that the key `norm` of a released config names; None for `none`.

    It belongs before the MLP, not into it: the MLP pads the batch, and padding would count.

    Args:
        name: one of `NORMS`.
        width: of the MLP's input.
        n_domains: D.

    Raises:
        ValueError: an unknown name.
    """
    if name not in NORMS:
        raise ValueError(f"Unknown norm {name!r}; it is one of {', '.join(NORMS)}.")
    if name == "none":
        return None
    return BatchNorm(width) if name == "bn" else PartitionedNorm(width, n_domains)
