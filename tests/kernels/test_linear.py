"""The linear map by oneDNN against PyTorch's own, forward and backward."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels import linear as module
from mlorakit.kernels.linear import linear, weight_gradient

Sizes = st.tuples(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))


def output_and_gradients(function: Callable[..., Tensor], *arguments: Tensor) -> list[Tensor]:
    arguments = tuple(argument.clone().requires_grad_() for argument in arguments)
    out = function(*arguments)
    upstream = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, arguments, upstream)]


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
@given(sizes=Sizes)
@example(sizes=(1024, 24, 256))  # the shapes of the MLP
@example(sizes=(1024, 256, 128))
@example(sizes=(1, 1, 1))
def test_it_is_torchs_linear_map(
    onednn: bool, with_bias: bool, sizes: tuple[int, int, int]
) -> None:
    if onednn and not module._HAS_ONEDNN:
        pytest.skip("This build of PyTorch has no oneDNN.")
    rows, n_in, n_out = sizes
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator) for shape in ((rows, n_in), (n_out, n_in), (n_out,))
    )
    arguments = (x, weight, bias)[: 3 if with_bias else 2]
    exact = [argument.double() for argument in arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BY_ONEDNN", onednn)
        ours = output_and_gradients(linear, *arguments)
    for mine, theirs in zip(ours, output_and_gradients(F.linear, *exact), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    arguments = [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((5, 3), (4, 3), (4,))
    ]
    assert torch.autograd.gradcheck(linear, arguments)


@pytest.mark.parametrize("onednn", [module._HAS_ONEDNN, False])
@pytest.mark.parametrize(("n_in", "n_out"), [(3, 7), (7, 3)])
def test_a_weights_gradient_lies_in_memory_as_the_weight_does(
    n_in: int, n_out: int, onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BY_ONEDNN", onednn)
    gradient = weight_gradient(torch.ones(5, n_in), torch.ones(5, n_out))
    assert gradient.shape == (n_out, n_in)
    assert gradient.is_contiguous()
    assert (gradient == 5).all()


def test_a_batch_may_be_empty() -> None:
    weight = torch.ones(2, 3).requires_grad_()
    out = linear(torch.empty(0, 3), weight)
    assert out.shape == (0, 2)
    out.sum().backward()
    assert (weight.grad == 0).all()
