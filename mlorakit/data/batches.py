"""The batches of an epoch, a function of the seed and the epoch alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlorakit.data.dataset import Rows
from mlorakit.kernels import compiled
from mlorakit.kernels.groups import DomainGroups


@dataclass(frozen=True)
class EpochOrder:
    """One pass over a split of N rows in S batches.

    Args:
        rows: the split's rows, of one batch after the other, each in order of its domains; (N,).
        sizes: rows of each batch.
        ends: of each batch where each domain's rows end in it, (S, D).
    """

    rows: Tensor
    sizes: list[int]
    ends: Tensor

    def batches(self, split: Rows) -> Iterator[Rows]:
        """The batches of the split, on its device."""
        device = split.ids.device
        ends, rows = self.ends.to(device), self.rows.to(device)
        ids, label, domain = (
            x.index_select(0, rows) for x in (split.ids, split.label, split.groups.domain)
        )
        start = 0
        for number, size in enumerate(self.sizes):
            part = slice(start, start + size)
            yield Rows(ids[part], label[part], DomainGroups(domain[part], ends[number]))
            start += size


def epoch_order(split: Rows, size: int, order: str, generator: torch.Generator) -> EpochOrder:
    """The batches of one pass over a split.

    Args:
        split: rows sorted by domain.
        size: B; the last batch (of each domain, if alternate) may be smaller.
        order: `mixed`: a batch is a random sample of all rows. `alternate`: a batch holds one
            domain, and the domains come one after the other in random order, each passed once, as
            in MLoRA's released code.
        generator: on the CPU, so that the order is the same on every device.

    Returns:
        The order, on the CPU.
    """
    if order == "mixed":
        rows = torch.randperm(len(split), generator=generator)
        sizes = _cut(len(split), size)
    else:
        ends = split.groups.ends.tolist()
        starts = [0, *ends[:-1]]
        parts, sizes = [], []
        for d in torch.randperm(len(starts), generator=generator).tolist():
            count = ends[d] - starts[d]
            parts.append(starts[d] + torch.randperm(count, generator=generator))
            sizes += _cut(count, size)
        rows = torch.cat(parts)
    domain = split.groups.domain.cpu()
    counts = torch.empty(len(sizes), split.groups.n_domains, dtype=torch.int64)
    compiled.sort_batches(rows.numpy(), np.array(sizes, np.int64), domain.numpy(), counts.numpy())
    return EpochOrder(rows, sizes, counts.cumsum(1))


def _cut(rows: int, size: int) -> list[int]:
    """Sizes of the batches of some rows."""
    return [size] * (rows // size) + [rows % size] * (rows % size > 0)


def evaluation_batches(split: Rows, size: int) -> Iterator[Rows]:
    """All rows of a split in their own order, in batches of `size`."""
    groups = split.groups
    for start in range(0, len(split), size):
        end = min(start + size, len(split))
        part = slice(start, end)
        ends = groups.ends.clamp(start, end) - start
        yield Rows(split.ids[part], split.label[part], DomainGroups(groups.domain[part], ends))
