"""The batches of an epoch, a function of the seed and the epoch alone."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mlorakit.data.dataset import Rows
from mlorakit.kernels.groups import DomainGroups, TilePlan


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
    ends = split.groups.ends.cpu()
    if order == "mixed":
        rows = torch.randperm(len(split), generator=generator)
        batch_of_row = torch.arange(len(split)) // size
    else:
        starts = torch.cat((ends.new_zeros(1), ends[:-1])).tolist()
        parts, batches, first_batch = [], [], 0
        for d in torch.randperm(len(starts), generator=generator).tolist():
            count = int(ends[d]) - starts[d]
            parts.append(starts[d] + torch.randperm(count, generator=generator))
            batches.append(first_batch + torch.arange(count) // size)
            first_batch += -(-count // size)
        rows, batch_of_row = torch.cat(parts), torch.cat(batches)
    yield from _in_order(split, rows, batch_of_row)


def _in_order(split: Rows, rows: Tensor, batch_of_row: Tensor) -> Iterator[Rows]:
    """Batches of the given rows, whose batch numbers do not decrease."""
    n_domains = split.groups.n_domains
    domain = split.groups.domain.cpu()[rows]
    # One sort for the epoch puts each batch in order of its domains.
    key = batch_of_row * n_domains + domain
    within = torch.argsort(key, stable=True)
    n_batches = int(batch_of_row[-1]) + 1
    counts = torch.bincount(key, minlength=n_batches * n_domains).view(n_batches, n_domains)
    device = split.ids.device
    rows, domain = rows[within].to(device), domain[within].to(device)
    ids, label = split.ids[rows], split.label[rows]
    ends = counts.cumsum(1).to(device)
    plan = TilePlan(counts)
    start = 0
    for number, count in enumerate(counts.sum(1).tolist()):
        part = slice(start, start + count)
        groups = DomainGroups(domain[part], ends[number], plan=(plan, number))
        yield Rows(ids[part], label[part], groups)
        start += count


def evaluation_batches(split: Rows, size: int) -> Iterator[Rows]:
    """All rows of a split in their own order, in batches of `size`."""
    groups = split.groups
    for start in range(0, len(split), size):
        end = min(start + size, len(split))
        part = slice(start, end)
        ends = groups.ends.clamp(start, end) - start
        yield Rows(split.ids[part], split.label[part], DomainGroups(groups.domain[part], ends))
