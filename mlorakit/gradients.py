"""The loss of a batch and its gradients.

On a CPU PyTorch's autograd takes as long around the compiled kernels of a step as they compute. So
there the gradients are put together by hand where every model has the same parts, the embeddings,
the MLP, the logit and the loss, and autograd is left what a backbone does between them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.data.dataset import Rows
from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.logit import logit_backward, logit_forward
from mlorakit.kernels.lookup import lookup_backward, lookup_forward
from mlorakit.kernels.loss import cross_entropy
from mlorakit.kernels.stack import StackLayer, stack_backward, stack_forward
from mlorakit.layers.embedding import FieldEmbedding
from mlorakit.models.backbone import Backbone


def loss_and_gradients(model: Backbone, batch: Rows) -> Tensor:
    """The mean binary cross-entropy of a batch, without gradients of its own.

    Args:
        model: in training mode; the gradient of each of its trained parameters is put into the
            parameter's `grad`, which was None.
        batch: rows sorted by domain.

    Returns:
        A scalar, on the device of the batch.
    """
    stacked = model.mlp.stacked() if type(model).forward is Backbone.forward else None
    if stacked is not None and runs_compiled(model.head.weight) and len(batch.ids):
        return _by_hand(model, batch, *stacked)
    return by_autograd(model, batch)


def by_autograd(model: Backbone, batch: Rows) -> Tensor:
    """The plain form of `loss_and_gradients`, of any model."""
    loss = F.binary_cross_entropy_with_logits(model(batch.ids, batch.groups), batch.label)
    loss.backward()
    return loss.detach()


def _by_hand(model: Backbone, batch: Rows, layers: list[StackLayer], p: float) -> Tensor:
    ids, groups, table = batch.ids.contiguous(), batch.groups, model.embedding
    plain = type(table) is FieldEmbedding and not table.pools
    # Whether the MLP's input is the embeddings as they are, so that their gradient is too.
    direct = plain and type(model).mlp_input is Backbone.mlp_input and model.input_norm is None
    if plain:
        e = lookup_forward(table.weight, ids, table.offsets)
        e.requires_grad_(table.weight.requires_grad)
    else:
        e = table(ids)
    x, features, extra = model.parts(e, ids, groups)
    passed = stack_forward(x, layers, groups, p if model.training else 0.0)
    linear, offsets = model.linear_table()
    head = model.head.weight, model.bias
    z, made_of = logit_forward(features, passed.ys[-1], *head, extra, linear, offsets, ids)
    loss, of_z = cross_entropy(z, array_of(batch.label))

    of_features, of_deep, of_weight, of_bias, of_linear = logit_backward(made_of, of_z)
    trained = [layer.weight.requires_grad for layer in layers]
    of_x, of_layers = stack_backward(passed, trained, of_deep)
    _put((model.head.weight, model.bias, linear), (of_weight, of_bias, of_linear))
    for layer, found in zip(layers, of_layers, strict=True):
        _put(layer, found)
    roots = (features, torch.from_numpy(of_features)), (extra, torch.from_numpy(of_z))
    known = [(root, of_root) for root, of_root in roots if root is not None and root.requires_grad]
    if not direct and x.requires_grad:
        known.append((x, of_x))
    if known:
        torch.autograd.backward([root for root, _ in known], [of_root for _, of_root in known])
    if plain and e.requires_grad:
        if direct:
            e.grad = of_x.view_as(e) if e.grad is None else e.grad.add_(of_x.view_as(e))
        assert e.grad is not None
        table.weight.grad = lookup_backward(e.grad, ids, table.offsets, len(table.weight))
    return torch.tensor(loss, dtype=torch.float64)


def _put(parameters: tuple[Tensor | None, ...], gradients: tuple[Tensor | None, ...]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter is not None and parameter.requires_grad:
            parameter.grad = gradient
