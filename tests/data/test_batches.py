"""The batches of an epoch and of an evaluation."""

import math

import pytest
import torch

from mlorakit.data.batches import epoch_order, evaluation_batches
from mlorakit.data.dataset import Rows
from mlorakit.kernels.groups import group_rows

ORDERS = pytest.mark.parametrize("order", ["mixed", "alternate"])


def rows_of(*counts: int) -> Rows:
    """Rows whose only field is their own number, and whose label is its last bit."""
    domain = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    number = torch.arange(sum(counts), dtype=torch.int32)
    return Rows(number.unsqueeze(1), (number % 2).float(), group_rows(domain, len(counts))[1])


ROWS = rows_of(30, 0, 7, 63)


def batches_of(rows: Rows, order: str, size: int = 16, seed: int = 1) -> list[Rows]:
    return list(epoch_order(rows, size, order, torch.Generator().manual_seed(seed)).batches(rows))


def numbers(batches: list[Rows]) -> list[int]:
    return [n for batch in batches for n in batch.ids.flatten().tolist()]


def assert_consistent(batch: Rows) -> None:
    """The batch is sorted by domain, and its labels, domains and ends are those of its rows."""
    number = batch.ids.flatten().long()
    assert batch.label.tolist() == (number % 2).tolist()
    assert batch.groups.domain.tolist() == ROWS.groups.domain[number].tolist()
    assert batch.groups.domain.tolist() == sorted(batch.groups.domain.tolist())
    counts = torch.bincount(batch.groups.domain, minlength=4)
    assert batch.groups.ends.tolist() == counts.cumsum(0).tolist()


@ORDERS
@pytest.mark.parametrize("size", [1, 16, 50, 100, 1000])
def test_an_epoch_passes_every_row_once(order: str, size: int) -> None:
    batches = batches_of(ROWS, order, size)
    assert sorted(numbers(batches)) == list(range(100))
    for batch in batches:
        assert_consistent(batch)


def test_mixed_batches_are_full_but_the_last() -> None:
    assert [len(batch) for batch in batches_of(ROWS, "mixed")] == [16] * 6 + [4]


def test_mixed_batches_are_random_samples_of_all_rows() -> None:
    # Expected per batch of 50: 15 and 31.5 rows of the larger domains.
    for seed in range(5):
        first = batches_of(ROWS, "mixed", 50, seed)[0]
        counts = torch.bincount(first.groups.domain, minlength=4)
        assert 6 <= counts[0] <= 24
        assert 22 <= counts[3] <= 41


def test_alternate_batches_hold_one_domain_and_pass_it_at_once() -> None:
    batches = batches_of(ROWS, "alternate")
    domains = []
    for batch in batches:
        (domain,) = set(batch.groups.domain.tolist())
        domains.append(domain)
    runs = [d for i, d in enumerate(domains) if i == 0 or domains[i - 1] != d]
    assert sorted(runs) == [0, 2, 3]
    for domain, count in ((0, 30), (2, 7), (3, 63)):
        sizes = [len(b) for b, d in zip(batches, domains, strict=True) if d == domain]
        assert len(sizes) == math.ceil(count / 16)
        assert sum(sizes) == count
        assert sizes[:-1] == [16] * (len(sizes) - 1)


def test_alternate_takes_the_domains_in_random_order() -> None:
    orders = set()
    for seed in range(20):
        domains = [int(b.groups.domain[0]) for b in batches_of(ROWS, "alternate", 100, seed)]
        orders.add(tuple(domains))
    assert len(orders) == 6  # all orders of three domains


@ORDERS
def test_the_generator_alone_decides_the_batches(order: str) -> None:
    first = batches_of(ROWS, order)
    torch.manual_seed(99)
    again = batches_of(ROWS, order)
    assert [b.ids.tolist() for b in first] == [b.ids.tolist() for b in again]
    assert numbers(first) != numbers(batches_of(ROWS, order, seed=2))


@ORDERS
def test_the_second_epoch_of_a_generator_differs(order: str) -> None:
    generator = torch.Generator().manual_seed(1)
    first = list(epoch_order(ROWS, 16, order, generator).batches(ROWS))
    assert numbers(first) != numbers(list(epoch_order(ROWS, 16, order, generator).batches(ROWS)))


@ORDERS
def test_rows_within_a_domain_are_shuffled(order: str) -> None:
    inside = [n for n in numbers(batches_of(ROWS, order)) if n >= 37]
    assert inside != sorted(inside)


@pytest.mark.parametrize("size", [1, 16, 37, 100, 1000])
def test_evaluation_keeps_the_order_of_the_rows(size: int) -> None:
    batches = list(evaluation_batches(ROWS, size))
    assert numbers(batches) == list(range(100))
    assert all(len(batch) == size for batch in batches[:-1])
    for batch in batches:
        assert_consistent(batch)


@ORDERS
def test_a_split_without_rows_has_no_batches(order: str) -> None:
    assert batches_of(rows_of(0, 0), order) == []
    assert list(evaluation_batches(rows_of(0, 0), 16)) == []


@ORDERS
def test_batches_are_those_of_a_sort_by_domain_of_the_generators_order(order: str) -> None:
    generator = torch.Generator().manual_seed(3)
    ends = [0, *ROWS.groups.ends.tolist()]
    if order == "mixed":
        parts = list(torch.randperm(100, generator=generator).split(16))
    else:
        parts = []
        for d in torch.randperm(4, generator=generator).tolist():
            count = ends[d + 1] - ends[d]
            parts += (ends[d] + torch.randperm(count, generator=generator)).split(16)
    expected = [
        part[torch.argsort(ROWS.groups.domain[part], stable=True)].tolist()
        for part in parts
        if len(part)
    ]
    assert [b.ids.flatten().tolist() for b in batches_of(ROWS, order, seed=3)] == expected


@ORDERS
def test_an_epoch_leaves_its_split_as_it_is(order: str) -> None:
    rows = rows_of(30, 0, 7, 63)
    before = [x.clone() for x in (rows.ids, rows.label, rows.groups.domain, rows.groups.ends)]
    batches_of(rows, order)
    after = (rows.ids, rows.label, rows.groups.domain, rows.groups.ends)
    assert all(map(torch.equal, after, before))


@ORDERS
def test_batches_fit_the_compiled_kernels(order: str) -> None:
    for batch in batches_of(ROWS, order):
        assert batch.ids.is_contiguous()
        assert batch.groups.ends.is_contiguous()
        assert batch.groups.ends.dtype == batch.groups.domain.dtype == torch.int64
