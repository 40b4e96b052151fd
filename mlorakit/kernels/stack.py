"""An MLP's layers, each ReLU and dropout of a shared map plus a low-rank map per domain.

MLoRA (arXiv 2408.08913) adds x A_d B_d + c_d to each layer. On a CPU all layers are one autograd
step, and forward and backward are one call of compiled code each, see `dense`.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels import dense
from mlorakit.kernels.blas import sgemm_address
from mlorakit.kernels.compiled import array_of
from mlorakit.kernels.dropout import draw_keys, keep_mask_reference, threshold_and_scale
from mlorakit.kernels.grouped_lora import grouped_lora_reference
from mlorakit.kernels.groups import DomainGroups

_NOTHING = np.empty((0, 0, 0), np.float32)

# Of a multiplication with merged weights, in those of low-rank products. With 21 domains 1.5 to 4
# take the same time, 1 and less a tenth more.
_MERGED_COST = 2.0


class StackLayer(NamedTuple):
    """The weights of one layer.

    Args:
        weight: W of shape (n_out, n_in).
        bias: shared by the domains, of shape (n_out,).
        a: A of every domain, of shape (D, R, n_in), or None.
        b: B of every domain and, as their last row, the domain's bias c, of shape
            (D, R + 1, n_out); None in a plain layer.
    """

    weight: Tensor
    bias: Tensor
    a: Tensor | None = None
    b: Tensor | None = None

    def merges(self, rows: int) -> bool:
        """Whether a batch costs less with a matrix W^T + A_d B_d per domain than with low-rank
        products: the former need as many multiplications per domain as the latter per row.
        """
        if self.a is None or len(self.a) == 1:
            return False
        n_out, n_in = self.weight.shape
        return _MERGED_COST * len(self.a) * n_out * n_in < rows * (n_out + n_in)


def dense_stack_reference(
    x: Tensor, layers: list[StackLayer], groups: DomainGroups, p: float, keys: Any = None
) -> Tensor:
    """The plain form of `dense_stack`, on any device and in any precision, with given keys."""
    for number, layer in enumerate(layers):
        h = x @ layer.weight.t() + layer.bias
        if layer.b is not None:
            h = h + grouped_lora_reference(x, layer.a, layer.b, groups)
        x = torch.relu(h)
        if p > 0:
            keep = keep_mask_reference(len(x), x.shape[1], p, keys[number])
            x = torch.where(keep.to(x.device), x / (1 - p), 0)
    return x


def dense_stack(x: Tensor, layers: list[StackLayer], groups: DomainGroups, p: float) -> Tensor:
    """Layers one after the other on a CPU, in float32.

    Args:
        x: inputs of shape (B, n_in), rows sorted by domain.
        layers: first to last.
        groups: where each domain's rows lie.
        p: dropout probability; 0 outside training.

    Returns:
        Tensor of shape (B, n_out).
    """
    tensors = [t for layer in layers for t in (layer.weight, layer.bias, layer.a, layer.b)]
    return _Stack.apply(x, groups, p, *tensors)


class Passed(NamedTuple):
    """What a forward pass leaves to the backward pass; arrays, or tuples of one per layer, as
    `dense.forward` has them.
    """

    x: Any
    ws: tuple[Any, ...]
    ends: Any
    a_s: tuple[Any, ...]
    b_s: tuple[Any, ...]
    merged: tuple[Any, ...]
    downs: tuple[Any, ...]
    ys: tuple[Any, ...]
    scale: Any


def stack_forward(x: Tensor, layers: list[StackLayer], groups: DomainGroups, p: float) -> Passed:
    """`dense_stack` without autograd; its result is the last of `ys`."""
    rows, merge = len(x), [layer.merges(len(x)) for layer in layers]
    ws = tuple(array_of(layer.weight.contiguous()) for layer in layers)
    biases = tuple(array_of(layer.bias) for layer in layers)
    a_s, b_s = (
        tuple(_NOTHING if t is None else array_of(t.contiguous()) for t in tensors)
        for tensors in ([layer.a for layer in layers], [layer.b for layer in layers])
    )
    merged = tuple(
        np.empty((len(a), w.shape[1], w.shape[0]), np.float32) if chosen else _NOTHING
        for a, w, chosen in zip(a_s, ws, merge, strict=True)
    )
    sums = tuple(np.empty((b.shape[0], b.shape[2]), np.float32) for b in b_s)
    downs = tuple(
        np.empty((rows, 0 if chosen else a.shape[1]), np.float32)
        for a, chosen in zip(a_s, merge, strict=True)
    )
    ys = tuple(np.empty((rows, w.shape[0]), np.float32) for w in ws)
    keys = draw_keys(len(layers)) if p > 0 else np.zeros((len(layers), 2), np.uint32)
    threshold, scale = threshold_and_scale(p)
    inputs, ends = array_of(x.contiguous()), array_of(groups.ends)
    dense.forward(
        sgemm_address(), dense.shards_of(rows), inputs, ws, biases, ends, a_s, b_s, merged, sums,
        downs, ys, threshold, scale, keys,
    )  # fmt: skip
    return Passed(inputs, ws, ends, a_s, b_s, merged, downs, ys, scale)


def stack_backward(
    passed: Passed, trained: list[bool], last: Any
) -> tuple[Tensor, list[tuple[Tensor | None, ...]]]:
    """The gradients of `stack_forward`.

    Args:
        passed: what it returned.
        trained: whether each layer's shared weight is.
        last: gradient of its result; changed.

    Returns:
        That of x, and those of each layer's weight, bias, a and b.
    """
    x, ws, ends, a_s, b_s, merged, downs, ys, scale = passed
    shards = dense.shards_of(len(x))
    of_ws = tuple(
        np.empty((1 if len(m) else shards if t else 0, *w.shape), np.float32)
        for w, m, t in zip(ws, merged, trained, strict=True)
    )
    of_merged = tuple(np.empty((shards, *m.shape), np.float32) for m in merged)
    of_sums = tuple(
        np.empty((shards, max(len(b), 1), len(w)), np.float32) for b, w in zip(b_s, ws, strict=True)
    )
    of_biases = tuple(np.empty(len(w), np.float32) for w in ws)
    of_x, of_as, of_bs = np.empty_like(x), *(tuple(map(np.empty_like, s)) for s in (a_s, b_s))
    dense.backward(
        sgemm_address(), shards, x, ws, ends, a_s, b_s, merged, downs,
        tuple(map(np.empty_like, downs)), ys, scale, (*map(np.empty_like, ys[:-1]), last), of_x,
        of_ws, of_merged, of_sums, of_biases, of_as, of_bs,
    )  # fmt: skip
    gradients: list[tuple[Tensor | None, ...]] = [
        (
            torch.from_numpy(of_w[0]) if len(of_w) else None,
            torch.from_numpy(of_bias),
            torch.from_numpy(of_a) if of_a.size else None,
            torch.from_numpy(of_b) if of_b.size else None,
        )
        for of_w, of_bias, of_a, of_b in zip(of_ws, of_biases, of_as, of_bs, strict=True)
    ]
    return torch.from_numpy(of_x), gradients


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: DomainGroups, p: float, *tensors: Tensor) -> Tensor:
        ctx.passed = stack_forward(x, _layers(tensors), groups, p)
        y = torch.from_numpy(ctx.passed.ys[-1])
        ctx.save_for_backward(y, *tensors)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors  # says if a tensor was changed in place since
        last = grad.clone(memory_format=torch.contiguous_format).numpy()
        trained = list(ctx.needs_input_grad[3::4])
        of_x, of_layers = stack_backward(ctx.passed, trained, last)
        return (of_x, None, None, *(gradient for layer in of_layers for gradient in layer))


def _layers(tensors: Any) -> list[StackLayer]:
    return [StackLayer(*tensors[i : i + 4]) for i in range(0, len(tensors), 4)]
