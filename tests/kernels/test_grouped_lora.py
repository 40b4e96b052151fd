"""Each kernel against the loop over domains, forward and backward."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels.grouped_lora import (
    _side_by_side,
    adapted_layer,
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
@example(shapes=([200, 1, 0, 63, 64, 65], 16, 13, 31))  # around the size of a tile
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
@example(shapes=([20, 9], 5, 3, 7))
def test_the_whole_layer_is_relu_of_the_shared_map_plus_the_loop(
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

    def reference(x: Tensor, w: Tensor, c: Tensor, a: Tensor, b: Tensor, _: object) -> Tensor:
        return torch.relu(x @ w.T + c + grouped_lora_reference(x, a, b, groups))

    def layer(*arguments: Tensor) -> Tensor:
        return adapted_layer(*arguments, p=0.0)

    expected = output_and_gradients(reference, exact, groups)
    for ours, theirs in zip(output_and_gradients(layer, arguments, groups), expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():  # merged weights
        torch.testing.assert_close(
            layer(*arguments, groups).double(), expected[0], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("rank", [None, 2])
def test_the_layers_dropout_zeroes_and_scales_outputs_and_gradients(rank: int | None) -> None:
    counts = [40, 0, 25]
    groups = groups_of(counts)
    x, a, b = random_arguments(counts, rank or 1, 6, 9)
    a, b = (a, b) if rank else (None, b[:, -1:].detach().requires_grad_())
    weight = torch.randn(9, 6, generator=torch.Generator().manual_seed(6)).requires_grad_()
    bias = torch.zeros(9)
    plain = adapted_layer(x, weight, bias, a, b, groups, 0.0)
    torch.manual_seed(3)
    out = adapted_layer(x, weight, bias, a, b, groups, 0.5)
    kept = out.detach() != 0
    positive = plain.detach() > 0
    assert not (kept & ~positive).any()
    assert 0.4 < kept[positive].double().mean() < 0.6
    torch.testing.assert_close(out[kept], 2 * plain[kept])
    leaves = [leaf for leaf in (x, weight, a, b) if leaf is not None]
    ours = torch.autograd.grad(out.sum(), leaves)
    theirs = torch.autograd.grad((plain * 2 * kept).sum(), leaves)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [grouped_lora_reference, grouped_lora, _side_by_side])
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
