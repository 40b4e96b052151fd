"""The logit from its parts: by hand, against the plain form, forward and backward."""

import pytest
import torch
from torch import Tensor

from mlorakit.kernels.logit import logit, logit_reference


def parts(
    rows: int, wide: int, deep: int, fields: int, extra: bool, dtype: torch.dtype = torch.float32
) -> list[Tensor | None]:
    """Random parts; without features, fields or extra logits, None."""
    generator = torch.Generator().manual_seed(rows + wide + deep + fields)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()

    ids = torch.randint(5, (rows, max(fields, 1)), generator=generator, dtype=torch.int32)
    return [
        random(rows, wide) if wide else None,
        random(rows, deep),
        random(1, wide + deep),
        random(1),
        random(rows) if extra else None,
        random(5 * fields, 1) if fields else None,
        5 * torch.arange(fields) if fields else None,
        ids,
    ]


def trained(given: list[Tensor | None]) -> list[Tensor]:
    return [t for t in given if t is not None and t.requires_grad]


def test_by_hand() -> None:
    given = [
        torch.tensor([[1.0], [2.0]]),
        torch.tensor([[3.0, 4.0], [0.0, 1.0]]),
        torch.tensor([[10.0, 1.0, 2.0]]),
        torch.tensor([0.5]),
        torch.tensor([100.0, 200.0]),
        torch.tensor([[1000.0], [2000.0], [4000.0], [8000.0]]),
        torch.tensor([0, 2]),
        torch.tensor([[1, 0], [0, 1]]),
    ]
    for tensor in given[:6]:
        tensor.requires_grad_()
    out = logit(*given)
    assert out.tolist() == [10 + 11 + 0.5 + 100 + 6000, 20 + 2 + 0.5 + 200 + 9000]
    out.backward(torch.tensor([1.0, 10.0]))
    assert [t.grad.tolist() for t in given[:6]] == [
        [[10], [100]],
        [[1, 2], [10, 20]],
        [[1 + 20, 3, 4 + 10]],
        [11],
        [1, 10],
        [[10], [1], [1], [10]],
    ]


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("fields", [0, 1, 4])
@pytest.mark.parametrize("wide", [0, 3])
@pytest.mark.parametrize("rows", [0, 1, 2000])
def test_it_is_its_plain_form(rows: int, wide: int, fields: int, extra: bool) -> None:
    given = parts(rows, wide, 6, fields, extra)
    exact = [
        t.detach().double().requires_grad_() if t is not None and t.is_floating_point() else t
        for t in given
    ]
    out, expected = logit(*given), logit_reference(*exact)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    upstream = torch.randn(rows, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad(out, trained(given), upstream)
    theirs = torch.autograd.grad(expected, trained(exact), upstream.double())
    for found, true in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found.double(), true, rtol=1e-4, atol=5e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    given = parts(4, 2, 3, 2, extra=True, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *t: logit(*t, *given[6:]), given[:6])


def test_threads_make_no_difference(one_and_two_threads) -> None:  # type: ignore[no-untyped-def]
    given = parts(2000, 3, 6, 3, extra=True)

    def compute() -> list[Tensor]:
        out = logit(*given)
        return [out, *torch.autograd.grad(out.square().sum(), trained(given))]

    one_and_two_threads(compute)


def test_values_may_lie_in_memory_in_any_order() -> None:
    given = parts(6, 2, 3, 2, extra=True)
    expected = logit(*given)
    apart = [t.t().contiguous().t() if t is not None and t.dim() == 2 else t for t in given]
    out = logit(*apart)
    assert torch.equal(out, expected)
    for upstream in (torch.ones(1).expand(6), torch.ones(12)[::2]):
        ours = torch.autograd.grad(out, trained(given), upstream, retain_graph=True)
        plain = torch.autograd.grad(expected, trained(given), torch.ones(6), retain_graph=True)
        assert all(map(torch.equal, ours, plain))


def test_what_is_frozen_gets_no_gradient() -> None:
    given = parts(4, 2, 3, 2, extra=True)
    for place in (0, 4, 5):
        given[place].requires_grad_(False)
    logit(*given).sum().backward()
    assert given[1].grad is not None
    assert all(given[place].grad is None for place in (0, 4, 5))


@pytest.mark.parametrize("bad", [5, -6])
def test_an_id_outside_the_table_is_refused(bad: int) -> None:
    given = parts(4, 0, 3, 2, extra=False)
    given[7][2, 1] = bad
    with pytest.raises(IndexError, match="table of 10 rows; the ids were made with other"):
        logit(*given)
