"""Domains held out: which, and whose rows go where."""

import pytest
import torch

from mlorakit.data.dataset import MultiDomainData, Rows
from mlorakit.data.held_out import (
    after_domains,
    draw_domains,
    known_ids,
    only_domains,
    some_rows,
)
from mlorakit.data.rows import DataError
from mlorakit.data.splits import SPLITS
from mlorakit.kernels.groups import DomainGroups


@pytest.mark.parametrize(
    ("n_domains", "share", "count"),
    [(2, 0.2, 1), (7, 0.2, 1), (10, 0.2, 2), (21, 0.2, 4), (3, 0.99, 2), (256, 0.2, 51)],
)
def test_at_least_one_domain_is_new_and_one_is_not(
    n_domains: int, share: float, count: int
) -> None:
    new = draw_domains(n_domains, share, seed=1)
    assert len(new) == len(set(new)) == count
    assert list(new) == sorted(new)
    assert set(new) <= set(range(n_domains))


def test_a_seed_draws_its_own_domains_and_always_the_same() -> None:
    drawn = [draw_domains(21, 0.2, seed) for seed in range(20)]
    assert drawn == [draw_domains(21, 0.2, seed) for seed in range(20)]
    assert len(set(drawn)) > 15


def test_a_single_domain_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="has 1 domain"):
        draw_domains(1, 0.2, 1)


def triples(rows: Rows, names: tuple[str, ...]) -> list[tuple]:
    """Rows with the names of their domains, sorted."""
    return sorted(
        (names[d], *ids, label)
        for d, ids, label in zip(
            rows.groups.domain.tolist(), rows.ids.tolist(), rows.label.tolist(), strict=True
        )
    )


def test_two_parts_of_the_domains_hold_every_row_once(planted: MultiDomainData) -> None:
    rest, one = only_domains(planted, (0, 2)), only_domains(planted, (1,))
    assert (rest.domains, one.domains) == (("first", "third"), ("second",))
    assert rest.field_sizes == one.field_sizes == planted.field_sizes
    for part in SPLITS:
        both = triples(getattr(rest, part), rest.domains) + triples(getattr(one, part), one.domains)
        assert sorted(both) == triples(getattr(planted, part), planted.domains)
        domain = getattr(rest, part).groups.domain
        assert domain.tolist() == sorted(domain.tolist())
        assert getattr(rest, part).groups.ends.tolist() == [
            int((domain <= d).sum()) for d in range(2)
        ]


def test_parts_have_fingerprints_of_their_own(planted: MultiDomainData) -> None:
    chosen = [(0,), (1,), (0, 1), (0, 1, 2)]
    prints = {planted.fingerprint, *(only_domains(planted, c).fingerprint for c in chosen)}
    assert len(prints) == 5
    assert only_domains(planted, (0,)).fingerprint in prints


def test_domains_are_numbered_after_others(planted: MultiDomainData) -> None:
    later = after_domains(planted.test, 2)
    assert torch.equal(later.ids, planted.test.ids)
    assert torch.equal(later.groups.domain, planted.test.groups.domain + 2)
    assert later.groups.ends.tolist() == [0, 0, *planted.test.groups.ends.tolist()]


def test_a_smaller_share_lies_within_a_larger_one(planted: MultiDomainData) -> None:
    tagged = Rows(
        torch.arange(len(planted.train)).unsqueeze(1), planted.train.label, planted.train.groups
    )
    few, many, every = (some_rows(tagged, share, seed=3) for share in (0.1, 0.5, 1.0))
    assert (len(few), len(many), len(every)) == (60, 300, 600)
    assert set(few.ids[:, 0].tolist()) < set(many.ids[:, 0].tolist())
    assert torch.equal(every.ids, tagged.ids)
    # Labels and domains are still those of the rows.
    assert torch.equal(few.label, tagged.label[few.ids[:, 0]])
    assert torch.equal(few.groups.domain, tagged.groups.domain[few.ids[:, 0]])
    other = some_rows(tagged, 0.1, seed=4)
    assert set(other.ids[:, 0].tolist()) != set(few.ids[:, 0].tolist())


def test_one_row_is_left_of_a_share_of_few(planted: MultiDomainData) -> None:
    assert len(some_rows(planted.test, 0.001, 1)) == 1


def test_no_row_is_made_of_none() -> None:
    nothing = rows_of([])
    assert len(some_rows(nothing, 0.5, 1)) == 0


def rows_of(ids: list[list[int]]) -> Rows:
    domain = torch.zeros(len(ids), dtype=torch.int64)
    groups = DomainGroups(domain, torch.tensor([len(ids)]))
    return Rows(torch.tensor(ids).view(len(ids), -1 if ids else 2), torch.zeros(len(ids)), groups)


def test_known_ids_are_counted_per_field() -> None:
    before = rows_of([[1, 5], [2, 5], [1, 6], [3, 5]])
    new = rows_of([[1, 7], [4, 5], [2, 8], [3, 9]])
    assert known_ids(before, new) == [0.75, 0.25]
