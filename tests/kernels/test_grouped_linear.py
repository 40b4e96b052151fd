"""The kernel against the map of each row on its own, forward and backward."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels.grouped_linear import (
    grouped_linear,
    grouped_linear_reference,
    grouped_product_linear,
    grouped_product_linear_reference,
)
from mlorakit.kernels.groups import DomainGroups, group_rows

Kernel = Callable[[Tensor, Tensor, Tensor | None, DomainGroups], Tensor]
KERNELS = pytest.mark.parametrize("kernel", [grouped_linear, grouped_linear_reference])


def groups_of(counts: list[int]) -> DomainGroups:
    domain = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return group_rows(domain, len(counts))[1]


def random_arguments(
    counts: list[int], n_in: int, n_out: int, bias: bool, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = [(sum(counts), n_in), (len(counts), n_out, n_in), (len(counts), n_out)]
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
        for shape in shapes[: 2 + bias]
    ]


def output_and_gradients(
    kernel: Kernel, arguments: list[Tensor], groups: DomainGroups
) -> list[Tensor]:
    x, weight, *bias = arguments
    out = kernel(x, weight, bias[0] if bias else None, groups)
    # Weights that differ per element, so that no error in the gradients cancels.
    factor = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * factor).sum(), arguments)]


@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=20).filter(any),
    n_in=st.integers(1, 9),
    n_out=st.integers(1, 9),
    bias=st.booleans(),
)
@example(counts=[7], n_in=3, n_out=5, bias=True)  # one domain
@example(counts=[0, 4, 0, 0, 9, 0], n_in=2, n_out=2, bias=True)  # empty first, last and between
@example(counts=[1] + [0] * 39, n_in=3, n_out=1, bias=False)  # one row, forty domains
def test_kernel_is_the_map_of_each_row(
    counts: list[int], n_in: int, n_out: int, bias: bool
) -> None:
    groups = groups_of(counts)
    arguments = random_arguments(counts, n_in, n_out, bias)
    exact = [argument.detach().double().requires_grad_() for argument in arguments]
    expected = output_and_gradients(grouped_linear_reference, exact, groups)
    for ours, theirs in zip(
        output_and_gradients(grouped_linear, arguments, groups), expected, strict=True
    ):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


@KERNELS
def test_two_domains_by_hand(kernel: Kernel) -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 0.0]])
    weight = torch.tensor([[[1.0, 1.0]], [[0.0, -1.0]]])
    bias = torch.tensor([[10.0], [20.0]])
    groups = groups_of([1, 2])
    assert kernel(x, weight, None, groups).tolist() == [[3], [-2], [0]]
    assert kernel(x, weight, bias, groups).tolist() == [[13], [18], [20]]


@pytest.mark.parametrize("bias", [False, True])
def test_gradients_are_those_of_finite_differences(bias: bool) -> None:
    groups = groups_of([3, 0, 4])
    arguments = random_arguments([3, 0, 4], 2, 3, bias, dtype=torch.float64)

    def kernel(x: Tensor, weight: Tensor, own: Tensor | None = None) -> Tensor:
        return grouped_linear(x, weight, own, groups)

    assert torch.autograd.gradcheck(kernel, arguments)


def test_an_empty_domain_gets_zero_gradients() -> None:
    groups = groups_of([3, 0, 5])
    _, _, *of_weights = output_and_gradients(
        grouped_linear, random_arguments([3, 0, 5], 4, 3, bias=True), groups
    )
    for gradient in of_weights:
        assert (gradient[1] == 0).all()
        assert (gradient[[0, 2]] != 0).all()


def test_evaluation_computes_the_same() -> None:
    groups = groups_of([3, 0, 5])
    arguments = random_arguments([3, 0, 5], 4, 3, bias=True)
    with torch.inference_mode():
        evaluated = grouped_linear(*arguments, groups)
    assert torch.equal(evaluated, grouped_linear(*arguments, groups))


@pytest.mark.parametrize("part", range(4))
def test_values_may_lie_in_memory_in_any_order(part: int) -> None:
    groups = groups_of([5, 0, 6])
    arguments = random_arguments([5, 0, 6], 3, 4, bias=True)
    upstream = torch.randn(11, 4, generator=torch.Generator().manual_seed(1))
    expected = torch.autograd.grad(grouped_linear(*arguments, groups), arguments, upstream)
    together = [*arguments, upstream]
    together[part] = together[part].detach().mT.contiguous().mT.requires_grad_(part < 3)
    *arguments, upstream = together
    found = torch.autograd.grad(grouped_linear(*arguments, groups), arguments, upstream)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("bias", [False, True])
def test_a_batch_may_be_empty(bias: bool) -> None:
    arguments = random_arguments([0, 0], 4, 3, bias)
    out, of_x, *of_weights = output_and_gradients(grouped_linear, arguments, groups_of([0, 0]))
    assert out.shape == (0, 3)
    assert of_x.shape == (0, 4)
    assert not any(gradient.any() for gradient in of_weights)


@pytest.mark.parametrize("bias", [False, True])
def test_the_number_of_threads_changes_no_bit(
    bias: bool, one_and_two_threads: Callable[[Callable[[], list[Tensor]]], None]
) -> None:
    counts = [700, 0, 31, 1, 900]
    groups, arguments = groups_of(counts), random_arguments(counts, 24, 31, bias)
    one_and_two_threads(lambda: output_and_gradients(grouped_linear, arguments, groups))


def product_arguments(
    counts: list[int], n_in: int, n_out: int, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = [(sum(counts), n_in), (n_out, n_in), (len(counts), n_out, n_in), (len(counts), n_out)]
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=20).filter(any),
    n_in=st.integers(1, 9),
    n_out=st.integers(1, 9),
)
@example(counts=[7], n_in=3, n_out=5)
@example(counts=[0, 4, 0, 0, 9, 0], n_in=2, n_out=2)
def test_the_product_kernel_is_the_map_of_each_row(
    counts: list[int], n_in: int, n_out: int
) -> None:
    groups = groups_of(counts)
    arguments = product_arguments(counts, n_in, n_out)
    exact = [argument.detach().double().requires_grad_() for argument in arguments]
    found, expected = (
        [out.detach(), *torch.autograd.grad((out * _factor(out)).sum(), of)]
        for out, of in (
            (grouped_product_linear(*arguments, groups), arguments),
            (grouped_product_linear_reference(*exact, groups), exact),
        )
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def _factor(out: Tensor) -> Tensor:
    return torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)


def test_a_product_of_two_domains_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 0.0]])
    shared = torch.tensor([[2.0, 3.0]])
    own = torch.tensor([[[1.0, 1.0]], [[0.0, -1.0]]])
    bias = torch.tensor([[10.0], [20.0]])
    found = grouped_product_linear(x, shared, own, bias, groups_of([1, 2]))
    assert found.tolist() == [[18], [14], [20]]


def test_gradients_of_the_product_are_those_of_finite_differences() -> None:
    groups = groups_of([3, 0, 4])
    arguments = product_arguments([3, 0, 4], 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *a: grouped_product_linear(*a, groups), arguments)
    out = grouped_product_linear(*arguments, groups)
    _, _, *of_domains = torch.autograd.grad(out.square().sum(), arguments)
    for gradient in of_domains:  # the empty domain's
        assert (gradient[1] == 0).all()
        assert (gradient[[0, 2]] != 0).all()
