"""Rows ordered by domain."""

import pytest
import torch

from mlorakit.kernels.groups import DomainGroups, group_rows


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


def test_slices_are_those_of_the_domains_that_have_rows() -> None:
    groups = groups_of([6, 0, 10, 0])
    assert groups.slices == [(0, 0, 6), (2, 6, 16)]
    assert groups.slices is groups.slices


def test_own_marks_each_rows_domain() -> None:
    assert groups_of([1, 0, 2]).own.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
