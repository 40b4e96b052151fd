"""Dropout from random bytes: its probability, its scale, its gradient."""

import pytest
import torch
from torch import Tensor

from mlorakit.kernels.dropout import (
    dropout,
    dropout_reference,
    realised_probability,
    relu_dropout_,
    scaled_mask,
)

CPU = torch.device("cpu")


def kept(shape: tuple[int, ...], p: float) -> Tensor:
    """The mask drawn next: 1 where an element is kept, 0 elsewhere."""
    return (scaled_mask(torch.Size(shape), p, CPU) != 0).float()


SHAPES = [(7,), (3, 5), (8,), (2, 3, 4), (1,), (0, 4)]


def seeded(x: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """The output of dropout, and the mask that it drew."""
    torch.manual_seed(3)
    out = dropout(x, p, training=True)
    torch.manual_seed(3)
    return out, kept(x.shape, p)


@pytest.mark.parametrize("p", [1 / 256, 0.1, 0.25, 0.3, 0.5, 0.9, 255 / 256])
def test_the_share_dropped_is_p(p: float) -> None:
    torch.manual_seed(1)
    count = 1 << 18
    dropped = int((kept((count,), p) == 0).sum())
    assert abs(dropped - count * p) < 5 * (count * p * (1 - p)) ** 0.5  # five standard deviations


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("lag", [1, 2, 4, 7, 8])
def test_elements_are_dropped_independently(p: float, lag: int) -> None:
    torch.manual_seed(2)
    drop = kept((1 << 18,), p) == 0
    both = (drop[lag:] & drop[:-lag]).double().mean().item()
    assert both == pytest.approx(p * p, abs=0.004)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_scaling_keeps_the_mean(p: float) -> None:
    torch.manual_seed(4)
    out = dropout(torch.full((1 << 18,), 3.0), p, training=True)
    kept = out[out != 0]
    assert kept.unique().tolist() == pytest.approx([3 / (1 - realised_probability(p))])
    assert out.mean().item() == pytest.approx(3.0, rel=0.02)


def test_multiples_of_1_256_are_exact() -> None:
    assert [realised_probability(k / 256) for k in range(256)] == [k / 256 for k in range(256)]


@pytest.mark.parametrize("percent", range(1, 100))
def test_other_probabilities_are_off_by_at_most_half_of_1_65536(percent: int) -> None:
    assert abs(realised_probability(percent / 100) - percent / 100) <= 7.7e-6


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_is_its_reference_on_the_same_mask(shape: tuple[int, ...], p: float) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(6))
    out, keep = seeded(x, p)
    assert keep.shape == x.shape
    torch.testing.assert_close(out, dropout_reference(x, keep, p))
    assert set(keep.flatten().tolist()) <= {0, 1}
    assert (out[keep == 0] == 0).all()


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_gradient_is_mask_times_scale(p: float) -> None:
    x = torch.randn(50, 9, generator=torch.Generator().manual_seed(6)).requires_grad_()
    out, keep = seeded(x, p)
    upstream = torch.linspace(1, 2, x.numel()).view_as(x)
    out.backward(upstream)
    assert 0 < int(keep.sum()) < keep.numel()
    torch.testing.assert_close(x.grad, upstream * keep / (1 - realised_probability(p)))


def test_two_draws_differ_and_a_seed_repeats_them() -> None:
    x = torch.ones(1000)
    torch.manual_seed(8)
    first, second = dropout(x, 0.5, training=True), dropout(x, 0.5, training=True)
    torch.manual_seed(8)
    assert torch.equal(dropout(x, 0.5, training=True), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True), (0.0, False)])
def test_without_training_or_probability_nothing_is_drawn(p: float, training: bool) -> None:
    x = torch.ones(10)
    state = torch.get_rng_state()
    assert dropout(x, p, training) is x
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_joint_step_is_relu_and_then_dropout(shape: tuple[int, ...], p: float) -> None:
    upstream = torch.linspace(1, 2, torch.Size(shape).numel()).view(shape)
    outs, gradients = [], []
    for joint in (True, False):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(6)).requires_grad_()
        inner = x * 1  # no leaf, and its value is needed by nothing else
        torch.manual_seed(3)
        out = relu_dropout_(inner, p, True) if joint else dropout(inner.relu(), p, True)
        out.backward(upstream)
        outs.append(out.detach())
        gradients.append(x.grad)
    assert torch.equal(*outs)
    assert torch.equal(*gradients)


def test_the_joint_step_passes_no_gradient_where_relu_is_zero_or_the_element_dropped() -> None:
    x = torch.tensor([[-1.0, 0.0, 1.0]]).repeat(100, 1).requires_grad_()
    torch.manual_seed(3)
    out = relu_dropout_(x * 1, 0.5, training=True)
    out.sum().backward()
    assert not x.grad[:, :2].any()
    assert torch.equal(x.grad[:, 2], out[:, 2].detach())  # 2 where kept, 0 where dropped
    assert set(out[:, 2].tolist()) == {0.0, 2.0}


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_the_joint_step_without_dropout_is_relu_in_place(p: float, training: bool) -> None:
    x = torch.tensor([-1.0, 2.0])
    out = relu_dropout_(x, p, training)
    assert out is x
    assert out.tolist() == [0, 2]
