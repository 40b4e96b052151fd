"""Compiled products of pairs of fields against their plain forms, forward and backward."""

from collections.abc import Callable

import numba
import pytest
import torch
from torch import Tensor

from mlorakit.kernels.bilinear import fibinet, fibinet_reference
from mlorakit.kernels.pairs import pairs, product_layer, product_layer_reference

Function = Callable[..., Tensor]
BOTH = pytest.mark.parametrize(
    ("function", "reference"),
    [(product_layer, product_layer_reference), (fibinet, fibinet_reference)],
)


def inputs(function: Function, rows: int, fields: int, size: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows + fields)
    width = max(1, fields // 3)
    weights = (fields, width), (width, fields), (len(pairs(fields)[0]), size, size)
    shapes = (rows, fields, size), *(weights if function is fibinet else ())
    return [torch.randn(shape, generator=generator) for shape in shapes]


def output_and_gradients(function: Function, tensors: list[Tensor]) -> list[Tensor]:
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    out = function(*tensors)
    upstream = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, tensors, upstream)]


@BOTH
@pytest.mark.parametrize("rows", [1, 63, 64, 1030])
@pytest.mark.parametrize("fields", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [1, 8, 9])
def test_it_is_the_plain_form(
    function: Function, reference: Function, rows: int, fields: int, size: int
) -> None:
    tensors = inputs(function, rows, fields, size)
    ours = output_and_gradients(function, tensors)
    plain = output_and_gradients(reference, [tensor.double() for tensor in tensors])
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


@BOTH
def test_it_takes_inputs_that_are_not_contiguous(function: Function, reference: Function) -> None:
    e, *others = inputs(function, 70, 3, 8)
    turned = e.transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(function(turned, *others), function(e, *others))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="There is one thread.")
@BOTH
def test_it_is_the_same_with_any_number_of_threads(function: Function, reference: Function) -> None:
    found, before = [], numba.get_num_threads()
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(output_and_gradients(function, inputs(function, 2000, 3, 8)))
    numba.set_num_threads(before)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@BOTH
def test_a_batch_may_be_empty(function: Function, reference: Function) -> None:
    _, *others = inputs(function, 1, 3, 8)
    e = torch.empty(0, 3, 8, requires_grad=True)
    out = function(e, *others)
    assert out.shape == ((0, 6, 8) if others else (0, 3 * 8 + 3))
    out.sum().backward()
    assert e.grad is not None
    assert e.grad.shape == e.shape
