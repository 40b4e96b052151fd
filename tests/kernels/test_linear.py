"""The linear map in shards against PyTorch's own, forward and backward."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels.linear import linear

Sizes = st.tuples(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))


def random_arguments(rows: int, n_in: int, n_out: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((rows, n_in), (n_out, n_in), (n_out,))
    return [torch.randn(shape, generator=generator) for shape in shapes]


def output_and_gradients(function: Callable[..., Tensor], *arguments: Tensor) -> list[Tensor]:
    arguments = tuple(argument.clone().requires_grad_() for argument in arguments)
    out = function(*arguments)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, arguments, upstream)]


@pytest.mark.parametrize("with_bias", [True, False])
@given(sizes=Sizes)
@example(sizes=(1024, 24, 256))  # the shapes of the MLP
@example(sizes=(1024, 256, 128))
@example(sizes=(1024, 64, 1))  # and of its head
@example(sizes=(5001, 13, 7))  # nine shards
@example(sizes=(1, 1, 1))
def test_it_is_torchs_linear_map(with_bias: bool, sizes: tuple[int, int, int]) -> None:
    rows, n_in, n_out = sizes
    arguments = random_arguments(rows, n_in, n_out)[: 3 if with_bias else 2]
    exact = [argument.double() for argument in arguments]
    ours = output_and_gradients(linear, *arguments)
    for mine, theirs in zip(ours, output_and_gradients(F.linear, *exact), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-3)


def test_two_rows_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]]).requires_grad_()
    weight = torch.tensor([[1.0, 1.0], [0.0, 2.0], [5.0, 0.0]]).requires_grad_()
    bias = torch.tensor([10.0, 20.0, 30.0]).requires_grad_()
    out = linear(x, weight, bias)
    assert out.tolist() == [[13, 24, 35], [12, 18, 45]]
    out.backward(torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]))
    assert x.grad.tolist() == [[11, 1], [0, 2]]
    assert weight.grad.tolist() == [[1, 2], [3, -1], [2, 4]]
    assert bias.grad.tolist() == [1, 1, 2]


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    arguments = [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((5, 3), (4, 3), (4,))
    ]
    assert torch.autograd.gradcheck(linear, arguments)


def test_a_weights_gradient_lies_in_memory_as_the_weight_does() -> None:
    x, weight, _ = random_arguments(2000, 3, 7)
    weight.requires_grad_()
    linear(x, weight).sum().backward()
    assert weight.grad.is_contiguous()


@pytest.mark.parametrize("part", ["x", "weight", "bias", "upstream"])
def test_values_may_lie_in_memory_in_any_order(part: str) -> None:
    x, weight, bias = random_arguments(20, 5, 4)
    if part == "x":
        x = x.t().contiguous().t()
    if part == "weight":
        weight = weight.t().contiguous().t()
    if part == "bias":
        bias = bias.repeat_interleave(2)[::2]
    expected = output_and_gradients(F.linear, *(t.double() for t in (x, weight, bias)))
    leaves = [t.detach().requires_grad_() for t in (x, weight, bias)]
    out = linear(*leaves)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    if part == "upstream":
        upstream = upstream.t().contiguous().t()
    found = [out.detach(), *torch.autograd.grad(out, leaves, upstream)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("needed", [(0,), (1,), (2,), (0, 2), (0, 1)])
def test_a_gradient_that_nobody_needs_changes_no_other(needed: tuple[int, ...]) -> None:
    arguments = random_arguments(2000, 5, 4)
    upstream = torch.linspace(-1, 1, 8000).view(2000, 4)
    leaves = [t.clone().requires_grad_() for t in arguments]
    expected = torch.autograd.grad(linear(*leaves), leaves, upstream)
    some = [t.clone().requires_grad_(i in needed) for i, t in enumerate(arguments)]
    found = torch.autograd.grad(linear(*some), [some[i] for i in needed], upstream)
    assert all(torch.equal(g, expected[i]) for g, i in zip(found, needed, strict=True))


def test_nan_passes_through() -> None:
    x, weight, bias = random_arguments(4, 3, 2)
    x[2, 1] = torch.nan
    assert linear(x, weight, bias).isnan().all(1).tolist() == [False, False, True, False]


def test_the_number_of_threads_changes_no_bit(
    one_and_two_threads: Callable[[Callable[[], list[Tensor]]], None],
) -> None:
    arguments = random_arguments(5001, 24, 31)
    one_and_two_threads(lambda: output_and_gradients(linear, *arguments))


def test_a_batch_may_be_empty() -> None:
    weight = torch.ones(2, 3).requires_grad_()
    out = linear(torch.empty(0, 3), weight)
    assert out.shape == (0, 2)
    out.sum().backward()
    assert (weight.grad == 0).all()
