"""The batches of an epoch, a function of the seed and the epoch alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mlorakit.data.dataset import Rows
from mlorakit.kernels import compiled
from mlorakit.kernels.groups import DomainGroups


def epoch_batches(split: Rows, size: int, order: str, generator: torch.Generator) -> Iterator[Rows]:
    """One pass over a split.

    Args:
        split: rows sorted by domain.
        size: B; the last batch (of each domain, if alternate) may be smaller.
        order: `mixed`: a batch is a random sample of all rows. `alternate`: a batch holds one
            domain, and the domains come one after the other in random order, each passed once, as
            in MLoRA's released code.
        generator: on the CPU, so that the order is the same on every device.
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
    yield from _in_order(split, rows, sizes)


def _cut(rows: int, size: int) -> list[int]:
    """Sizes of the batches of some rows."""
    return [size] * (rows // size) + [rows % size] * (rows % size > 0)


def _in_order(split: Rows, rows: Tensor, sizes: list[int]) -> Iterator[Rows]:
    """Batches of the given sizes of the given rows, each put in order of its domains."""
    domain = split.groups.domain.cpu()
    counts = torch.empty(len(sizes), split.groups.n_domains, dtype=torch.int64)
    compiled.sort_batches(rows.numpy(), np.array(sizes, np.int64), domain.numpy(), counts.numpy())
    device = split.ids.device
    ends = counts.cumsum(1).to(device)
    rows = rows.to(device)
    ids, label, domain = (
        x.index_select(0, rows) for x in (split.ids, split.label, split.groups.domain)
    )
    start = 0
    for number, size in enumerate(sizes):
        part = slice(start, start + size)
        yield Rows(ids[part], label[part], DomainGroups(domain[part], ends[number]))
        start += size


def evaluation_batches(split: Rows, size: int) -> Iterator[Rows]:
    """All rows of a split in their own order, in batches of `size`."""
    groups = split.groups
    for start in range(0, len(split), size):
        end = min(start + size, len(split))
        part = slice(start, end)
        ends = groups.ends.clamp(start, end) - start
        yield Rows(split.ids[part], split.label[part], DomainGroups(groups.domain[part], ends))
