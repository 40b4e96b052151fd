"""The compiled compressed interaction network against its plain form, forward and backward."""

import numba
import pytest
import torch
from torch import Tensor

from mlorakit.kernels.cin import cin, cin_reference


def inputs(rows: int, fields: int, size: int, layers: tuple[int, ...]) -> list[Tensor]:
    """Embeddings, weights and biases of few digits, so that no sum is rounded; layer l's sums are
    odd multiples of 2^-l, so that none is at the kink of ReLU.
    """
    generator = torch.Generator().manual_seed(rows + fields)

    def integers(*shape: int) -> Tensor:
        return torch.randint(-1, 2, shape, generator=generator).float()

    weights, biases, maps = [], [], fields
    for layer, n in enumerate(layers, 1):
        weights.append(integers(n, maps * fields))
        biases.append(integers(n) + 0.5**layer)
        maps = n // 2
    return [integers(rows, fields, size), *weights, *biases]


def output_and_gradients(function, tensors: list[Tensor]) -> list[Tensor]:  # type: ignore[no-untyped-def]
    e, *others = (tensor.clone().requires_grad_() for tensor in tensors)
    out = function(e, others[: len(others) // 2], others[len(others) // 2 :])
    upstream = (torch.arange(out.numel()) % 5 - 2).to(out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, [e, *others], upstream)]


@pytest.mark.parametrize("rows", [1, 63, 64, 300])
@pytest.mark.parametrize(("fields", "size"), [(1, 1), (2, 9), (3, 8), (6, 4)])
@pytest.mark.parametrize("layers", [(128, 128), (5,), (4, 6, 3)])
def test_it_is_the_plain_form(rows: int, fields: int, size: int, layers: tuple[int, ...]) -> None:
    tensors = inputs(rows, fields, size, layers)
    ours = output_and_gradients(cin, tensors)
    plain = output_and_gradients(cin_reference, [tensor.double() for tensor in tensors])
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=1e-4)


def test_it_is_the_plain_form_where_no_gradient_is_asked_for() -> None:
    e, *others = inputs(200, 3, 8, (16, 8))
    with torch.inference_mode():
        arguments = e, others[:2], others[2:]
        torch.testing.assert_close(cin(*arguments), cin_reference(*arguments), rtol=1e-4, atol=1e-4)


def test_it_takes_inputs_that_are_not_contiguous() -> None:
    e, weight, bias = inputs(70, 3, 8, (5,))
    turned = e.transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(cin(turned, [weight], [bias]), cin(e, [weight], [bias]))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="There is one thread.")
def test_it_is_the_same_with_any_number_of_threads() -> None:
    found, before = [], numba.get_num_threads()
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(output_and_gradients(cin, inputs(1000, 3, 8, (32, 16))))
    numba.set_num_threads(before)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_a_batch_may_be_empty() -> None:
    _, weight, bias = inputs(1, 3, 8, (5,))
    assert cin(torch.empty(0, 3, 8), [weight], [bias]).shape == (0, 5)
