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


@pytest.mark.parametrize("bad", [3, -1])
def test_an_id_outside_the_table_is_refused(bad: int) -> None:
    with pytest.raises(IndexError):
        lookup(torch.zeros(3, 2), torch.tensor([bad]))
