"""Softmax for compiled loops, over rows that lie side by side, see `lanes`."""

import numpy as np

from mlorakit.kernels.lanes import LANES, serial


@serial
def exp(x):  # type: ignore[no-untyped-def]
    """e^x of an x not above 0, by operations that run on vectors; off by 5e-7 of it at most."""
    x = max(x, np.float32(-87))
    power = np.int32(x * np.float32(1.44269504) - np.float32(0.5))
    x = x - np.float32(power) * np.float32(0.69314718)
    y = np.float32(1 / 720)
    y = y * x + np.float32(1 / 120)
    y = y * x + np.float32(1 / 24)
    y = y * x + np.float32(1 / 6)
    y = y * x + np.float32(0.5)
    y = y * x + np.float32(1)
    y = y * x + np.float32(1)
    return y * np.int32((power + np.int32(127)) << np.int32(23)).view(np.float32)


@serial
def softmax(scores, most, total):  # type: ignore[no-untyped-def]
    """Softmax of (F, F, L) over the second axis, in place; two (L,) buffers."""
    fields = scores.shape[0]
    for f in range(fields):
        for i in range(LANES):
            most[i] = scores[f, 0, i]
            total[i] = 0
        for g in range(1, fields):
            score = scores[f, g]
            for i in range(LANES):
                most[i] = max(most[i], score[i])
        for g in range(fields):
            score = scores[f, g]
            for i in range(LANES):
                score[i] = exp(score[i] - most[i])
            for i in range(LANES):
                total[i] += score[i]
        for i in range(LANES):
            total[i] = np.float32(1) / total[i]
        for g in range(fields):
            score = scores[f, g]
            for i in range(LANES):
                score[i] *= total[i]


@serial
def softmax_backward(shares, grad, total):  # type: ignore[no-untyped-def]
    """The gradient of the scores in place of that of their shares; a (L,) buffer."""
    fields = shares.shape[0]
    for f in range(fields):
        for i in range(LANES):
            total[i] = 0
        for g in range(fields):
            share, own = shares[f, g], grad[f, g]
            for i in range(LANES):
                total[i] += share[i] * own[i]
        for g in range(fields):
            share, own = shares[f, g], grad[f, g]
            for i in range(LANES):
                own[i] = share[i] * (own[i] - total[i])
