"""Rows of a batch ordered by domain, so that each domain is one contiguous slice."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiles:
    """A batch cut into T tiles of M rows, each tile of one domain, the last of a domain padded.

    Args:
        rows: int64 tensor of shape (T M,); the row that each place holds. Padding repeats the
            last row of its domain.
        real: float tensor of shape (T, 1, M); 0 at padding, 1 elsewhere.
        domain: int64 tensor of shape (T,); the domain of each tile.
        place: int64 tensor of shape (B,); where each row lies among the T M places.
    """

    rows: Tensor
    real: Tensor
    domain: Tensor
    place: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(T, M)."""
        return self.real.shape[0], self.real.shape[2]


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
    def tiles(self) -> Tiles:
        """The batch in tiles; made once for all layers of a model."""
        counts = torch.diff(self.ends, prepend=self.ends.new_zeros(1))
        # Half a mean group: smaller tiles copy more weights, larger ones pad more rows.
        half_group = self.domain.numel() // (2 * counts.numel())
        size = max(4, min(64, 1 << max(half_group.bit_length() - 1, 0)))
        per_domain = (counts + size - 1) // size
        domain = torch.repeat_interleave(per_domain)
        tile_ends = per_domain.cumsum(0)
        first_row = self.ends - counts
        # Row r of domain d stands (r - first_row[d]) places after d's first tile begins.
        shift = (tile_ends - per_domain) * size - first_row
        place = torch.arange(self.domain.numel(), device=domain.device) + shift[self.domain]
        every = torch.arange(domain.numel() * size, device=domain.device).view(-1, size)
        rows = every - shift[domain].unsqueeze(1)
        ends = self.ends[domain].unsqueeze(1)
        real = (rows < ends).to(torch.float32).unsqueeze(1)
        return Tiles(torch.minimum(rows, ends - 1).flatten(), real, domain, place)


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
