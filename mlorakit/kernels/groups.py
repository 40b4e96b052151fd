"""Rows of a batch ordered by domain, so that each domain is one contiguous slice."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class DomainGroups:
    """Where each domain's rows lie in a batch that is sorted by domain.

    Args:
        domain: int64 tensor of shape (B,), non-decreasing; the domain of each row.
        ends: int64 tensor of shape (D,); domain d owns rows ``ends[d - 1]:ends[d]``.
    """

    domain: Tensor
    ends: Tensor

    @property
    def n_domains(self) -> int:
        """D, the number of domains of the data set, not only of this batch."""
        return self.ends.numel()

    @cached_property
    def slices(self) -> list[tuple[int, int, int]]:
        """(domain, first row, end) of each domain that has rows."""
        ends = self.ends.tolist()
        starts = [0, *ends[:-1]]
        return [(d, a, b) for d, (a, b) in enumerate(zip(starts, ends, strict=True)) if b > a]

    @cached_property
    def own(self) -> Tensor:
        """Float tensor of shape (B, D): 1 at each row's domain, 0 elsewhere."""
        domains = torch.arange(self.n_domains, device=self.domain.device)
        return (self.domain.unsqueeze(1) == domains).to(torch.float32)


def group_rows(domain: Tensor, n_domains: int) -> tuple[Tensor, DomainGroups]:
    """Sort rows by domain.

    Args:
        domain: integer tensor of shape (B,), values in 0..n_domains-1, in any order.
        n_domains: D.

    Returns:
        ``order`` of shape (B,), the stable permutation that sorts the rows, and their groups.

    Raises:
        ValueError: a domain id lies outside 0..n_domains-1.
    """
    domain = domain.long()
    if domain.numel() and not (int(domain.min()) >= 0 and int(domain.max()) < n_domains):
        raise ValueError(
            f"Domain ids must lie in 0..{n_domains - 1}, but the batch holds ids from "
            f"{int(domain.min())} to {int(domain.max())}; fit the domain table on this data first."
        )
    order = torch.argsort(domain, stable=True)
    ends = torch.bincount(domain, minlength=n_domains).cumsum(0)
    return order, DomainGroups(domain[order], ends)
