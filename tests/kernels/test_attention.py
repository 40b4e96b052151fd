"""Compiled self-attention against its plain form, forward and backward."""

import numba
import numpy as np
import pytest
import torch
from torch import Tensor

from mlorakit.kernels.attention import attention, attention_reference
from mlorakit.kernels.softmax import exp


def inputs(rows: int, fields: int, n_in: int, size: int, heads: int, layers: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows + fields)
    widths = [n_in, *[size * heads] * (layers - 1)]
    shapes = (rows, fields, n_in), *((width, 4 * size * heads) for width in widths)
    return [torch.randn(shape, generator=generator) / shape[-2] ** 0.5 for shape in shapes]


def layers_reference(e: Tensor, weights: list[Tensor], heads: int) -> Tensor:
    for weight in weights:
        e = attention_reference(e, weight, heads)
    return e


def output_and_gradients(function, tensors: list[Tensor], heads: int) -> list[Tensor]:  # type: ignore[no-untyped-def]
    e, *weights = (tensor.clone().requires_grad_() for tensor in tensors)
    out = function(e, weights, heads)
    upstream = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, [e, *weights], upstream)]


@pytest.mark.parametrize("rows", [1, 63, 64, 300])
@pytest.mark.parametrize("fields", [1, 2, 3, 6])
@pytest.mark.parametrize(
    ("n_in", "size", "heads", "layers"), [(8, 8, 4, 3), (1, 1, 1, 2), (9, 3, 2, 1), (4, 5, 3, 2)]
)
def test_it_is_the_plain_form(
    rows: int, fields: int, n_in: int, size: int, heads: int, layers: int
) -> None:
    tensors = inputs(rows, fields, n_in, size, heads, layers)
    ours = output_and_gradients(attention, tensors, heads)
    plain = output_and_gradients(layers_reference, [t.double() for t in tensors], heads)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


def test_it_is_the_plain_form_where_no_gradient_is_asked_for() -> None:
    e, *weights = inputs(200, 3, 8, 8, 4, 3)
    with torch.inference_mode():
        out = attention(e, weights, 4)
        torch.testing.assert_close(out, layers_reference(e, weights, 4), rtol=1e-4, atol=1e-4)


def test_it_takes_inputs_that_are_not_contiguous() -> None:
    e, weight = inputs(70, 3, 8, 4, 2, 1)
    turned = e.transpose(0, 1).contiguous().transpose(0, 1)
    assert not turned.is_contiguous()
    assert torch.equal(attention(turned, [weight], 2), attention(e, [weight], 2))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="There is one thread.")
def test_it_is_the_same_with_any_number_of_threads() -> None:
    found, before = [], numba.get_num_threads()
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(output_and_gradients(attention, inputs(1000, 3, 8, 8, 4, 3), 4))
    numba.set_num_threads(before)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_a_batch_may_be_empty() -> None:
    _, weight = inputs(1, 3, 8, 4, 2, 1)
    assert attention(torch.empty(0, 3, 8), [weight], 2).shape == (0, 3, 8)


def test_large_scores_do_not_overflow() -> None:
    e, weight = inputs(5, 3, 8, 4, 2, 1)
    out = attention(100 * e, [weight], 2)
    torch.testing.assert_close(out, attention_reference(100 * e, weight, 2), rtol=1e-4, atol=1e-2)


def test_exp_is_that_of_numpy() -> None:
    x = np.linspace(-87, 0, 10_001, dtype=np.float32)
    ours = np.array([exp(value) for value in x])
    np.testing.assert_allclose(ours, np.exp(x), rtol=1e-6)
    assert exp(np.float32(0)) == 1
    assert exp(np.float32(-1e9)) < 1e-36
