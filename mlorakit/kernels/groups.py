"""Rows of a batch ordered by domain, so that each domain is one contiguous slice."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# With fewer rows per domain than this, a CPU does better on tiles than with a product per domain.
_FEW_ROWS = 128
_LARGEST_TILE = 16  # rows


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, place: Tensor) -> Tensor:
        # Kept as it is: places made in inference mode may not be saved for a backward pass.
        ctx.place = place
        return x.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        # Padding is dropped by `unpad` and so has no gradient to add.
        return grad.index_select(0, ctx.place), None, None


class _Unpad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, place: Tensor) -> Tensor:
        ctx.place, ctx.n_places = place, x.shape[0]
        return x.index_select(0, place)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.new_zeros(ctx.n_places, grad.shape[1])
        return total.index_copy_(0, ctx.place, grad), None


@dataclass(frozen=True)
class Tiles:
    """A batch cut into T tiles of M rows, each tile of one domain, the last of a domain padded.

    Args:
        domain: int64 tensor of shape (T,); the domain of each tile.
        size: M.
        rows: int64 tensor of shape (T M,); the row that each place holds. Padding repeats the
            last row of its domain. None where the batch is made of whole tiles already.
        place: int64 tensor of shape (B,); where each row lies among the T M places.
    """

    domain: Tensor
    size: int
    rows: Tensor | None = None
    place: Tensor | None = None

    def pad(self, x: Tensor) -> Tensor:
        """Rows of shape (B, n) to places of shape (T M, n), for what ends in `unpad`."""
        return x if self.rows is None else _Pad.apply(x, self.rows, self.place)

    def unpad(self, x: Tensor) -> Tensor:
        """Places of shape (T M, n) to rows of shape (B, n)."""
        return x if self.place is None else _Unpad.apply(x, self.place)

    def cut(self, x: Tensor) -> Tensor:
        """Places of shape (T M, n) as tiles, a view of shape (T, M, n)."""
        return x.view(self.domain.numel(), self.size, -1)


@dataclass(frozen=True)
class DomainGroups:
    """Where each domain's rows lie in a batch that is sorted by domain.

    Args:
        domain: int64 tensor of shape (B,), non-decreasing; the domain of each row.
        ends: int64 tensor of shape (D,); domain d owns rows ``ends[d - 1]:ends[d]``.
        tile: if above 0, every domain's number of rows is a multiple of it.
    """

    domain: Tensor
    ends: Tensor
    tile: int = 0

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
    def small(self) -> bool:
        """Whether the domains of this batch are so small that tiles serve them better than a
        product per domain.
        """
        return self.domain.numel() < _FEW_ROWS * len(self.slices)

    @cached_property
    def own(self) -> Tensor:
        """Float tensor of shape (B, D): 1 at each row's domain, 0 elsewhere."""
        return F.one_hot(self.domain, self.n_domains).to(torch.float32)

    @cached_property
    def tiles(self) -> Tiles:
        """The batch in tiles; made once for all layers of a model."""
        if self.tile:
            return Tiles(self.domain[:: self.tile], self.tile)
        counts = torch.diff(self.ends, prepend=self.ends.new_zeros(1))
        # Half a mean group: smaller tiles copy more weights, larger ones pad more rows.
        half_group = self.domain.numel() // (2 * counts.numel())
        size = max(4, min(_LARGEST_TILE, 1 << max(half_group.bit_length() - 1, 0)))
        per_domain = (counts + size - 1) // size
        domain = torch.repeat_interleave(per_domain)
        # Row r of domain d stands (r - its first row) places after d's first tile begins.
        shift = (per_domain.cumsum(0) - per_domain) * size - (self.ends - counts)
        place = torch.arange(self.domain.numel(), device=domain.device) + shift[self.domain]
        every = torch.arange(domain.numel() * size, device=domain.device).view(-1, size)
        rows = every - shift[domain].unsqueeze(1)
        last = self.ends[domain].unsqueeze(1) - 1
        return Tiles(domain, size, torch.minimum(rows, last).flatten(), place)

    @cached_property
    def padded(self) -> "DomainGroups":
        """The groups of the places of `tiles`."""
        tiles = self.tiles
        ends = torch.bincount(tiles.domain, minlength=self.n_domains).cumsum(0) * tiles.size
        return DomainGroups(tiles.domain.repeat_interleave(tiles.size), ends, tiles.size)


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
