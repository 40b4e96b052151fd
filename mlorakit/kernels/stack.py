"""An MLP's layers, each ReLU and dropout of a shared map plus a low-rank map per domain.

MLoRA (arXiv 2408.08913) adds x A_d B_d + c_d to each layer. On a CPU all layers are one autograd
step, and forward and backward are one call of compiled code each, see `dense`.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mlorakit.kernels import dense, per_domain
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
    weights: tuple[Any, ...]
    ends: Any
    a_s: tuple[Any, ...]
    b_s: tuple[Any, ...]
    downs: tuple[Any, ...]
    ys: tuple[Any, ...]
    scale: Any
    bias_shapes: list[tuple[int, ...]]


def stack_forward(x: Tensor, layers: list[StackLayer], groups: DomainGroups, p: float) -> Passed:
    """`dense_stack` without autograd; its result is the last of `ys`."""
    rows = len(x)
    weights, biases, a_s, b_s = zip(*(_used(layer, rows) for layer in layers), strict=True)
    ys = tuple(np.empty((rows, b.shape[1]), np.float32) for b in biases)
    downs = tuple(np.empty((rows, a.shape[1]), np.float32) for a in a_s)
    keys = draw_keys(len(layers)) if p > 0 else np.zeros((len(layers), 2), np.uint32)
    threshold, scale = threshold_and_scale(p)
    passed = Passed(
        array_of(x.contiguous()), weights, array_of(groups.ends), a_s, b_s, downs, ys, scale,
        [b.shape for b in biases],
    )  # fmt: skip
    dense.forward(
        sgemm_address(), dense.shards_of(rows), passed.x, weights, biases, passed.ends, a_s, b_s,
        downs, ys, threshold, scale, keys,
    )  # fmt: skip
    return passed


def stack_backward(
    passed: Passed, layers: list[StackLayer], trained: list[bool], last: Any
) -> tuple[Tensor, list[tuple[Tensor | None, ...]]]:
    """The gradients of `stack_forward`.

    Args:
        passed: what it returned.
        layers: that it took.
        trained: whether each layer's shared weight is.
        last: gradient of its result; changed.

    Returns:
        That of x, and those of each layer's tensors.
    """
    x, weights, ends, a_s, b_s, downs, ys, scale, bias_shapes = passed
    shards = dense.shards_of(len(x))
    grads = *map(np.empty_like, ys[:-1]), last
    of_x = np.empty_like(x)
    # Frozen shared weights need no gradient, unless it leads to that of A and B.
    of_ws = tuple(
        np.empty((shards if t or layer.merges(len(x)) else 0, *w.shape), np.float32)
        for layer, w, t in zip(layers, weights, trained, strict=True)
    )
    of_biases = tuple(np.empty((shards, *shape), np.float32) for shape in bias_shapes)
    of_as, of_bs = tuple(map(np.empty_like, a_s)), tuple(map(np.empty_like, b_s))
    dense.backward(
        sgemm_address(), shards, x, weights, ends, a_s, b_s, downs,
        tuple(map(np.empty_like, downs)), ys, scale, grads, of_x, of_ws, of_biases, of_as, of_bs,
    )  # fmt: skip
    found = zip(layers, of_ws, of_biases, of_as, of_bs, strict=True)
    return torch.from_numpy(of_x), [_of_layer(*of_one) for of_one in found]


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: DomainGroups, p: float, *tensors: Tensor) -> Tensor:
        ctx.passed = stack_forward(x, _layers(tensors), groups, p)
        y = torch.from_numpy(ctx.passed.ys[-1])
        ctx.save_for_backward(y, *tensors)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, *tensors = ctx.saved_tensors
        last = grad.clone(memory_format=torch.contiguous_format).numpy()
        trained = list(ctx.needs_input_grad[3::4])
        of_x, of_layers = stack_backward(ctx.passed, _layers(tensors), trained, last)
        return (of_x, None, None, *(gradient for layer in of_layers for gradient in layer))


def _used(layer: StackLayer, rows: int) -> tuple[Any, Any, Any, Any]:
    """What `dense.forward` takes of a layer: weights, biases, A and B."""
    weight = array_of(layer.weight.contiguous())[None]
    bias = array_of(layer.bias)[None]
    if layer.b is None:
        return weight, bias, _NOTHING, _NOTHING
    b = layer.b.detach().contiguous()
    bias = bias + b[:, -1].numpy()
    if layer.a is None:
        return weight, bias, _NOTHING, _NOTHING
    a = layer.a.detach().contiguous()
    if layer.merges(rows):
        transposed = np.ascontiguousarray(weight[0].T)
        merged = np.empty((len(a), *transposed.shape), np.float32)
        per_domain.merge(sgemm_address(), transposed, a.numpy(), b.numpy(), merged)
        return merged, bias, _NOTHING, _NOTHING
    return weight, bias, a.numpy(), b.numpy()


def _of_layer(
    layer: StackLayer, of_w: Any, of_biases: Any, of_a: Any, of_b: Any
) -> tuple[Tensor | None, ...]:
    """Gradients of a layer's weight, bias, a and b from what `dense.backward` filled."""
    of_bias = of_biases[0]
    of_shared_bias = torch.from_numpy(of_bias[0] if len(of_bias) == 1 else of_bias.sum(0))
    of_weight = torch.from_numpy(of_w[0, 0]) if len(of_w) else None
    if layer.b is None:
        return of_weight, of_shared_bias, None, None
    if layer.a is None:
        return of_weight, of_shared_bias, None, torch.from_numpy(of_bias[:, None].copy())
    if not of_a.size:  # W^T + A B was used
        of_weight = torch.from_numpy(np.ascontiguousarray(of_w[0].sum(0).T))
        of_a, of_b = (np.empty(t.shape, np.float32) for t in (layer.a, layer.b))
        used = of_w[0], array_of(layer.a.contiguous()), array_of(layer.b.contiguous())
        per_domain.merge_backward(sgemm_address(), *used, of_a, of_b)
    of_b[:, -1] = of_bias
    return of_weight, of_shared_bias, torch.from_numpy(of_a), torch.from_numpy(of_b)


def _layers(tensors: Any) -> list[StackLayer]:
    return [StackLayer(*tensors[i : i + 4]) for i in range(0, len(tensors), 4)]
