"""Rows by id against PyTorch's own embedding, forward and backward."""

import pytest
import torch
import torch.nn.functional as F

from mlorakit.kernels.lookup import lookup


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (0, 3)])
def test_it_is_torchs_embedding(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(6, shape, generator=generator, dtype=dtype)
    values = torch.randn(6, 2, generator=generator)
    outs, gradients = [], []
    for look_up in (lookup, lambda table, ids: F.embedding(ids, table)):
        table = values.clone().requires_grad_()
        out = look_up(table, ids)
        (out * torch.arange(1.0, out.numel() + 1).view_as(out)).sum().backward()
        outs.append(out.detach())
        gradients.append(table.grad)
    assert outs[0].shape == (*shape, 2)
    assert torch.equal(*outs)
    torch.testing.assert_close(*gradients)


def test_gradients_of_a_repeated_id_add_up() -> None:
    table = torch.zeros(3, 2).requires_grad_()
    lookup(table, torch.tensor([2, 0, 2])).backward(torch.tensor([[1.0, 2], [3, 4], [10, 20]]))
    assert table.grad.tolist() == [[3, 4], [0, 0], [11, 22]]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_offsets_are_added_to_the_ids_of_each_column(dtype: torch.dtype) -> None:
    ids = torch.tensor([[0, 1], [1, 0], [1, 1]], dtype=dtype)
    offsets = torch.tensor([0, 2])
    values = torch.arange(8.0).view(4, 2)
    found, expected = values.clone().requires_grad_(), values.clone().requires_grad_()
    out, plain = lookup(found, ids, offsets), F.embedding(ids + offsets, expected)
    assert torch.equal(out, plain)
    upstream = torch.linspace(1, 2, out.numel()).view_as(out)
    out.backward(upstream)
    plain.backward(upstream)
    torch.testing.assert_close(found.grad, expected.grad)


def test_values_may_lie_in_memory_in_any_order() -> None:
    table = torch.arange(12.0).view(2, 6).t()[:, :1].requires_grad_()  # (6, 1), six places apart
    ids = torch.tensor([[0, 5], [3, 3]]).t()
    out = lookup(table, ids)
    assert out[..., 0].tolist() == [[0, 3], [5, 3]]
    (gradient,) = torch.autograd.grad(out, table, torch.ones(1).expand_as(out))
    assert gradient[:, 0].tolist() == [1, 0, 0, 2, 0, 1]


def test_a_table_may_be_of_double_precision() -> None:
    table = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table.requires_grad_()
    ids, offsets = torch.tensor([[0, 1], [1, 1]]), torch.tensor([0, 2])
    assert torch.autograd.gradcheck(lambda t: lookup(t, ids, offsets), table)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("bad", [3, -1])
def test_an_id_outside_the_table_is_refused(bad: int, dtype: torch.dtype) -> None:
    ids = torch.tensor([2, bad, 0], dtype=dtype)
    message = f"Ids {min(bad, 0)} to {max(bad, 2)} are looked up in a table of 3 rows"
    with pytest.raises(IndexError, match=message):
        lookup(torch.zeros(3, 2), ids)


@pytest.mark.parametrize("bad", [[[0, 2]], [[-1, 1]], [[1, -3]]])
def test_an_id_outside_the_table_with_its_offset_is_refused(bad: list[list[int]]) -> None:
    places = [bad[0][0], bad[0][1] + 2]
    message = f"Ids {min(places)} to {max(places)} .* 4 rows; the ids were made with other"
    with pytest.raises(IndexError, match=message):
        lookup(torch.zeros(4, 2), torch.tensor(bad), torch.tensor([0, 2]))


@pytest.mark.parametrize("bad", [1 << 40, -(1 << 40)])
def test_an_id_far_outside_the_table_reads_no_memory(bad: int) -> None:
    with pytest.raises(IndexError, match="table of 3 rows"):
        lookup(torch.zeros(3, 2), torch.tensor([bad]))
