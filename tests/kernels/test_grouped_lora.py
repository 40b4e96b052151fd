"""Each kernel against the loop over domains, forward and backward."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels.grouped_lora import (
    _Merged,
    _side_by_side,
    adapted_linear,
    grouped_bias,
    grouped_lora,
    grouped_lora_reference,
)
from mlorakit.kernels.groups import DomainGroups, group_rows

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, DomainGroups], Tensor]
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
        (len(counts), rank, n_out),
        (len(counts), n_out),
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
@example(shapes=([200, 1, 0, 63, 64, 65], 16, 13, 31))  # around the size of a tile
@example(shapes=([1] + [0] * 39, 2, 3, 3))  # one row, forty domains
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
    b = torch.tensor([[[1.0, 10.0, 0.0]], [[2.0, 0.0, 1.0]]])
    bias = torch.tensor([[0.0, 0.0, 5.0], [1.0, 1.0, 1.0]])
    out = kernel(x, a, b, bias, groups_of([1, 1]))
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


def test_tiles_serve_every_layer_and_evaluation_then_training() -> None:
    groups = groups_of([5, 9])
    first = random_arguments([5, 9], 2, 4, 4)
    with torch.inference_mode():
        expected = grouped_lora(*first, groups).clone()
    out = grouped_lora(*first, groups)
    assert torch.equal(out.detach(), expected)
    out.sum().backward()
    assert all(argument.grad is not None for argument in first)


@given(shapes=Shapes)
@example(shapes=([300, 0, 212], 4, 13, 31))
@example(shapes=([0, 4, 0, 0, 9, 0], 1, 2, 2))
def test_the_whole_layer_is_the_shared_map_plus_the_loop(
    shapes: tuple[list[int], int, int, int],
) -> None:
    counts, rank, n_in, n_out = shapes
    groups = groups_of(counts)
    generator = torch.Generator().manual_seed(6)
    weight, shared_bias = (
        torch.randn(shape, generator=generator).requires_grad_() for shape in ((n_out, n_in), n_out)
    )
    x, *own = random_arguments(counts, rank, n_in, n_out)
    arguments = [x, weight, shared_bias, *own]
    exact = [argument.detach().double().requires_grad_() for argument in arguments]

    def reference(x: Tensor, w: Tensor, c: Tensor, *own: Tensor) -> Tensor:
        return x @ w.T + c + grouped_lora_reference(x, *own[:-1], groups)

    expected = output_and_gradients(reference, exact, groups)
    for kernel in (adapted_linear, _Merged.apply):
        for ours, theirs in zip(
            output_and_gradients(kernel, arguments, groups), expected, strict=True
        ):
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_the_whole_layer_takes_tiles_for_small_domains_and_a_product_each_for_large_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    monkeypatch.setattr(_Merged, "apply", lambda *arguments: calls.append(arguments[-1]))
    weight, bias = torch.randn(4, 3), torch.randn(4)
    for counts in ([20] * 50, [300, 212]):
        x, *own = random_arguments(counts, 2, 3, 4)
        adapted_linear(x, weight, bias, *own, groups_of(counts))
    assert [groups.n_domains for groups in calls] == [2]


@pytest.mark.parametrize("counts", [[3, 0, 5], [200, 0, 300]])
def test_a_bias_alone_is_the_kernel_without_a_low_rank_term(counts: list[int]) -> None:
    groups = groups_of(counts)
    bias = torch.randn(3, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    out = grouped_bias(bias, groups)
    assert torch.equal(out, bias[groups.domain])
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    (ours,) = torch.autograd.grad((out * weight).sum(), bias)
    (theirs,) = torch.autograd.grad((bias[groups.domain] * weight).sum(), bias)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
