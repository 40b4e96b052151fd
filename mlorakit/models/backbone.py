"""What the nine CTR backbones share."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mlorakit.data.dataset import columns_of
from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.kernels.logit import logit
from mlorakit.layers.embedding import FieldEmbedding
from mlorakit.layers.given_embedding import GivenEmbedding, start_from
from mlorakit.layers.mlp import MLP, DomainLoRA, LayerFactory


class Interaction(NamedTuple):
    """What a backbone makes of its field embeddings by one function.

    Args:
        place: where it goes: into the MLP in the embeddings' place (`mlp`), beside the MLP's output
            (`features`), or into the logit (`logit`).
        function: takes the embeddings, (B, F, K), and the weights to a tensor of shape (B, ...), of
            shape (B,) if it goes into the logit.
        compiled: what the function applies on a CPU to the same arguments, in float32.
        weights: trained with the model.
    """

    place: Literal["mlp", "features", "logit"]
    function: Callable[..., Tensor]
    compiled: type[torch.autograd.Function]
    weights: tuple[nn.Parameter, ...] = ()

    def placed(self, e: Tensor, made: Tensor) -> "Interacted":
        """What the model goes on with.

        Args:
            e: embeddings, (B, F, K).
            made: what the function made of them.
        """
        if self.place == "mlp":
            return Interacted(made.flatten(1))
        if self.place == "features":
            return Interacted(e.flatten(1), features=made.flatten(1))
        return Interacted(e.flatten(1), extra_logit=made)


class Interacted(NamedTuple):
    """What stands between the embeddings and the logit.

    Args:
        mlp_input: (B, N).
        features: what stands beside the MLP's output before the head, (B, M), if anything.
        extra_logit: what is added to the logit, (B,), if anything.
    """

    mlp_input: Tensor
    features: Tensor | None = None
    extra_logit: Tensor | None = None


class Backbone(nn.Module):
    """Embeddings, an MLP on what a subclass makes of them, and one logit.

    The MLP's output, joined with a subclass's features, goes through a linear map without bias; a
    subclass's extra logit, a linear model of the ids and one global bias are added, as in deepctr
    0.9.0.

    Args:
        field_sizes: number of ids of each of the F fields.
        embedding_size: K.
        hidden: widths of the MLP.
        layer: makes the MLP's layers; the variants differ in nothing else.
        embedding_std: standard deviation of the initial embeddings.
    """

    has_linear = True
    """Whether a linear model of the ids, starting at zero, is added to the logit."""

    recordable = True
    """Whether a training step never waits for a GPU, so that a graph of its kernels can be made."""

    def __init__(
        self,
        field_sizes: tuple[int, ...],
        embedding_size: int,
        hidden: tuple[int, ...],
        layer: LayerFactory,
        embedding_std: float,
    ) -> None:
        super().__init__()
        self.n_fields = len(field_sizes)
        self.n_columns = sum(columns_of(field_sizes))
        self.embedding_size = embedding_size
        self.embedding = FieldEmbedding(field_sizes, embedding_size, embedding_std)
        self.linear = FieldEmbedding(field_sizes, 1, 0.0) if self.has_linear else None
        features_width = self.build()
        self.input_norm: nn.Module | None = None  # `build_model` puts one in place
        self.mlp = MLP(self.mlp_width(), hidden, layer)
        self.head = nn.Linear(hidden[-1] + features_width, 1, bias=False)
        nn.init.xavier_normal_(self.head.weight)
        self.bias = nn.Parameter(torch.zeros(1))

    def build(self) -> int:
        """Make the subclass's own layers; returns the width of the features."""
        return 0

    def take_vectors(
        self, field_sizes: tuple[int, ...], vectors: Mapping[int, Tensor], trained: bool
    ) -> None:
        """Make vectors the embeddings of some fields; nothing is drawn.

        Args:
            field_sizes: those that the model was made with.
            vectors: by place of the field; see `GivenEmbedding`.
            trained: let the embeddings start from them, instead of freezing them.

        Raises:
            ValueError: they do not fit.
        """
        if trained:
            start_from(field_sizes, self.embedding, vectors)
        else:
            self.embedding = GivenEmbedding(field_sizes, self.embedding, vectors)

    def mlp_width(self) -> int:
        """Width of the MLP's input."""
        return self.n_fields * self.embedding_size

    def interaction(self) -> Interaction | None:
        """What is made of the embeddings, if it is one function's; a subclass that has more in
        between overrides `interact` instead.
        """
        return None

    def interact(self, e: Tensor) -> Interacted:
        """What the subclass makes of embeddings of shape (B, F, K)."""
        own = self.interaction()
        if own is None:
            return Interacted(e.flatten(1))
        return own.placed(e, own.function(e, *own.weights))

    def forward(self, ids: Tensor, groups: DomainGroups) -> Tensor:
        """Logits of a batch sorted by domain.

        Args:
            ids: integer tensor of shape (B, C), see `Rows`.
            groups: where each domain's rows lie.

        Returns:
            Tensor of shape (B,).
        """
        x, features, extra = self.parts(self.embedding(ids), ids, groups)
        deep = self.mlp(x, groups)  # (B, hidden[-1])
        head = self.head.weight, self.bias
        return logit(features, deep, *head, extra, *self.linear_table(), ids)

    def parts(self, e: Tensor, ids: Tensor, groups: DomainGroups) -> Interacted:
        """What `interact` makes of embeddings of shape (B, F, K), the MLP's input normalised, the
        extra logit with what the linear model of pooled fields adds to it.
        """
        x, features, extra = self.interact(e)
        if self.input_norm is not None:
            x = self.input_norm(x, groups)
        if self.linear is not None and self.linear.pools:
            pooled = self.linear(ids).sum((1, 2))
            extra = pooled if extra is None else extra + pooled
        return Interacted(x, features, extra)

    def linear_table(self) -> tuple[Tensor | None, Tensor | None]:
        """Weights and offsets of the linear model, unless there is none or it pools."""
        if self.linear is None or self.linear.pools:
            return None, None
        return self.linear.weight, self.linear.offsets

    @torch.inference_mode()
    def predict(self, ids: Tensor, domain: Tensor, n_domains: int) -> Tensor:
        """Probabilities of rows in any order.

        Args:
            ids: integer tensor of shape (B, C), see `Rows`.
            domain: integer tensor of shape (B,), each row's domain.
            n_domains: D.

        Returns:
            Tensor of shape (B,), in the order of the rows given.
        """
        self.eval()
        order, groups = group_rows(domain, n_domains)
        out = ids.new_empty(ids.shape[0], dtype=torch.float32)
        out[order] = self(ids[order], groups).sigmoid()
        return out

    def regularized(self) -> Iterator[nn.Parameter]:
        """Weights under L2: embeddings and linear weights; a subclass may add its own."""
        yield self.embedding.weight
        if self.linear is not None:
            yield self.linear.weight

    def adapted_layers(self) -> list[DomainLoRA]:
        """The MLoRA layers, first to last; none in a base model."""
        return [layer for layer in self.mlp.layers if isinstance(layer, DomainLoRA)]
