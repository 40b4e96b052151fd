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

# What a multiplication with merged weights costs in those of low-rank products, and what the passes
# over the merged matrices cost beside it, in the same. Of 96 sizes on two cores the other way would
# be a sixth faster in one, and at most a twelfth in the others.
_MERGED_COST, _MERGED_PASSES = 1.5, 16.0


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
        products. Per rank, the former need n_in n_out multiplications for each domain and the
        latter n_in + n_out for each row.
        """
        if self.a is None or len(self.a) == 1:
            return False
        domains, rank, n_in = self.a.shape
        n_out = len(self.weight)
        cost = _MERGED_COST + _MERGED_PASSES / rank
        return cost * domains * n_in * n_out < rows * (n_in + n_out)


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
    ends: Any
    merged: tuple[Any, ...]
    downs: tuple[Any, ...]
    ys: tuple[Any, ...]
    scale: Any


class _Gradients(NamedTuple):
    """Memory of a backward pass: what `dense.backward` fills, and each layer's gradients of weight,
    bias, a and b on it.
    """

    of_ws: tuple[Any, ...]
    of_ws_parts: tuple[Any, ...]
    of_merged: tuple[Any, ...]
    of_biases: tuple[Any, ...]
    of_as: tuple[Any, ...]
    of_bs: tuple[Any, ...]
    found: list[tuple[Tensor | None, ...]]


class Stack:
    """`dense_stack` without autograd, for one pass after another.

    Args:
        layers: first to last. Their tensors' memory is read in each pass, so that weights that
            change in place are seen.
        trained: whether each layer's shared weight is; else it gets no gradient.
        overwrites: whether a backward pass puts its gradients where the one before did, which
            spares the time to lay them out anew.
    """

    def __init__(self, layers: list[StackLayer], trained: list[bool], overwrites: bool) -> None:
        self._layers, self._trained, self._overwrites = layers, trained, overwrites
        self._ws = tuple(array_of(layer.weight.contiguous()) for layer in layers)
        self._biases = tuple(array_of(layer.bias) for layer in layers)
        self._a_s, self._b_s = (
            tuple(_NOTHING if t is None else array_of(t.contiguous()) for t in tensors)
            for tensors in ([layer.a for layer in layers], [layer.b for layer in layers])
        )
        self._merges: dict[int, tuple[bool, ...]] = {}  # by rows
        self._gradients: dict[tuple[int, tuple[bool, ...]], _Gradients] = {}  # by shards, merges

    def forward(self, x: Tensor, groups: DomainGroups, p: float) -> Passed:
        """Arguments are those of `dense_stack`; the result is the last of `ys`."""
        rows, merges = len(x), self._merges_of(len(x))
        merged = tuple(
            np.empty((len(a), *w.T.shape), np.float32) if chosen else _NOTHING
            for a, w, chosen in zip(self._a_s, self._ws, merges, strict=True)
        )
        sums = tuple(np.empty((b.shape[0], b.shape[2]), np.float32) for b in self._b_s)
        downs = tuple(
            np.empty((rows, 0 if chosen else a.shape[1]), np.float32)
            for a, chosen in zip(self._a_s, merges, strict=True)
        )
        ys = tuple(np.empty((rows, w.shape[0]), np.float32) for w in self._ws)
        keys = draw_keys(len(ys)) if p > 0 else np.zeros((len(ys), 2), np.uint32)
        threshold, scale = threshold_and_scale(p)
        inputs, ends = array_of(x.contiguous()), array_of(groups.ends)
        dense.forward(
            sgemm_address(), dense.shards_of(rows), inputs, self._ws, self._biases, ends,
            self._a_s, self._b_s, merged, sums, downs, ys, threshold, scale, keys,
        )  # fmt: skip
        return Passed(inputs, ends, merged, downs, ys, scale)

    def backward(self, passed: Passed, last: Any) -> tuple[Tensor, list[tuple[Tensor | None, ...]]]:
        """The gradients of `forward`.

        Args:
            passed: what it returned.
            last: gradient of its result; changed.

        Returns:
            That of x, and those of each layer's weight, bias, a and b.
        """
        x, ends, merged, downs, ys, scale = passed
        shards, merges, of_x = dense.shards_of(len(x)), self._merges_of(len(x)), np.empty_like(x)
        gradients = self._gradients.get((shards, merges))
        if gradients is None:
            gradients = self._make_gradients(shards, merges)
            if self._overwrites:
                self._gradients[shards, merges] = gradients
        dense.backward(
            sgemm_address(), shards, x, self._ws, ends, self._a_s, self._b_s, merged, downs,
            tuple(map(np.empty_like, downs)), ys, scale, (*map(np.empty_like, ys[:-1]), last),
            of_x, *gradients[:-1],
        )  # fmt: skip
        return torch.from_numpy(of_x), gradients.found

    def _merges_of(self, rows: int) -> tuple[bool, ...]:
        if rows not in self._merges:
            self._merges[rows] = tuple(layer.merges(rows) for layer in self._layers)
        return self._merges[rows]

    def _make_gradients(self, shards: int, merges: tuple[bool, ...]) -> _Gradients:
        def parts(shape: tuple[int, ...]) -> Any:
            """Of a domain's own weights, see `dense.backward`."""
            domains = shape[0]
            return np.empty((domains + shards - 1 if domains else 0, *shape[1:]), np.float32)

        of_ws_parts = tuple(
            np.empty((shards if trained else 0, *(w.T if chosen else w).shape), np.float32)
            for w, chosen, trained in zip(self._ws, merges, self._trained, strict=True)
        )
        of_ws = tuple(
            np.empty_like(w if len(of_w) else w[:0]) if chosen else of_w[:1].reshape(-1, w.shape[1])
            for w, chosen, of_w in zip(self._ws, merges, of_ws_parts, strict=True)
        )
        of_biases = tuple(np.empty((shards, *bias.shape), np.float32) for bias in self._biases)
        of_as, of_bs = (tuple(parts(own.shape) for own in s) for s in (self._a_s, self._b_s))
        of_merged = tuple(
            parts((len(a), *w.T.shape)) if chosen else _NOTHING
            for a, w, chosen in zip(self._a_s, self._ws, merges, strict=True)
        )
        found = []
        for of_w, of_bias, *of_own in zip(of_ws, of_biases, of_as, of_bs, strict=True):
            owns = (of[: len(of) - shards + 1] if len(of) else None for of in of_own)
            arrays = (of_w if len(of_w) else None, of_bias[0], *owns)
            found.append(tuple(None if of is None else torch.from_numpy(of) for of in arrays))
        return _Gradients(of_ws, of_ws_parts, of_merged, of_biases, of_as, of_bs, found)


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: DomainGroups, p: float, *tensors: Tensor) -> Tensor:
        trained = list(ctx.needs_input_grad[3::4])
        ctx.stack = Stack(_layers(tensors), trained, overwrites=False)
        ctx.passed = ctx.stack.forward(x, groups, p)
        y = torch.from_numpy(ctx.passed.ys[-1])
        ctx.save_for_backward(y, *tensors)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors  # says if a tensor was changed in place since
        last = grad.clone(memory_format=torch.contiguous_format).numpy()
        of_x, of_layers = ctx.stack.backward(ctx.passed, last)
        return (of_x, None, None, *(gradient for layer in of_layers for gradient in layer))


def _layers(tensors: Any) -> list[StackLayer]:
    return [StackLayer(*tensors[i : i + 4]) for i in range(0, len(tensors), 4)]
