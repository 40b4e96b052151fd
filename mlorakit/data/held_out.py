"""Domains held out of a data set, as if they came later."""

import random
from dataclasses import replace

import torch
from torch import Tensor

from mlorakit.data.dataset import MultiDomainData, Rows
from mlorakit.data.rows import DataError
from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.provenance import digest


def draw_domains(n_domains: int, share: float, seed: int) -> tuple[int, ...]:
    """The domains that are new, in ascending order.

    Args:
        n_domains: D.
        share: of the domains, rounded; at least one is new and at least one is not.
        seed: of the draw.

    Raises:
        DataError: there is a single domain.
    """
    if n_domains < 2:
        raise DataError(
            f"The data set has {n_domains} domain, and a new domain needs another one that was "
            "there before; choose a data set of two domains or more."
        )
    count = min(max(round(share * n_domains), 1), n_domains - 1)
    return tuple(sorted(random.Random(seed).sample(range(n_domains), count)))


def only_domains(data: MultiDomainData, chosen: tuple[int, ...]) -> MultiDomainData:
    """The data set of these domains, numbered as they are listed.

    Ids stay as they are, those of values included that no row of these domains has.

    Args:
        data: on the CPU.
        chosen: numbers of domains in `data`.
    """
    number = torch.full((data.n_domains,), -1)
    number[list(chosen)] = torch.arange(len(chosen))

    def part(rows: Rows) -> Rows:
        domain = number[rows.groups.domain]
        return _take(rows, torch.nonzero(domain >= 0).squeeze(1), domain, len(chosen))

    return replace(
        data,
        domains=tuple(data.domains[d] for d in chosen),
        fingerprint=digest([data.fingerprint, "domains", list(chosen)]),
        train=part(data.train),
        validation=part(data.validation),
        test=part(data.test),
    )


def after_domains(rows: Rows, count: int) -> Rows:
    """The same rows, with their domains numbered after `count` others that have no rows here."""
    ends = torch.cat((rows.groups.ends.new_zeros(count), rows.groups.ends))
    return replace(rows, groups=DomainGroups(rows.groups.domain + count, ends))


def some_rows(rows: Rows, share: float, seed: int) -> Rows:
    """A random share of rows; a smaller share's rows are among those of a larger one.

    Args:
        rows: on the CPU.
        share: above 0; at least one row is taken if there is any.
        seed: of the draw.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    count = max(round(share * len(rows)), min(len(rows), 1))
    return _take(rows, order[:count].sort().values, rows.groups.domain, rows.groups.n_domains)


def known_ids(before: Rows, new: Rows) -> list[float]:
    """The share of new rows whose id occurs among the rows before, per field."""
    return [
        torch.isin(new.ids[:, field], before.ids[:, field].unique()).float().mean().item()
        for field in range(new.ids.shape[1])
    ]


def _take(rows: Rows, kept: Tensor, domain: Tensor, n_domains: int) -> Rows:
    """The rows at `kept`, in order of the domains that `domain` gives to all rows."""
    order, groups = group_rows(domain[kept], n_domains)
    return Rows(rows.ids[kept[order]], rows.label[kept[order]], groups)
