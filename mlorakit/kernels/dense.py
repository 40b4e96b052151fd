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
from mlorakit.kernels.sums import add, add_row, clear, sum_rows, sum_shards

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
def _merge(function, w, a, b, merged):  # type: ignore[no-untyped-def]
    """Fills w^T + a^T b of a domain; w (n_out, n_in), a (R, n_in), b (R, n_out)."""
    for i in range(merged.shape[0]):
        for o in range(merged.shape[1]):
            merged[i, o] = w[o, i]
    transposed_times(function, a, b, merged, 1)


@parallel
def forward(  # type: ignore[no-untyped-def]
    function, shards, x, ws, biases, ends, a_s, b_s, merged, sums, downs, ys, threshold, scale, keys
):
    """y_l = dropout(relu(y_{l-1} w^T + y_{l-1} a_d^T b_d + bias + c_d)) for each layer l, y_0 = x.

    All but the first three, `ends` and the three of dropout are tuples with an array per layer.

    Args:
        function: of the matrix product, see `blas.sgemm_address`.
        shards: see `shards_of`.
        x: inputs, (B, n_in).
        ws: (n_out, n_in).
        biases: (n_out,).
        ends: (D,).
        a_s: (D, R, n_in); empty in layers without a low-rank term.
        b_s: (D, R + 1, n_out), the last row of each domain c_d; empty in plain layers.
        merged: filled with w^T + a_d^T b_d, (D, n_in, n_out), where the products are taken with it;
            else empty. Transposed, because inputs are the shorter side of the first layer, and
            products are slow whose rows are short.
        sums: filled with bias + c_d, (D, n_out); empty in plain layers.
        downs: filled with y_{l-1} a_d^T, (B, R); (B, 0) where there is no low-rank product.
        ys: filled, (B, n_out).
        threshold: see `compiled.dropout`; 0 drops nothing.
        scale: of kept elements.
        keys: (L, 2), see `compiled.dropout`.
    """
    rows, adapted = x.shape[0], 0
    for layer in range(len(ws)):
        adapted = max(adapted, sums[layer].shape[0])
    if adapted > 0:
        for number in numba.prange(adapted * len(ws)):
            layer, d = number % len(ws), number // len(ws)
            a, b = a_s[layer], b_s[layer]
            if merged[layer].shape[0] > 0:
                _merge(function, ws[layer], a[d], b[d, : a.shape[1]], merged[layer][d])
            if sums[layer].shape[0] > 0:
                own = b[d, b.shape[1] - 1]
                for j in range(own.size):
                    sums[layer][d, j] = biases[layer][j] + own[j]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        for layer in range(len(ws)):
            w, a, b, own, total = ws[layer], a_s[layer], b_s[layer], merged[layer], sums[layer]
            down, y, key = downs[layer], ys[layer], keys[layer]
            before = x if layer == 0 else ys[layer - 1]
            rank, columns = down.shape[1], y.shape[1]
            of_column = hash_columns(key, columns)
            if own.shape[0] == 0:
                times_transposed(function, before[first:last], w, y[first:last], 0)
            for d in range(ends.size):
                lo, hi = max(first, ends[d - 1] if d > 0 else 0), min(last, ends[d])
                if hi <= lo:
                    continue
                xs, to = before[lo:hi], y[lo:hi]
                if own.shape[0] > 0:
                    times(function, xs, own[d], to, 0)
                if rank > 0:
                    times_transposed(function, xs, a[d], down[lo:hi], 0)
                    times(function, down[lo:hi], b[d, :rank], to, 1)
                bias = total[d] if total.shape[0] > 0 else biases[layer]
                if threshold > 0:
                    _activate(to, bias, lo, threshold, scale, key, of_column)
                else:
                    _relu(to, bias)


@serial
def _segment(first, ends, d, shard):  # type: ignore[no-untyped-def]
    """Where the gradients of domain d's own weights from the rows of a shard, which begins with row
    `first`, lie: at d, or, if the domain began in an earlier shard, after all domains.
    """
    start = ends[d - 1] if d > 0 else 0
    return ends.size + shard - 1 if start < first else d


@parallel
def backward(  # type: ignore[no-untyped-def] # noqa: D417
    function, shards, x, ws, ends, a_s, b_s, merged, downs, of_downs, ys, scale, grads, of_x, of_ws,
    of_ws_parts, of_merged, of_biases, of_as, of_bs,
):  # fmt: skip
    """The gradients of `forward`, of whose arguments the first ones are.

    Those of a domain's own weights have D + shards - 1 matrices in place of D, see `_segment`; the
    first D are filled with the gradients.

    Args:
        of_downs: filled with the gradients of `downs`, (B, R).
        grads: (B, n_out); that of the last y, and buffers for the others. Become those of the sums
            before ReLU.
        of_x: filled, (B, n_in).
        of_ws: filled where weights are merged, (n_out, n_in), or empty if W is frozen.
        of_ws_parts: of (shards, n_out, n_in), the first filled with the gradient of W and the
            others with parts of it; buffers of (shards, n_in, n_out) where weights are merged;
            with 0 shards W is frozen.
        of_merged: buffers for the gradients of `merged`, (D + shards - 1, n_in, n_out).
        of_biases: of (shards, n_out), the first filled with the gradient.
        of_as: (D + shards - 1, R, n_in).
        of_bs: (D + shards - 1, R + 1, n_out).
    """
    rows, adapted = x.shape[0], 0
    for layer in range(len(ws)):
        adapted = max(adapted, b_s[layer].shape[0])
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        for layer in range(len(ws) - 1, -1, -1):
            w, a, b, own = ws[layer], a_s[layer], b_s[layer], merged[layer]
            y, grad, of_w, of_bias = (
                ys[layer],
                grads[layer],
                of_ws_parts[layer],
                of_biases[layer][shard],
            )
            before = x if layer == 0 else ys[layer - 1]
            to = of_x if layer == 0 else grads[layer - 1]
            rank, of_b = downs[layer].shape[1], of_bs[layer]
            clear(of_bias)
            if of_b.shape[0] == 0:
                _deactivate(grad[first:last], y[first:last], scale, of_bias)
            else:
                for d in range(ends.size):
                    lo, hi = max(first, ends[d - 1] if d > 0 else 0), min(last, ends[d])
                    if hi > lo:
                        of_own = of_b[_segment(first, ends, d, shard), b.shape[1] - 1]
                        clear(of_own)
                        _deactivate(grad[lo:hi], y[lo:hi], scale, of_own)
                        for j in range(of_own.size):
                            of_bias[j] += of_own[j]
            if own.shape[0] == 0:
                times(function, grad[first:last], w, to[first:last], 0)
                if of_w.shape[0] > 0:
                    transposed_times(function, grad[first:last], before[first:last], of_w[shard], 0)
            elif of_w.shape[0] > 0:
                clear(of_w[shard])
            if own.shape[0] > 0 or rank > 0:
                for d in range(ends.size):
                    lo, hi = max(first, ends[d - 1] if d > 0 else 0), min(last, ends[d])
                    if hi <= lo:
                        continue
                    gs, xs, place = grad[lo:hi], to[lo:hi], _segment(first, ends, d, shard)
                    if own.shape[0] > 0:
                        of_own = of_merged[layer][place]
                        times_transposed(function, gs, own[d], xs, 0)
                        transposed_times(function, before[lo:hi], gs, of_own, 0)
                        if of_w.shape[0] > 0:
                            add(of_w[shard], of_own)
                    else:
                        of_down = of_downs[layer][lo:hi]
                        times_transposed(function, gs, b[d, :rank], of_down, 0)
                        times(function, of_down, a[d], xs, 1)
                        transposed_times(function, of_down, before[lo:hi], of_as[layer][place], 0)
                        transposed_times(function, downs[layer][lo:hi], gs, of_b[place, :rank], 0)
    if adapted > 0:
        for number in numba.prange(adapted * len(ws)):
            layer, d = number % len(ws), number // len(ws)
            a, b, of_a, of_b = a_s[layer], b_s[layer], of_as[layer], of_bs[layer]
            lo, hi, rank = ends[d - 1] if d > 0 else 0, ends[d], a.shape[1]
            own = of_merged[layer]
            if b.shape[0] > 0 and hi <= lo:
                clear(of_b[d])
                if rank > 0:
                    clear(of_a[d])
            elif b.shape[0] > 0:
                for shard in range(1, shards):
                    if lo < rows * shard // shards < hi:
                        place = ends.size + shard - 1
                        if own.shape[0] > 0:
                            add(own[d], own[place])
                            add(of_b[d, rank:], of_b[place, rank:])
                        else:
                            add(of_b[d], of_b[place])
                            if rank > 0:
                                add(of_a[d], of_a[place])
                if own.shape[0] > 0:
                    times_transposed(function, b[d, :rank], own[d], of_a[d], 0)
                    times(function, a[d], own[d], of_b[d, :rank], 0)
    for layer in range(len(ws)):
        parts, of_w = of_ws_parts[layer], of_ws[layer]
        sum_shards(parts.reshape(parts.shape[0], -1))
        sum_shards(of_biases[layer])
        if merged[layer].shape[0] > 0:
            for o in range(of_w.shape[0]):
                for i in range(of_w.shape[1]):
                    of_w[o, i] = parts[0, i, o]


@parallel
def linear(function, shards, x, w, bias, y):  # type: ignore[no-untyped-def]
    """Y = x w^T + bias; x (B, n_in), w (n_out, n_in), bias (n_out,) or empty, y (B, n_out)."""
    rows = x.shape[0]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        times_transposed(function, x[first:last], w, y[first:last], 0)
        if bias.size > 0:
            add_row(y[first:last], bias)


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
            sum_rows(grad[first:last], of_bias[shard])
    sum_shards(of_w.reshape(shards, -1))
    if of_bias.size > 0:
        sum_shards(of_bias)
