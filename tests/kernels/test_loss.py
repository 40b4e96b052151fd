"""Cross-entropy and its gradient: by hand, and against the plain form."""

import math

import numpy as np
import pytest
import torch

from mlorakit.kernels.loss import cross_entropy, cross_entropy_reference


def test_by_hand() -> None:
    z, y = np.array([0, math.log(3)], np.float32), np.array([1, 0], np.float32)
    loss, grad = cross_entropy(z, y)
    assert loss == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert grad.tolist() == pytest.approx([-0.25, 0.375])


@pytest.mark.parametrize("rows", [1, 1000])
def test_it_is_its_plain_form(rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    z = 5 * torch.randn(rows, generator=generator)
    y = (torch.rand(rows, generator=generator) < 0.5).float()
    loss, grad = cross_entropy(z.numpy(), y.numpy())
    expected, of_z = cross_entropy_reference(z.double(), y.double())
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(torch.from_numpy(grad).double(), of_z, rtol=1e-5, atol=1e-9)


def test_large_logits_do_not_overflow() -> None:
    z, y = np.array([1e4, -1e4, 1e4], np.float32), np.array([0, 1, 1], np.float32)
    loss, grad = cross_entropy(z, y)
    assert loss == pytest.approx(2e4 / 3)
    assert grad.tolist() == pytest.approx([1 / 3, -1 / 3, 0])


def test_a_logit_that_is_no_number_makes_the_loss_none() -> None:
    loss, grad = cross_entropy(np.array([math.nan, 1], np.float32), np.zeros(2, np.float32))
    assert math.isnan(loss)
    assert math.isnan(grad[0])
