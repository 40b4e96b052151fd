"""One table for all fields."""

import pytest
import torch

from mlorakit.data.dataset import Pooled
from mlorakit.layers.embedding import FieldEmbedding


def numbered(field_sizes: tuple[int, ...]) -> FieldEmbedding:
    """A table of width 1 whose rows hold their own number."""
    table = FieldEmbedding(field_sizes, size=1, std=0.0)
    table.weight.data[:, 0] = torch.arange(sum(field_sizes))
    return table


def test_each_field_starts_after_the_rows_of_those_before_it() -> None:
    # Fields of 2, 3 and 4 ids own the rows 0-1, 2-4 and 5-8.
    table = numbered((2, 3, 4))
    rows = table(torch.tensor([[0, 0, 0], [1, 2, 3]], dtype=torch.int32)).squeeze(2)
    assert rows.tolist() == [[0, 2, 5], [1, 4, 8]]


def test_one_field_starts_at_row_zero() -> None:
    assert numbered((3,))(torch.tensor([[2], [0]])).flatten().tolist() == [2, 0]


def test_a_batch_of_ids_becomes_embeddings_of_rows_fields_size() -> None:
    table = FieldEmbedding((2, 3), size=4, std=1.0)
    assert table(torch.zeros(7, 2, dtype=torch.int32)).shape == (7, 2, 4)


def test_only_the_rows_looked_up_get_a_gradient() -> None:
    table = FieldEmbedding((2, 3), size=2, std=1.0)
    table(torch.tensor([[1, 0], [1, 2]])).sum().backward()
    # Row 1 twice, row 2 + 0 and row 2 + 2 once.
    assert table.weight.grad[:, 0].tolist() == [0, 2, 1, 0, 1]


@pytest.mark.parametrize("std", [1e-4, 1e-2])
def test_the_initial_table_has_the_standard_deviation_asked_for(std: float) -> None:
    torch.manual_seed(0)
    weight = FieldEmbedding((500, 500), size=8, std=std).weight
    assert weight.std().item() == pytest.approx(std, rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=std / 10)


def test_a_standard_deviation_of_zero_leaves_zeros_and_draws_nothing() -> None:
    state = torch.get_rng_state()
    assert (FieldEmbedding((3, 4), size=1, std=0.0).weight == 0).all()
    assert torch.equal(torch.get_rng_state(), state)


def test_offsets_are_no_part_of_the_saved_state() -> None:
    assert list(FieldEmbedding((3, 4), size=1, std=0.0).state_dict()) == ["weight"]


def test_a_field_of_several_values_is_the_mean_of_the_known_ones() -> None:
    # Rows 0-1 are the first field's, 2-6 those of three columns, 7-8 the last field's.
    table = numbered((2, Pooled(5, columns=3), 2))
    ids = torch.tensor([[1, 4, 2, 0, 0], [0, 3, 0, 1, 1], [1, 0, 2, 0, 1], [0, 0, 0, 0, 0]])
    # Unknown values, 0, count only where no value is known.
    by_hand = [[1, (6 + 4) / 2, 7], [0, (5 + 3) / 2, 8], [1, 4, 8], [0, 2, 7]]
    assert table(ids).squeeze(2).tolist() == by_hand


def test_a_mean_shares_its_gradient_among_the_known_values() -> None:
    table = FieldEmbedding((Pooled(4, columns=2), 2), size=3, std=1.0)
    table(torch.tensor([[3, 1, 1], [2, 0, 0], [0, 0, 0]])).sum().backward()
    # Row 0 belongs to "none known": it serves the last row alone, from both columns.
    assert table.weight.grad[:, 0].tolist() == [1, 0.5, 1, 0.5, 2, 1]


def test_one_column_of_several_is_a_field_like_any_other() -> None:
    torch.manual_seed(0)
    plain = FieldEmbedding((3, 4), size=2, std=1.0)
    torch.manual_seed(0)
    pooled = FieldEmbedding((3, Pooled(4, columns=1)), size=2, std=1.0)
    ids = torch.tensor([[0, 0], [2, 3]])
    assert torch.equal(pooled(ids), plain(ids))
    assert not pooled.pools


def test_columns_that_take_part_leave_the_other_fields_exact() -> None:
    torch.manual_seed(1)
    table = FieldEmbedding((50, Pooled(9, columns=4), 20), size=8, std=1.0)
    ids = torch.cat([torch.randint(n, (99, c)) for n, c in ((50, 1), (9, 4), (20, 1))], 1)
    e = table(ids)
    assert e.shape == (99, 3, 8)
    assert torch.equal(e[:, 0], table.weight[ids[:, 0]])
    assert torch.equal(e[:, 2], table.weight[59 + ids[:, 5]])
