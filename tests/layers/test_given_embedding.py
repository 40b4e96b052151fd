"""Given embeddings by hand: what is frozen, what is trained, what does not fit."""

import pytest
import torch
from torch import Tensor

from mlorakit.layers.embedding import FieldEmbedding
from mlorakit.layers.given_embedding import GivenEmbedding, start_from

SIZES = (4, 3, 2)


def vectors(count: int, start: float) -> Tensor:
    return start + torch.arange(2.0 * count).view(count, 2)


@pytest.fixture
def table() -> FieldEmbedding:
    made = FieldEmbedding(SIZES, 2, 0.0)
    made.weight.data = -1 - torch.arange(18.0).view(9, 2)
    return made


@pytest.mark.parametrize("given", [(0, 1), (0,), (1,), (2, 0), (0, 1, 2)])
def test_every_field_keeps_its_place(given: tuple[int, ...], table: FieldEmbedding) -> None:
    found = {field: vectors(SIZES[field] - 1, 100.0 * (field + 1)) for field in given}
    layer = GivenEmbedding(SIZES, table, found)
    ids = torch.tensor([[1, 2, 1], [3, 1, 0], [0, 0, 1]]).int()
    out = layer(ids)
    plain = table(ids)
    for field in range(3):
        for row, value in enumerate(ids[:, field].tolist()):
            if field in found:
                expected = found[field][value - 1] if value else torch.zeros(2)
            else:
                expected = plain[row, field]
            assert torch.equal(out[row, field], expected)


def test_the_given_ones_are_no_weights(table: FieldEmbedding) -> None:
    layer = GivenEmbedding(SIZES, table, {0: vectors(3, 100), 2: vectors(1, 300)})
    assert [(n, p.shape) for n, p in layer.named_parameters()] == [("weight", (3, 2))]
    assert list(layer.state_dict()) == ["weight"]
    before = layer.given.clone()
    ids = torch.tensor([[1, 2, 1], [1, 2, 0]]).int()
    layer(ids).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0], [0, 0], [2, 2]]
    assert torch.equal(layer.given, before)
    assert not layer.given.requires_grad


def test_the_table_is_left_alone(table: FieldEmbedding) -> None:
    before = table.weight.clone()
    GivenEmbedding(SIZES, table, {0: vectors(3, 100)}).weight.data.zero_()
    assert torch.equal(table.weight, before)


def test_embeddings_may_start_from_the_vectors(table: FieldEmbedding) -> None:
    before = table.weight.clone()
    start_from(SIZES, table, {1: vectors(2, 100)})
    assert torch.equal(table.weight[5:7], vectors(2, 100))
    kept = [0, 1, 2, 3, 4, 7, 8]  # 4 is id 0 of field 1
    assert torch.equal(table.weight[kept], before[kept])
    assert table.weight.requires_grad


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "No field has vectors"),
        ({1: torch.zeros(3, 2)}, r"field 1 have shape \(3, 2\), expected \(2, 2\)"),
        ({0: torch.zeros(3, 5)}, r"field 0 have shape \(3, 5\), expected \(3, 2\)"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    given: dict[int, Tensor], message: str, table: FieldEmbedding
) -> None:
    with pytest.raises(ValueError, match=message):
        GivenEmbedding(SIZES, table, given)
    with pytest.raises(ValueError, match=message):
        start_from(SIZES, table, given)


def test_rows_of_more_columns_than_fields_are_refused(table: FieldEmbedding) -> None:
    layer = GivenEmbedding(SIZES, table, {0: vectors(3, 100)})
    with pytest.raises(ValueError, match="4 columns of ids for 3 fields"):
        layer(torch.zeros(2, 4, dtype=torch.int32))
