"""The logit of a CTR model from its parts, in one pass over a batch.

The head's map, the linear model of the ids and the sum of all are a dozen small operations of
PyTorch with their gradients, which together take as long as a layer of the MLP.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.dense import shards_of
from mlorakit.kernels.jit import parallel, serial
from mlorakit.kernels.lookup import lookup, refuse_places
from mlorakit.kernels.sums import sum_shards

_NO_TABLE = np.empty(0, np.float32), np.empty((0, 0), np.int64), np.empty(0, np.int64)
_NO_EXTRA = np.empty(0, np.float32)


@serial
def _add_products(x, w, out):  # type: ignore[no-untyped-def]
    """out[i] += <x[i], w>."""
    for i in range(x.shape[0]):
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += x[i, j] * w[j]
        out[i] += total


@serial
def _add_products_backward(x, w, grad, of_x, of_w):  # type: ignore[no-untyped-def]
    """Fills of_x and adds to of_w the gradients of `_add_products`."""
    for i in range(x.shape[0]):
        g, row, of_row = grad[i], x[i], of_x[i]
        for j in range(row.size):
            of_row[j] = g * w[j]
        for j in range(row.size):
            of_w[j] += g * row[j]


@parallel
def _forward(shards, features, deep, w, bias, extra, table, ids, offsets, out):  # type: ignore[no-untyped-def]
    """Fills out, (B,); False where a place lies outside the table. Without a table or extra logits
    their arrays are empty.
    """
    rows, wide = out.size, features.shape[1]
    outside = np.zeros(shards, np.bool_)
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        for i in range(first, last):
            out[i] = bias[0] + (extra[i] if extra.size > 0 else np.float32(0))
            for f in range(ids.shape[1]):
                place = ids[i, f] + offsets[f]
                if place < 0 or place >= table.size:
                    outside[shard] = True
                else:
                    out[i] += table[place]
        _add_products(features[first:last], w[:wide], out[first:last])
        _add_products(deep[first:last], w[wide:], out[first:last])
    return not outside.any()


@parallel
def _backward(  # type: ignore[no-untyped-def]
    shards, features, deep, w, grad, ids, offsets, of_features, of_deep, of_ws, of_bias, of_table
):
    """Fills the gradients; of_ws is of (shards, N), the first of which becomes their sum."""
    rows, wide = grad.size, features.shape[1]
    for shard in numba.prange(shards):
        first, last = rows * shard // shards, rows * (shard + 1) // shards
        # A sum of its own: in that of all shards two threads would write side by side.
        own, of_w = grad[first:last], np.zeros(w.size, np.float32)
        _add_products_backward(
            features[first:last], w[:wide], own, of_features[first:last], of_w[:wide]
        )
        _add_products_backward(deep[first:last], w[wide:], own, of_deep[first:last], of_w[wide:])
        of_ws[shard] = of_w
    sum_shards(of_ws)
    total = np.float32(0)
    for i in range(rows):
        total += grad[i]
    of_bias[0] = total
    of_table[:] = 0
    for i in range(ids.shape[0]):
        for f in range(ids.shape[1]):
            of_table[ids[i, f] + offsets[f]] += grad[i]


class Parts(NamedTuple):
    """What a logit was made of, for its gradients."""

    features: Any
    deep: Any
    w: Any
    ids: Any
    offsets: Any
    shards: int
    weight_shape: tuple[int, ...]
    table_shape: tuple[int, ...] | None


def logit_forward(
    features: Tensor | None,
    deep: Any,
    weight: Tensor,
    bias: Tensor,
    extra: Tensor | None,
    table: Tensor | None,
    offsets: Tensor | None,
    ids: Tensor,
) -> tuple[Any, Parts]:
    """`logit` without autograd; deep and the result are arrays."""
    out = np.empty(len(deep), np.float32)
    wide = np.empty((len(deep), 0), np.float32)
    if features is not None:
        wide = array_of(features.contiguous())
    more = _NO_EXTRA if extra is None else array_of(extra.contiguous())
    linear, shape = _NO_TABLE, None
    if table is not None and offsets is not None:
        linear = array_of(table.contiguous()).reshape(-1), array_of(ids), array_of(offsets)
        shape = table.shape
    w, shards = array_of(weight.contiguous()).reshape(-1), shards_of(len(deep))
    if not _forward(shards, wide, deep, w, array_of(bias), more, *linear, out):
        refuse_places(torch.from_numpy(linear[1] + linear[2]), linear[0].size)
    return out, Parts(wide, deep, w, *linear[1:], shards, weight.shape, shape)


def logit_backward(parts: Parts, grad: Any) -> tuple[Any, Any, Tensor, Tensor, Tensor | None]:
    """The gradients of features and deep, as arrays, and of weight, bias and table."""
    features, deep, w, ids, offsets, shards, weight_shape, table_shape = parts
    of_features, of_deep = np.empty_like(features), np.empty_like(deep)
    of_ws, of_bias = np.empty((shards, w.size), np.float32), np.empty(1, np.float32)
    of_table = np.empty(0 if table_shape is None else table_shape[0], np.float32)
    _backward(
        shards, features, deep, w, grad, ids, offsets, of_features, of_deep, of_ws, of_bias,
        of_table,
    )  # fmt: skip
    return (
        of_features,
        of_deep,
        torch.from_numpy(of_ws[0].reshape(weight_shape)),
        torch.from_numpy(of_bias),
        None if table_shape is None else torch.from_numpy(of_table.reshape(table_shape)),
    )


class _Logit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor | None, deep: Tensor, *others: Any) -> Tensor:
        out, ctx.parts = logit_forward(features, array_of(deep.contiguous()), *others)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        of_features, of_deep, of_weight, of_bias, of_table = logit_backward(
            ctx.parts, array_of(grad.contiguous())
        )
        needed = ctx.needs_input_grad
        return (
            torch.from_numpy(of_features) if needed[0] else None,
            torch.from_numpy(of_deep),
            of_weight,
            of_bias,
            grad if needed[4] else None,
            of_table,
            None,
            None,
        )


def logit_reference(
    features: Tensor | None,
    deep: Tensor,
    weight: Tensor,
    bias: Tensor,
    extra: Tensor | None,
    table: Tensor | None,
    offsets: Tensor | None,
    ids: Tensor,
) -> Tensor:
    """The plain form of `logit`, on any device and in any precision."""
    joined = deep if features is None else torch.cat((features, deep), 1)
    out = F.linear(joined, weight).squeeze(1) + bias
    if extra is not None:
        out = out + extra
    if table is not None:
        out = out + lookup(table, ids, offsets).sum((1, 2))
    return out


def logit(
    features: Tensor | None,
    deep: Tensor,
    weight: Tensor,
    bias: Tensor,
    extra: Tensor | None,
    table: Tensor | None,
    offsets: Tensor | None,
    ids: Tensor,
) -> Tensor:
    """<(features, deep), w> + bias + extra + the sum of the ids' linear weights, per row.

    Args:
        features: of shape (B, M), or None.
        deep: output of the MLP, of shape (B, N).
        weight: w of shape (1, M + N).
        bias: of shape (1,).
        extra: logits of shape (B,), or None.
        table: linear weights of all fields, of shape (V, 1), or None.
        offsets: where each field begins in the table, of shape (F,).
        ids: integer tensor of shape (B, F), each within its field.

    Returns:
        Tensor of shape (B,).

    Raises:
        IndexError: on a CPU, an id plus its offset is not in the table.
    """
    chosen = _Logit.apply if runs_compiled(deep) else logit_reference
    return chosen(features, deep, weight, bias, extra, table, offsets, ids.contiguous())
