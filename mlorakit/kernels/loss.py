"""Binary cross-entropy of logits and its gradient in one pass."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.kernels.jit import serial


@serial
def _cross_entropy(z, y, grad):  # type: ignore[no-untyped-def]
    """Fills grad with the gradient of the mean, which is returned."""
    total, one = 0.0, np.float32(1)
    for i in range(z.size):
        small = np.exp(-abs(z[i]))  # does not overflow
        total += max(z[i], np.float32(0)) - z[i] * y[i] + np.log1p(small)
        probability = (one if z[i] >= 0 else small) / (one + small)
        grad[i] = (probability - y[i]) / np.float32(z.size)
    return total / z.size


def cross_entropy_reference(z: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """The plain form of `cross_entropy`."""
    logit = z.detach().requires_grad_()
    loss = F.binary_cross_entropy_with_logits(logit, y)
    (grad,) = torch.autograd.grad(loss, logit)
    return loss.item(), grad


def cross_entropy(z: Any, y: Any) -> tuple[float, Any]:
    """Mean binary cross-entropy, and its gradient by the logits.

    Args:
        z: logits, an array of shape (B,), float32.
        y: labels, the same.
    """
    grad = np.empty_like(z)
    return _cross_entropy(z, y, grad), grad
