"""A layer of the MLP on a batch whose rows are sorted by domain, compiled.

Rows are cut into shards, each computed by one thread from the product to dropout while it lies in
that thread's cache. Shards depend on the batch alone and their sums are added up in order, so a
result is the same whatever the number of threads. All arrays are float32 and C-contiguous; each
domain d owns the rows up to ends[d]. The plain form is `stack.dense_stack_reference`.
"""

import numba
import numpy as np

from mlorakit.kernels.compiled import hash_columns, hash_row, random_number
from mlorakit.kernels.jit import parallel, serial
from mlorakit.kernels.products import times, times_transposed, transposed_times

_SHARD = 512  # rows
_MOST_SHARDS = 16


def shards_of(rows: int) -> int:
    """The number of shards of a batch."""
    return min(max(rows // _SHARD, 1), _MOST_SHARDS)


@serial
def _activate(y, bias, first, threshold, scale, key, of_column):  # type: ignore[no-untyped-def]
    """Y = dropout(relu(y + bias)), the rows of y being those of the batch from `first` on."""
    rows, columns = y.shape
    for i in range(rows):
        row, of_row = y[i], hash_row(key, first + i)
        for j in range(columns):
            value = row[j] + bias[j]
            keep = (not value <= 0) & (  # NaN is kept
                random_number(of_row, of_column[j]) >= threshold
            )
            row[j] = value * scale if keep else np.float32(0)


@serial
def _relu(y, bias):  # type: ignore[no-untyped-def]
    """`_activate` without dropout."""
    rows, columns = y.shape
    for i in range(rows):
        row = y[i]
        for j in range(columns):
            value = row[j] + bias[j]
            row[j] = np.float32(0) if value <= 0 else value


@serial
def _deactivate(grad, y, scale, of_bias):  # type: ignore[no-untyped-def]
    """The gradient of the sum before `_activate`, in place of that of its result; adds its sum over
    rows to of_bias. A result is zero exactly where ReLU was inactive or the element dropped.
    """
    rows, columns = y.shape
    for i in range(rows):
        row, out = grad[i], y[i]
        for j in range(columns):
            value = row[j] * scale if not out[j] <= 0 else np.float32(0)
            row[j] = value
            of_bias[j] += value


@serial
def _add_row(y, row):  # type: ignore[no-untyped-def]
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += row[j]


@serial
def _sum_rows(x, total):  # type: ignore[no-untyped-def]
    total[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total[j] += x[i, j]


@serial
def _sum_shards(parts):  # type: ignore[no-untyped-def]
    """The first of the parts, (shards, N), becomes their sum."""
    for shard in range(1, parts.shape[0]):
        for i in range(parts.shape[1]):
            parts[0, i] += parts[shard, i]


@parallel
def forward(  # type: ignore[no-untyped-def]
    function, shards, x, ws, biases, ends, a_s, b_s, downs, ys, threshold, scale, keys
):
    """y_l = dropout(relu(y_{l-1} w^T + y_{l-1} a_d^T b_d + bias)) for each layer l, y_0 = x.

    All but the first three, `ends` and the three of dropout are tuples with an array per layer.

    Args:
        function: of the matrix product, see `blas.sgemm_address`.
        shards: see `shards_of`.
        x: inputs, (B, n_in).
        ws: weights, (1, n_out, n_in), or (D, n_in, n_out) for one matrix per domain, transposed.
        biases: (1, n_out) or (D, n_out).
        ends: (D,).
        a_s: (D, R, n_in); with R = 0 there is no low-rank product.
        b_s: (D, R + 1, n_out), of which the last row is not read.
        downs: filled with y_{l-1} a_d^T, (B, R).
        ys: filled, (B, n_out).
        threshold: see `compiled.dropout`; 0 drops nothing.
        scale: of kept elements.
        keys: (L, 2), see `compiled.dropout`.
    """
    rows = x.shape[0]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        for layer in range(len(ws)):
            w, bias, a, b = ws[layer], biases[layer], a_s[layer], b_s[layer]
            down, y, key = downs[layer], ys[layer], keys[layer]
            before = x if layer == 0 else ys[layer - 1]
            rank, columns = down.shape[1], y.shape[1]
            of_column = hash_columns(key, columns)
            if w.shape[0] == 1:
                times_transposed(function, before[first:last], w[0], y[first:last], 0)
            for d in range(ends.size):
                lo, hi = max(first, ends[d - 1] if d > 0 else 0), min(last, ends[d])
                if hi <= lo:
                    continue
                xs, to = before[lo:hi], y[lo:hi]
                if w.shape[0] > 1:
                    times(function, xs, w[d], to, 0)
                if rank > 0:
                    times_transposed(function, xs, a[d], down[lo:hi], 0)
                    times(function, down[lo:hi], b[d, :rank], to, 1)
                own = bias[d if bias.shape[0] > 1 else 0]
                if threshold > 0:
                    _activate(to, own, lo, threshold, scale, key, of_column)
                else:
                    _relu(to, own)


@parallel
def backward(  # type: ignore[no-untyped-def] # noqa: D417
    function, shards, x, ws, ends, a_s, b_s, downs, of_downs, ys, scale, grads, of_x, of_ws,
    of_biases, of_as, of_bs,
):  # fmt: skip
    """The gradients of `forward`, of whose arguments the first ones are.

    Args:
        of_downs: filled with the gradients of `downs`, (B, R).
        grads: (B, n_out); that of the last y, and buffers for the others. Become those of the sums
            before ReLU.
        of_x: filled, (B, n_in).
        of_ws: of (shards, 1, n_out, n_in) or (shards, D, n_in, n_out), the first shard's filled
            with the gradient and the others with parts of it; with 0 shards W is frozen.
        of_biases: likewise, (shards, 1 or D, n_out).
        of_as: filled, (D, R, n_in).
        of_bs: filled but for the last row of each domain, (D, R + 1, n_out).
    """
    rows = x.shape[0]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        for layer in range(len(ws) - 1, -1, -1):
            w, a, b, y, grad = ws[layer], a_s[layer], b_s[layer], ys[layer], grads[layer]
            before = x if layer == 0 else ys[layer - 1]
            to = of_x if layer == 0 else grads[layer - 1]
            of_w, of_bias, rank = of_ws[layer], of_biases[layer], downs[layer].shape[1]
            of_bias[shard] = 0
            for d in range(ends.size):
                lo, hi = max(first, ends[d - 1] if d > 0 else 0), min(last, ends[d])
                _deactivate(
                    grad[lo:hi], y[lo:hi], scale, of_bias[shard, d if of_bias.shape[1] > 1 else 0]
                )
            if w.shape[0] == 1:
                times(function, grad[first:last], w[0], to[first:last], 0)
                if of_w.shape[0] > 0:
                    transposed_times(
                        function, grad[first:last], before[first:last], of_w[shard, 0], 0
                    )
            for d in range(ends.size):
                lo, hi = max(first, ends[d - 1] if d > 0 else 0), min(last, ends[d])
                if w.shape[0] > 1 and hi <= lo:
                    of_w[shard, d] = 0
                if hi <= lo:
                    continue
                gs, xs = grad[lo:hi], to[lo:hi]
                if w.shape[0] > 1:
                    times_transposed(function, gs, w[d], xs, 0)
                    transposed_times(function, before[lo:hi], gs, of_w[shard, d], 0)
                if rank > 0:
                    of_down = of_downs[layer][lo:hi]
                    times_transposed(function, gs, b[d, :rank], of_down, 0)
                    times(function, of_down, a[d], xs, 1)
    for layer in range(len(ws)):
        _sum_shards(of_ws[layer].reshape(of_ws[layer].shape[0], -1))
        _sum_shards(of_biases[layer].reshape(shards, -1))
    for number in numba.prange(ends.size * len(ws)):
        layer, d = number % len(ws), number // len(ws)
        lo, hi, rank = ends[d - 1] if d > 0 else 0, ends[d], downs[layer].shape[1]
        before = x if layer == 0 else ys[layer - 1]
        if rank > 0 and hi > lo:
            transposed_times(function, of_downs[layer][lo:hi], before[lo:hi], of_as[layer][d], 0)
            transposed_times(
                function, downs[layer][lo:hi], grads[layer][lo:hi], of_bs[layer][d, :rank], 0
            )
        elif rank > 0:
            of_as[layer][d] = 0
            of_bs[layer][d, :rank] = 0


@parallel
def linear(function, shards, x, w, bias, y):  # type: ignore[no-untyped-def]
    """Y = x w^T + bias; x (B, n_in), w (n_out, n_in), bias (n_out,) or empty, y (B, n_out)."""
    rows = x.shape[0]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        times_transposed(function, x[first:last], w, y[first:last], 0)
        if bias.size > 0:
            _add_row(y[first:last], bias)


@parallel
def linear_backward(function, shards, x, w, grad, of_x, of_w, of_bias):  # type: ignore[no-untyped-def]
    """The gradients of `linear`: of_x (B, n_in), or empty if it is not needed; of_w and of_bias as
    `backward` has them, (shards, n_out, n_in) and (shards, n_out).
    """
    rows = x.shape[0]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        if of_x.size > 0:
            times(function, grad[first:last], w, of_x[first:last], 0)
        transposed_times(function, grad[first:last], x[first:last], of_w[shard], 0)
        if of_bias.size > 0:
            _sum_rows(grad[first:last], of_bias[shard])
    _sum_shards(of_w.reshape(shards, -1))
    if of_bias.size > 0:
        _sum_shards(of_bias)
