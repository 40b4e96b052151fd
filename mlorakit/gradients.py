"""The loss of a batch and its gradients.

On a CPU PyTorch's autograd takes as long around the compiled kernels of a step as they compute. So
there the gradients are put together by hand where every model has the same parts, the embeddings,
the MLP, the logit and the loss, and autograd is left what a backbone does between them.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.data.dataset import Rows
from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.logit import logit_backward, logit_forward
from mlorakit.kernels.lookup import lookup_backward, lookup_forward
from mlorakit.kernels.loss import cross_entropy
from mlorakit.kernels.stack import Stack, StackLayer
from mlorakit.layers.embedding import FieldEmbedding
from mlorakit.models.backbone import Backbone


def loss_and_gradients(model: Backbone) -> Callable[[Rows], Tensor | float]:
    """What takes a batch to its mean binary cross-entropy and to the gradients of a model.

    Args:
        model: in training mode. What is returned serves while its parameters are the same objects,
            as frozen as now.

    Returns:
        A function of rows sorted by domain. It puts the gradient of each trained parameter into the
        parameter's `grad`, which was None, perhaps in the memory of the gradient before. The loss
        has no gradient: a number, or, where a number would have to be waited for, a scalar on the
        device of the batch.
    """
    stacked = model.mlp.stacked() if type(model).forward is Backbone.forward else None
    if stacked is not None and runs_compiled(model.head.weight):
        return _ByHand(model, *stacked)
    return partial(by_autograd, model)


def by_autograd(model: Backbone, batch: Rows) -> Tensor:
    """The plain form of `loss_and_gradients`, of any model."""
    loss = F.binary_cross_entropy_with_logits(model(batch.ids, batch.groups), batch.label)
    loss.backward()
    return loss.detach()


class _ByHand:
    """`loss_and_gradients` of a model of which `dense_stack` computes the MLP.

    What the steps have in common is asked of the model once, since that takes PyTorch's modules as
    long as a layer's product.
    """

    def __init__(self, model: Backbone, layers: list[StackLayer], p: float) -> None:
        self.model, self.layers, self.p = model, layers, p
        trained = [layer.weight.requires_grad for layer in layers]
        self.stack = Stack(layers, trained, overwrites=True)
        self.head = model.head.weight, model.bias
        self.linear, self.offsets = model.linear_table()
        # The embeddings' table, unless they are made of more than its rows.
        table = model.embedding
        self.table = table if type(table) is FieldEmbedding and not table.pools else None
        # Whether the MLP's input is the embeddings as they are, so that their gradient is too.
        self.direct = self.table is not None and (
            type(model).mlp_input is Backbone.mlp_input and model.input_norm is None
        )

    def __call__(self, batch: Rows) -> Tensor | float:
        if not len(batch.ids):
            return by_autograd(self.model, batch)
        ids, groups, table = batch.ids.contiguous(), batch.groups, self.table
        if table is not None:
            e = lookup_forward(table.weight, ids, table.offsets)
            e.requires_grad_(table.weight.requires_grad)
        else:
            e = self.model.embedding(ids)
        x, features, extra = self.model.parts(e, ids, groups)
        passed = self.stack.forward(x, groups, self.p)
        z, made_of = logit_forward(
            features, passed.ys[-1], *self.head, extra, self.linear, self.offsets, ids
        )
        loss, of_z = cross_entropy(z, array_of(batch.label))

        of_features, of_deep, of_weight, of_bias, of_linear = logit_backward(made_of, of_z)
        of_x, of_layers = self.stack.backward(passed, of_deep)
        _put((*self.head, self.linear), (of_weight, of_bias, of_linear))
        for layer, found in zip(self.layers, of_layers, strict=True):
            _put(layer, found)
        known = [(features, torch.from_numpy(of_features)), (extra, torch.from_numpy(of_z))]
        if not self.direct:
            known.append((x, of_x))
        trained = [(root, of) for root, of in known if root is not None and root.requires_grad]
        if trained:
            torch.autograd.backward([root for root, _ in trained], [of for _, of in trained])
        if table is not None and e.requires_grad:
            if self.direct:
                e.grad = of_x.view_as(e) if e.grad is None else e.grad.add_(of_x.view_as(e))
            assert e.grad is not None
            table.weight.grad = lookup_backward(e.grad, ids, table.offsets, len(table.weight))
        return loss


def _put(parameters: tuple[Tensor | None, ...], gradients: tuple[Tensor | None, ...]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter is not None and parameter.requires_grad:
            parameter.grad = gradient
