"""Compiled cross layers against their plain form, forward and backward."""

import numba
import pytest
import torch
from torch import Tensor

from mlorakit.kernels.cross import cross, cross_reference


def inputs(rows: int, width: int, layers: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows + width)
    shapes = (rows, width), (layers, width), (layers, width)
    x0, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return [x0, weight / width**0.5, bias]


def output_and_gradients(function, tensors: list[Tensor]) -> list[Tensor]:  # type: ignore[no-untyped-def]
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    out = function(*tensors)
    upstream = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, tensors, upstream)]


@pytest.mark.parametrize("rows", [1, 63, 300, 1030])
@pytest.mark.parametrize("width", [1, 9, 24])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_it_is_the_plain_form(rows: int, width: int, layers: int) -> None:
    tensors = inputs(rows, width, layers)
    ours = output_and_gradients(cross, tensors)
    plain = output_and_gradients(cross_reference, [tensor.double() for tensor in tensors])
    for mine, theirs in zip(ours, plain, strict=True):
        # Gradients of weights and biases are sums over rows, some of them large.
        atol = 1e-5 * max(10, theirs.abs().max().item())
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=atol)


def test_it_takes_inputs_that_are_not_contiguous() -> None:
    x0, weight, bias = inputs(70, 9, 2)
    turned = x0.t().contiguous().t()
    assert torch.equal(cross(turned, weight, bias), cross(x0, weight, bias))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="There is one thread.")
def test_it_is_the_same_with_any_number_of_threads() -> None:
    found, before = [], numba.get_num_threads()
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(output_and_gradients(cross, inputs(2000, 24, 2)))
    numba.set_num_threads(before)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_a_row_may_be_a_matrix() -> None:
    x0, weight, bias = inputs(70, 12, 2)
    for function in (cross, cross_reference):
        found = output_and_gradients(function, [x0.view(70, 3, 4), weight, bias])
        flat = output_and_gradients(function, [x0, weight, bias])
        for mine, theirs in zip(found, flat, strict=True):
            assert torch.equal(mine.flatten(), theirs.flatten())


def test_a_batch_may_be_empty() -> None:
    _, weight, bias = inputs(1, 9, 2)
    assert cross(torch.empty(0, 9), weight, bias).shape == (0, 9)
