"""Each kernel against the loop over domains, forward and backward."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels.grouped_lora import (
    _side_by_side,
    grouped_lora,
    grouped_lora_reference,
)
from mlorakit.kernels.groups import DomainGroups, group_rows

Kernel = Callable[[Tensor, Tensor, Tensor, DomainGroups], Tensor]
KERNELS = pytest.mark.parametrize("kernel", [grouped_lora, _side_by_side])

Shapes = st.tuples(
    st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(any),  # rows per domain
    st.integers(1, 5),  # rank
    st.integers(1, 19),  # n_in
    st.integers(1, 19),  # n_out
)


def groups_of(counts: list[int]) -> DomainGroups:
    domain = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return group_rows(domain, len(counts))[1]


def random_arguments(
    counts: list[int], rank: int, n_in: int, n_out: int, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = (
        (sum(counts), n_in),
        (len(counts), rank, n_in),
        (len(counts), rank + 1, n_out),
    )
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


def output_and_gradients(
    kernel: Kernel, arguments: list[Tensor], groups: DomainGroups
) -> list[Tensor]:
    out = kernel(*arguments, groups)
    # Weights that differ per element, so that no error in the gradients cancels.
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), arguments)]


@KERNELS
@given(shapes=Shapes)
@example(shapes=([7], 1, 3, 5))  # one domain
@example(shapes=([0, 4, 0, 0, 9, 0], 1, 2, 2))  # empty domains first, last and in the middle
@example(shapes=([200, 1, 0, 63, 64, 65], 16, 13, 31))  # large domains beside small ones
@example(shapes=([1] + [0] * 39, 2, 3, 3))  # one row, forty domains
@example(shapes=([20, 9], 5, 3, 7))  # a rank above the width, where no rank is low
def test_kernel_is_the_loop_over_domains(
    kernel: Kernel, shapes: tuple[list[int], int, int, int]
) -> None:
    counts, rank, n_in, n_out = shapes
    groups = groups_of(counts)
    arguments = random_arguments(counts, rank, n_in, n_out)
    exact = [argument.detach().double().requires_grad_() for argument in arguments]
    expected = output_and_gradients(grouped_lora_reference, exact, groups)
    for ours, theirs in zip(output_and_gradients(kernel, arguments, groups), expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [grouped_lora_reference, grouped_lora, _side_by_side])
def test_two_domains_by_hand(kernel: Kernel) -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    a = torch.tensor([[[1.0, 1.0]], [[0.0, -1.0]]])  # 1 + 2 = 3, and -2
    b = torch.tensor(
        [[[1.0, 10.0, 0.0], [0.0, 0.0, 5.0]], [[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]]]  # B over c
    )
    out = kernel(x, a, b, groups_of([1, 1]))
    assert out.tolist() == [[3, 30, 5], [-4 + 1, 1, -2 + 1]]


@KERNELS
def test_an_empty_domain_gets_zero_gradients(kernel: Kernel) -> None:
    arguments = random_arguments([3, 0, 5], 2, 4, 3)
    _, _, *of_weights = output_and_gradients(kernel, arguments, groups_of([3, 0, 5]))
    for gradient in of_weights:
        assert (gradient[1] == 0).all()
        assert (gradient[[0, 2]] != 0).all()


@KERNELS
def test_gradients_are_those_of_finite_differences(kernel: Kernel) -> None:
    groups = groups_of([5, 0, 6])
    arguments = random_arguments([5, 0, 6], 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *a: kernel(*a, groups), arguments)


def test_evaluation_computes_the_same_and_training_may_follow() -> None:
    groups = groups_of([5, 9])
    first = random_arguments([5, 9], 2, 4, 4)
    with torch.inference_mode():
        expected = grouped_lora(*first, groups).clone()
    out = grouped_lora(*first, groups)
    assert torch.equal(out.detach(), expected)
    out.sum().backward()
    assert all(argument.grad is not None for argument in first)


@KERNELS
def test_a_batch_may_be_empty(kernel: Kernel) -> None:
    arguments = random_arguments([0, 0], 2, 4, 3)
    out, of_x, *of_weights = output_and_gradients(kernel, arguments, groups_of([0, 0]))
    assert out.shape == (0, 3)
    assert of_x.shape == (0, 4)
    assert not any(gradient.any() for gradient in of_weights)


@pytest.mark.parametrize("part", range(4))
def test_values_may_lie_in_memory_in_any_order(part: int) -> None:
    groups = groups_of([5, 0, 6])
    arguments = random_arguments([5, 0, 6], 2, 3, 4)
    upstream = torch.randn(11, 4, generator=torch.Generator().manual_seed(1))
    expected = torch.autograd.grad(grouped_lora(*arguments, groups), arguments, upstream)
    together = [*arguments, upstream]
    together[part] = together[part].detach().mT.contiguous().mT.requires_grad_(part < 3)
    *arguments, upstream = together
    found = torch.autograd.grad(grouped_lora(*arguments, groups), arguments, upstream)
    assert all(map(torch.equal, found, expected))


def test_the_number_of_threads_changes_no_bit(
    one_and_two_threads: Callable[[Callable[[], list[Tensor]]], None],
) -> None:
    counts = [700, 0, 31, 1, 900]
    groups = groups_of(counts)
    arguments = random_arguments(counts, 4, 24, 31)
    one_and_two_threads(lambda: output_and_gradients(grouped_lora, arguments, groups))


@pytest.mark.parametrize("kernel", [grouped_lora_reference, grouped_lora])
@pytest.mark.parametrize("counts", [[3, 0, 5], [200, 0, 300]])
def test_without_down_projections_the_bias_alone_is_left(kernel: Kernel, counts: list[int]) -> None:
    groups = groups_of(counts)
    bias = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    out = kernel(torch.randn(sum(counts), 2), None, bias, groups)
    expected = bias[groups.domain, 0]
    assert torch.equal(out, expected)
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    (ours,) = torch.autograd.grad((out * weight).sum(), bias)
    (theirs,) = torch.autograd.grad((expected * weight).sum(), bias)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
