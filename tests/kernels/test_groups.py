"""Rows ordered by domain, and the tiles that they are cut into."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels.groups import DomainGroups, TilePlan, group_rows

Counts = st.lists(st.integers(0, 90), min_size=1, max_size=40).filter(any)


def groups_of(counts: list[int]) -> DomainGroups:
    domain = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return group_rows(domain, len(counts))[1]


def test_rows_are_sorted_by_domain_and_keep_their_order_within_it() -> None:
    order, groups = group_rows(torch.tensor([2, 0, 2, 0, 3]), n_domains=5)
    assert order.tolist() == [1, 3, 0, 2, 4]
    assert groups.domain.tolist() == [0, 0, 2, 2, 3]
    # Domain 0 ends at row 2; domain 1 is empty and ends there too; 4 is empty after the last row.
    assert groups.ends.tolist() == [2, 2, 4, 5, 5]
    assert groups.n_domains == 5


def test_domains_may_come_as_any_integer_type() -> None:
    order, groups = group_rows(torch.tensor([1, 0], dtype=torch.int32), n_domains=2)
    assert order.tolist() == [1, 0]
    assert groups.domain.dtype == groups.ends.dtype == torch.int64


@pytest.mark.parametrize("domain", [[0, 3], [-1, 2]])
def test_a_domain_outside_the_table_is_refused_with_the_range(domain: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"0\.\.2.* from {min(domain)} to {max(domain)}"):
        group_rows(torch.tensor(domain), n_domains=3)


def test_tiles_by_hand() -> None:
    # 16 rows of 2 domains: half a mean group is 4 rows. Domain 0 has 6 rows, so 2 tiles.
    tiles = groups_of([6, 10]).tiles
    assert tiles.size == 4
    assert tiles.domain.tolist() == [0, 0, 1, 1, 1]
    assert tiles.rows is not None
    assert tiles.rows.view(5, 4).tolist() == [
        [0, 1, 2, 3],
        [4, 5, 5, 5],
        [6, 7, 8, 9],
        [10, 11, 12, 13],
        [14, 15, 15, 15],
    ]
    assert tiles.place is not None
    assert tiles.place.tolist() == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]


def test_padded_groups_by_hand() -> None:
    padded = groups_of([6, 0, 10]).padded
    assert padded.tiles.size == 4
    assert padded.domain.tolist() == [0] * 8 + [2] * 12
    assert padded.ends.tolist() == [8, 8, 20]
    assert padded.slices == [(0, 0, 8), (2, 8, 20)]


@given(Counts)
def test_every_row_has_one_place_in_a_tile_of_its_domain(counts: list[int]) -> None:
    groups = groups_of(counts)
    tiles = groups.tiles
    total = sum(counts)
    assert tiles.rows is not None
    assert tiles.place is not None
    assert tiles.rows[tiles.place].tolist() == list(range(total))
    of_place: Tensor = tiles.domain.repeat_interleave(tiles.size)
    assert torch.equal(of_place, groups.domain[tiles.rows])


@given(Counts)
def test_padding_is_less_than_one_tile_per_domain(counts: list[int]) -> None:
    tiles = groups_of(counts).tiles
    padding = tiles.domain.numel() * tiles.size - sum(counts)
    assert 0 <= padding < tiles.size * sum(count > 0 for count in counts)


@given(Counts)
def test_padding_and_back_changes_no_row_and_no_gradient(counts: list[int]) -> None:
    tiles = groups_of(counts).tiles
    x = torch.arange(2.0 * sum(counts)).view(-1, 2).requires_grad_()
    there = tiles.pad(x)
    assert torch.equal(there.detach(), x.detach()[tiles.rows])
    back = tiles.unpad(there * 3)
    assert torch.equal(back.detach(), 3 * x.detach())
    upstream = torch.linspace(1, 2, x.numel()).view_as(x)
    back.backward(upstream)
    torch.testing.assert_close(x.grad, 3 * upstream)


@given(Counts)
def test_padded_groups_are_tiles_already(counts: list[int]) -> None:
    groups = groups_of(counts)
    padded = groups.padded
    assert torch.equal(padded.tiles.domain, groups.tiles.domain)
    assert padded.tiles.size == groups.tiles.size
    x = torch.ones(padded.domain.numel(), 1)
    assert padded.tiles.pad(x) is x
    assert padded.tiles.unpad(x) is x
    assert padded.tiles.cut(x).shape == (groups.tiles.domain.numel(), groups.tiles.size, 1)


@pytest.mark.parametrize("rows", [1, 2, 41, 79])
def test_fewer_rows_than_twice_the_domains_make_tiles_too(rows: int) -> None:
    tiles = group_rows(torch.arange(rows) % 40, n_domains=40)[1].tiles
    assert tiles.rows is not None
    assert tiles.rows[tiles.place].tolist() == list(range(rows))


def test_a_tile_holds_at_most_16_rows() -> None:
    tiles = groups_of([5000]).tiles
    assert (tiles.domain.numel(), tiles.size) == (313, 16)


def test_tiles_are_made_once() -> None:
    groups = groups_of([3, 5])
    assert groups.tiles is groups.tiles


@given(st.lists(st.tuples(*[st.integers(0, 30)] * 3).filter(any), min_size=1, max_size=6))
def test_batches_planned_together_have_the_tiles_of_each_alone(
    batches: list[tuple[int, int, int]],
) -> None:
    plan = TilePlan(torch.tensor(batches))
    for number, counts in enumerate(batches):
        alone = TilePlan(torch.tensor([counts]))
        alone.__dict__["size"] = plan.size  # decided by the first batch
        ours, theirs = plan.tiles(number), alone.tiles(0)
        assert torch.equal(ours.domain, theirs.domain)
        assert torch.equal(ours.rows, theirs.rows)
        assert torch.equal(ours.place, theirs.place)
        padded = plan.padded(number)
        assert torch.equal(padded.ends, alone.padded(0).ends)
        assert torch.equal(padded.domain, alone.padded(0).domain)


def test_own_marks_each_rows_domain() -> None:
    assert groups_of([1, 0, 2]).own.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
