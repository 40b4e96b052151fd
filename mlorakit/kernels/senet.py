"""FiBiNET's SENet: how much each field of a row counts, over blocks of rows.

Arrays of the compiled loops are float32 and C-contiguous; what ends in L is a block of rows, see
`lanes`, with L = LANES.
"""

import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels.jit import serial
from mlorakit.kernels.lanes import LANES


def senet_shares(e: Tensor, squeeze: Tensor, excite: Tensor) -> Tensor:
    """SENet's weight of each field of each row (arXiv 1905.09433, eq. 2-4), in plain PyTorch.

    Args:
        e: field embeddings of shape (B, F, K).
        squeeze: of shape (F, R).
        excite: of shape (R, F).

    Returns:
        Tensor of shape (B, F).
    """
    return torch.relu(torch.relu(e.mean(2) @ squeeze) @ excite)


@serial
def _map(inputs, weight, out):  # type: ignore[no-untyped-def]
    """out[n] = relu(sum over m of inputs[m] weight[m, n]); inputs (M, L), out (N, L)."""
    for n in range(out.shape[0]):
        to = out[n]
        for i in range(LANES):
            to[i] = inputs[0, i] * weight[0, n]
        for m in range(1, inputs.shape[0]):
            own = inputs[m]
            for i in range(LANES):
                to[i] += own[i] * weight[m, n]
        for i in range(LANES):
            to[i] = np.float32(0) if to[i] <= 0 else to[i]  # NaN passes


@serial
def _map_backward(inputs, weight, out, grad, of_inputs, of_weight):  # type: ignore[no-untyped-def]
    """Fills of_inputs and adds to of_weight the gradients of `_map`; changes grad."""
    for n in range(out.shape[0]):
        own, to = grad[n], out[n]
        for i in range(LANES):
            own[i] = np.float32(0) if to[i] <= 0 else own[i]
    for m in range(inputs.shape[0]):
        x, of_x = inputs[m], of_inputs[m]
        for i in range(LANES):
            of_x[i] = 0
        for n in range(out.shape[0]):
            own, total = grad[n], np.float32(0)
            for i in range(LANES):
                of_x[i] += own[i] * weight[m, n]
            for i in range(LANES):
                total += own[i] * x[i]
            of_weight[m, n] += total


@serial
def shares_of(x, squeeze, excite, means, hidden, shares):  # type: ignore[no-untyped-def]
    """`senet_shares` of a block.

    Args:
        x: (F, K, L).
        squeeze: (F, R).
        excite: (R, F).
        means: filled with the means of each field's values, (F, L).
        hidden: filled with what the means are squeezed to, (R, L).
        shares: filled, (F, L).
    """
    fields, size, _ = x.shape
    for f in range(fields):
        mean = means[f]
        for i in range(LANES):
            mean[i] = x[f, 0, i]
        for k in range(1, size):
            value = x[f, k]
            for i in range(LANES):
                mean[i] += value[i]
        for i in range(LANES):
            mean[i] *= np.float32(1) / np.float32(size)
    _map(means, squeeze, hidden)
    _map(hidden, excite, shares)


@serial
def shares_backward(  # type: ignore[no-untyped-def] # noqa: D417
    squeeze, excite, means, hidden, shares, of_shares, of_hidden, of_means, of_x, of_squeeze,
    of_excite,
):  # fmt: skip
    """The gradients of `shares_of`, of whose arguments the first ones are.

    Args:
        of_shares: gradient of the shares, (F, L); changed.
        of_hidden: buffer, (R, L).
        of_means: buffer, (F, L).
        of_x: to which the gradient of x is added, (F, K, L).
        of_squeeze: to which the gradient is added, (F, R).
        of_excite: the same, (R, F).
    """
    fields, size, _ = of_x.shape
    _map_backward(hidden, excite, shares, of_shares, of_hidden, of_excite)
    _map_backward(means, squeeze, hidden, of_hidden, of_means, of_squeeze)
    for f in range(fields):
        own = of_means[f]
        for i in range(LANES):
            own[i] *= np.float32(1) / np.float32(size)
        for k in range(size):
            to = of_x[f, k]
            for i in range(LANES):
                to[i] += own[i]
