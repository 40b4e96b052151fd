"""Products with matrices of each domain's own, compiled; a domain is one thread's work.

Arrays are float32 and C-contiguous; domain d owns the rows up to ends[d] of a sorted batch. The
plain forms are `grouped_lora_reference` and `grouped_linear_reference`.
"""

import numba
import numpy as np

from mlorakit.kernels.jit import parallel, serial
from mlorakit.kernels.products import times, times_transposed, transposed_times
from mlorakit.kernels.sums import clear, sum_rows


@serial
def _fill_rows(y, row):  # type: ignore[no-untyped-def]
    for i in range(y.shape[0]):
        y[i] = row


@parallel
def low_rank(function, x, a, b, ends, down, y):  # type: ignore[no-untyped-def]
    """Y = x a_d^T b_d + c_d.

    Args:
        function: of the matrix product, see `blas.sgemm_address`.
        x: inputs, (B, n_in).
        a: (D, R, n_in).
        b: (D, R + 1, n_out), the last row of each domain its bias.
        ends: (D,).
        down: filled with x a_d^T, (B, R).
        y: filled, (B, n_out).
    """
    rank = a.shape[1]
    for d in numba.prange(ends.size):
        lo, hi = ends[d - 1] if d > 0 else 0, ends[d]
        if hi > lo:
            times_transposed(function, x[lo:hi], a[d], down[lo:hi], 0)
            _fill_rows(y[lo:hi], b[d, rank])
            times(function, down[lo:hi], b[d, :rank], y[lo:hi], 1)


@parallel
def low_rank_backward(function, x, a, b, ends, down, grad, of_x, of_a, of_b):  # type: ignore[no-untyped-def]
    """The gradients of `low_rank`, each filled; grad is that of y."""
    rank = a.shape[1]
    of_down = np.empty_like(down)
    for d in numba.prange(ends.size):
        lo, hi = ends[d - 1] if d > 0 else 0, ends[d]
        sum_rows(grad[lo:hi], of_b[d, rank])
        if hi > lo:
            times_transposed(function, grad[lo:hi], b[d, :rank], of_down[lo:hi], 0)
            times(function, of_down[lo:hi], a[d], of_x[lo:hi], 0)
            transposed_times(function, of_down[lo:hi], x[lo:hi], of_a[d], 0)
            transposed_times(function, down[lo:hi], grad[lo:hi], of_b[d, :rank], 0)
        else:
            clear(of_a[d])
            clear(of_b[d, :rank])


@parallel
def linear(function, x, w, bias, ends, y):  # type: ignore[no-untyped-def]
    """Y = x w_d^T + bias_d; x (B, n_in), w (D, n_out, n_in), bias (D, n_out), y (B, n_out)."""
    for d in numba.prange(ends.size):
        lo, hi = ends[d - 1] if d > 0 else 0, ends[d]
        if hi > lo:
            _fill_rows(y[lo:hi], bias[d] if bias.shape[0] > 1 else bias[0])
            times_transposed(function, x[lo:hi], w[d], y[lo:hi], 1)


@parallel
def linear_backward(function, x, w, ends, grad, of_x, of_w, of_bias):  # type: ignore[no-untyped-def]
    """The gradients of `linear`, each filled; grad is that of y."""
    for d in numba.prange(ends.size):
        lo, hi = ends[d - 1] if d > 0 else 0, ends[d]
        sum_rows(grad[lo:hi], of_bias[d])
        if hi > lo:
            times(function, grad[lo:hi], w[d], of_x[lo:hi], 0)
            transposed_times(function, grad[lo:hi], x[lo:hi], of_w[d], 0)
        else:
            clear(of_w[d])
