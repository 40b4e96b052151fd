"""Data that the speed benchmark trains on."""

from dataclasses import replace
from pathlib import Path

import torch

from mlorakit.data.dataset import MultiDomainData, Rows, load_dataset
from mlorakit.kernels.groups import DomainGroups

USERS, MOVIES = 6041, 3641  # ids of MovieLens-1M, the unknown value included
TRAIN_ROWS, VALIDATION_ROWS = 600_125, 200_042

# Our `fit` always validates. Beside DeepCTR-Torch, whose `fit` is given nothing to validate on, it
# gets two batches for that and is charged their time.
VALIDATION_BATCHES = 2


def random_split(rows: int, n_domains: int, generator: torch.Generator) -> Rows:
    """Rows of random ids and labels, of the shape of MovieLens: user, movie, domain."""
    domain, _ = torch.randint(n_domains, (rows,), generator=generator).sort()
    ids = torch.stack(
        (
            torch.randint(USERS, (rows,), generator=generator),
            torch.randint(MOVIES, (rows,), generator=generator),
            domain + 1,
        ),
        dim=1,
    )
    label = (torch.rand(rows, generator=generator) < 0.22).float()
    ends = torch.bincount(domain, minlength=n_domains).cumsum(0)
    return Rows(ids.to(torch.int32), label, DomainGroups(domain, ends))


def random_data(
    n_domains: int, train_rows: int = TRAIN_ROWS, other_rows: int = VALIDATION_ROWS
) -> MultiDomainData:
    """A stand-in for MovieLens-1M where it was not preprocessed: as large, as costly."""
    generator = torch.Generator().manual_seed(0)
    return MultiDomainData(
        name="random ids",
        field_sizes=(USERS, MOVIES, n_domains + 1),
        domains=tuple(str(d) for d in range(n_domains)),
        fingerprint="random",
        train=random_split(train_rows, n_domains, generator),
        validation=random_split(other_rows, n_domains, generator),
        test=random_split(other_rows, n_domains, generator),
    )


def movielens_or_random(folder: Path, n_domains: int) -> MultiDomainData:
    """The processed data set of a folder, or random ids if it is not there."""
    if (folder / "dataset.json").is_file():
        return load_dataset(folder)
    return random_data(n_domains)


def sample(split: Rows, rows: int) -> Rows:
    """A random part of a split, still sorted by domain."""
    if rows >= len(split):
        return split
    generator = torch.Generator().manual_seed(0)
    chosen, _ = torch.randperm(len(split), generator=generator)[:rows].sort()
    domain = split.groups.domain[chosen]
    ends = torch.bincount(domain, minlength=split.groups.n_domains).cumsum(0)
    return Rows(split.ids[chosen], split.label[chosen], DomainGroups(domain, ends))


def part_of(data: MultiDomainData, train_rows: int, validation_rows: int) -> MultiDomainData:
    """The same data set with fewer rows to train on and to validate on."""
    train, validation = sample(data.train, train_rows), sample(data.validation, validation_rows)
    return replace(data, train=train, validation=validation)


def share_of(data: MultiDomainData, share: float) -> MultiDomainData:
    """The same data set with a share of the rows to train on and to validate on."""
    return part_of(data, round(share * len(data.train)), round(share * len(data.validation)))
