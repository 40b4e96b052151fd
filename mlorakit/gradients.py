"""The loss of a batch and its gradients.

On a CPU PyTorch's autograd takes as long around the compiled kernels of a step as they compute. So
there the gradients are put together by hand: of what every model has, the embeddings, the MLP, the
logit and the loss, and of the one function that most backbones have between them. Autograd is left
what the other backbones do there.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.data.dataset import Rows
from mlorakit.kernels.compiled import array_of, runs_compiled
from mlorakit.kernels.groups import DomainGroups
from mlorakit.kernels.logit import logit_backward, logit_forward
from mlorakit.kernels.lookup import lookup_backward, lookup_forward
from mlorakit.kernels.loss import cross_entropy
from mlorakit.kernels.stack import Stack, StackLayer
from mlorakit.layers.embedding import FieldEmbedding
from mlorakit.models.backbone import Backbone, Interacted, Interaction


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
        pools = model.linear is not None and model.linear.pools
        one_function = type(model).interact is Backbone.interact
        self.between: Callable[[Tensor, Tensor, DomainGroups], _Between]
        if one_function and model.input_norm is None and not pools:
            self.between = partial(_OneFunction, model.interaction())
        else:
            self.between = partial(_Recorded, model)

    def __call__(self, batch: Rows) -> Tensor | float:
        if not len(batch.ids):
            return by_autograd(self.model, batch)
        ids, groups, table = batch.ids.contiguous(), batch.groups, self.table
        if table is not None:
            made, trained = table.weight, table.weight.requires_grad
            e = lookup_forward(made, ids, table.offsets)
        else:
            made = self.model.embedding(ids)
            e, trained = made.detach(), made.requires_grad
        between = self.between(e.requires_grad_(trained), ids, groups)
        x, features, extra = between.parts
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
        of_e = between.backward(of_x, torch.from_numpy(of_features), torch.from_numpy(of_z))
        if trained:
            assert of_e is not None
            if table is not None:
                table.weight.grad = lookup_backward(of_e, ids, table.offsets, len(table.weight))
            else:
                made.backward(of_e)
        return loss


class _Between(Protocol):
    """What a model makes of a batch's embeddings: what `Backbone.parts` returns."""

    parts: Interacted

    def backward(self, of_x: Tensor, of_features: Tensor, of_extra: Tensor) -> Tensor | None:
        """Puts the gradients of weights in place; returns that of the embeddings, if it is wanted.

        Args:
            of_x: gradient of the MLP's input, (B, N).
            of_features: that of the features, (B, M), or anything if there are none.
            of_extra: that of the extra logit, (B,), likewise.
        """
        ...


class _Recorded(_Between):
    """By autograd.

    Args:
        model: the model.
        e: embeddings, (B, F, K), of no origin that autograd knows.
        ids: of the batch.
        groups: of the batch.
    """

    def __init__(self, model: Backbone, e: Tensor, ids: Tensor, groups: DomainGroups) -> None:
        self.e = e
        self.parts = model.parts(e, ids, groups)

    def backward(self, of_x: Tensor, of_features: Tensor, of_extra: Tensor) -> Tensor | None:
        found = zip(self.parts, (of_x, of_features, of_extra), strict=True)
        known = [(part, of) for part, of in found if part is not None and part.requires_grad]
        if known:
            torch.autograd.backward([part for part, _ in known], [of for _, of in known])
        return self.e.grad


class _OneFunction(_Between):
    """An interaction, without autograd.

    Args:
        interaction: of the model, which does no more; None if it does not even that.
        e: as `_Recorded` has it, like the others.
        ids: of the batch.
        groups: of the batch.
    """

    def __init__(
        self, interaction: Interaction | None, e: Tensor, ids: Tensor, groups: DomainGroups
    ) -> None:
        self.interaction, self.e = interaction, e
        if interaction is None:
            self.parts = Interacted(e.detach().flatten(1))
            return
        self.context = SimpleNamespace()  # autograd's keeps what `backward` needs likewise
        e, *weights = (t.detach() for t in (e, *interaction.weights))
        made = interaction.compiled.forward(self.context, e, *weights)
        self.parts, self.shape = interaction.placed(e, made), made.shape

    def backward(self, of_x: Tensor, of_features: Tensor, of_extra: Tensor) -> Tensor | None:
        if self.interaction is None:
            return of_x.view_as(self.e)
        place, _, compiled, weights = self.interaction
        if not (self.e.requires_grad or any(weight.requires_grad for weight in weights)):
            return None
        known = {"mlp": of_x, "features": of_features, "logit": of_extra}
        of_e, *of_weights = compiled.backward(self.context, known[place].view(self.shape))
        _put(weights, tuple(of_weights))
        return of_e if place == "mlp" else of_e.add_(of_x.view_as(of_e))


def _put(parameters: tuple[Tensor | None, ...], gradients: tuple[Tensor | None, ...]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter is not None and parameter.requires_grad:
            parameter.grad = gradient
