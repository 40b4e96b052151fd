"""Rows of a batch ordered by domain, so that each domain is one contiguous slice."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

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


class TilePlan:
    """The tiles of several batches, such as those of an epoch, made together when first asked for.

    Args:
        counts: int64 tensor of shape (N, D); the rows of each domain in each batch.
    """

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts

    @cached_property
    def size(self) -> int:
        """Rows of a tile: half a mean group of the first batch, at least 4. Smaller tiles copy more
        weights, larger ones pad more rows.
        """
        half_group = int(self.counts[0].sum()) // (2 * self.counts.shape[1])
        return max(4, min(_LARGEST_TILE, 1 << max(half_group.bit_length() - 1, 0)))

    @cached_property
    def _per_group(self) -> Tensor:
        """Tiles of each domain in each batch, (N, D)."""
        return (self.counts + self.size - 1) // self.size

    @cached_property
    def _tiles(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """`domain`, `rows` and `place` of each batch's `Tiles`."""
        counts, per_group, size = self.counts, self._per_group, self.size
        # (batch, domain) pairs stand in a row; where each one's rows and places begin in its batch.
        group = torch.repeat_interleave(counts.flatten())
        group_of_tile = torch.repeat_interleave(per_group.flatten())
        first_row = (counts.cumsum(1) - counts).flatten()
        first_place = ((per_group.cumsum(1) - per_group) * size).flatten()
        shift = first_place - first_row
        batch_rows, batch_tiles = counts.sum(1), per_group.sum(1)
        row = _numbers_within(batch_rows)
        place = row + shift[group]
        every = _numbers_within(batch_tiles * size).view(-1, size)
        last_row = first_row + counts.flatten() - 1
        rows = torch.minimum(every - shift[group_of_tile, None], last_row[group_of_tile, None])
        domain = group_of_tile % counts.shape[1]
        tiles = batch_tiles.tolist()
        return list(
            zip(
                domain.split(tiles),
                [part.flatten() for part in rows.split(tiles)],
                place.split(batch_rows.tolist()),
                strict=True,
            )
        )

    @cached_property
    def _ends(self) -> Tensor:
        """Where each domain's places end in each batch, (N, D)."""
        return self._per_group.cumsum(1) * self.size

    def tiles(self, number: int) -> Tiles:
        """Those of a batch."""
        domain, rows, place = self._tiles[number]
        return Tiles(domain, self.size, rows, place)

    def padded(self, number: int) -> "DomainGroups":
        """The groups of the places of a batch's tiles."""
        domain, _, _ = self._tiles[number]
        return DomainGroups(
            domain.repeat_interleave(self.size), self._ends[number], whole=Tiles(domain, self.size)
        )


def _numbers_within(lengths: Tensor) -> Tensor:
    """0 to n - 1 for each length n, one after the other."""
    first = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum()), device=lengths.device) - first.repeat_interleave(
        lengths
    )


@dataclass(frozen=True)
class DomainGroups:
    """Where each domain's rows lie in a batch that is sorted by domain.

    Args:
        domain: int64 tensor of shape (B,), non-decreasing; the domain of each row.
        ends: int64 tensor of shape (D,); domain d owns rows ``ends[d - 1]:ends[d]``.
        whole: the tiles, where the batch is made of whole ones already.
        plan: where the batch is one of several whose tiles are made together; its place in it.
    """

    domain: Tensor
    ends: Tensor
    whole: Tiles | None = None
    plan: tuple[TilePlan, int] | None = None

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
        return F.one_hot(self.domain, self.n_domains).to(torch.float32)

    @cached_property
    def _plan(self) -> tuple[TilePlan, int]:
        counts = torch.diff(self.ends, prepend=self.ends.new_zeros(1))
        return self.plan or (TilePlan(counts.unsqueeze(0)), 0)

    @cached_property
    def tiles(self) -> Tiles:
        """The batch in tiles; made once for all layers of a model."""
        plan, number = self._plan
        return self.whole or plan.tiles(number)

    @cached_property
    def padded(self) -> "DomainGroups":
        """The groups of the places of `tiles`."""
        plan, number = self._plan
        return plan.padded(number)


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
