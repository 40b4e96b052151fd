"""One table for all fields."""

import pytest
import torch

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
