"""LT4REC's losses by hand."""

import math

import pytest
import torch

from mlorakit.losses import focal_loss, masked_squared_error


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_focal_loss_by_hand() -> None:
    # A positive row at p = 0.8: -0.75 (0.2)^2 ln 0.8. A negative row at p = 0.3: its own
    # probability is 0.7, so -0.25 (0.3)^2 ln 0.7.
    expected = (-0.75 * 0.04 * math.log(0.8) - 0.25 * 0.09 * math.log(0.7)) / 2
    loss = focal_loss(torch.tensor([logit(0.8), logit(0.3)]), torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_without_focus_is_weighted_cross_entropy() -> None:
    z, y = torch.linspace(-3, 3, 7), torch.tensor([0.0, 1, 0, 1, 1, 0, 1])
    ours = focal_loss(z, y, alpha=0.5, gamma=0.0)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
    torch.testing.assert_close(2 * ours, theirs)


@pytest.mark.parametrize("size", [30.0, 200.0])
def test_focal_loss_of_a_hopeless_row_is_finite_and_of_a_sure_one_zero(size: float) -> None:
    for sign, label in ((1, 0.0), (-1, 1.0)):
        wrong = focal_loss(torch.tensor([sign * size]), torch.tensor([label]))
        assert math.isfinite(wrong.item())
        assert wrong.item() > 1
        right = focal_loss(torch.tensor([-sign * size]), torch.tensor([label]))
        assert right.item() == pytest.approx(0, abs=1e-9)


def test_squared_error_by_hand() -> None:
    z = torch.tensor([logit(0.8), logit(0.5), logit(0.1)], requires_grad=True)
    applies = torch.tensor([True, False, True])
    loss = masked_squared_error(z, torch.tensor([1.0, 0.0, 0.4]), applies)
    assert loss.item() == pytest.approx((0.2**2 + 0.3**2) / 2, rel=1e-5)
    loss.backward()
    # d/dz of (p - t)^2 is 2 (p - t) p (1 - p), over the two rows that count.
    assert z.grad is not None
    expected = [(0.8 - 1) * 0.8 * 0.2, 0, (0.1 - 0.4) * 0.1 * 0.9]
    assert z.grad.tolist() == pytest.approx(expected, rel=1e-4)


def test_squared_error_without_a_row_is_zero_and_moves_nothing() -> None:
    z = torch.tensor([2.0], requires_grad=True)
    loss = masked_squared_error(z, torch.tensor([0.0]), torch.tensor([False]))
    assert loss.item() == 0
    loss.backward()
    assert z.grad is not None
    assert z.grad.item() == 0
