"""The networks of the multi-domain baselines, on concatenated embeddings and without a linear part.

Shared-bottom, MMoE and PLE have the layout of deepctr 0.9.0, which MAMDR (arXiv 2202.12524) takes
them from: dropout after every ReLU, those of gates and towers too, and a logit per domain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from mlorakit.data.dataset import columns_of
from mlorakit.kernels.groups import DomainGroups
from mlorakit.kernels.lookup import lookup
from mlorakit.layers.domain import DomainExperts, Gate, StarDense, Tower
from mlorakit.layers.embedding import FieldEmbedding
from mlorakit.layers.given_embedding import GivenEmbedding, check_vectors, start_from
from mlorakit.layers.mlp import MLP, Dense, DomainLoRA, lora_rank, shared_linear
from mlorakit.layers.norm import PartitionedNorm
from mlorakit.layers.shared_lora import SharedLoRA
from mlorakit.models.backbone import Backbone
from mlorakit.models.deep import MLPNet

_STD = 1e-4  # of initial embeddings: deepctr's default
_STAR_RANGE = 0.05  # of STAR's: Keras's default, uniform in +-0.05


@dataclass(frozen=True)
class BaselineSettings:
    """Sizes of a baseline; each reads those that it has.

    Args:
        hidden: widths of the bottom, of an expert, or of the whole MLP.
        tower: hidden widths of a domain's tower.
        gate: hidden widths of a domain's gate.
        experts: number of experts that all domains share.
        own_experts: number of experts of each domain.
        alpha: temperature coefficient of `lora_rank`.
        dropout: probability.
        learning_rate: of Adam, for who trains the model.
    """

    hidden: tuple[int, ...] = (256, 128, 64)
    tower: tuple[int, ...] = ()
    gate: tuple[int, ...] = ()
    experts: int = 0
    own_experts: int = 0
    alpha: int = 16
    dropout: float = 0.5
    learning_rate: float = 1e-3


class MultiDomainModel(Backbone):
    """Embeddings, and a logit that a subclass makes of them by the rows' domains.

    Args:
        field_sizes: number of ids of each of the F fields.
        n_domains: D.
        embedding_size: K.
        settings: sizes of the network.

    Raises:
        ValueError: the settings leave out experts that the network needs.
    """

    has_linear = False
    recordable = False  # products of each domain wait for where its rows end
    needs: tuple[str, ...] = ()
    """Settings that must be at least 1."""

    def __init__(
        self,
        field_sizes: tuple[int, ...],
        n_domains: int,
        embedding_size: int,
        settings: BaselineSettings,
    ) -> None:
        for name in self.needs:
            if getattr(settings, name) < 1:
                raise ValueError(
                    f"{type(self).__name__} needs at least 1 of {name}, but its settings name "
                    f"{getattr(settings, name)}."
                )
        # A backbone by what it does, but not made of a backbone's parts: neither an MLP nor a head
        # is one for all domains.
        nn.Module.__init__(self)
        self.n_fields = len(field_sizes)
        self.n_domains = n_domains
        self.embedding_size = embedding_size
        self.embedding = FieldEmbedding(field_sizes, embedding_size, _STD)
        self.linear = None
        self.make(settings)

    def make(self, settings: BaselineSettings) -> None:
        """Make the subclass's own layers."""
        raise NotImplementedError

    def embed(self, ids: Tensor, groups: DomainGroups) -> Tensor:
        """Ids of shape (B, C) to the network's input, (B, F K)."""
        return self.embedding(ids).flatten(1)

    def score(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """The network's input, (B, F K), to logits, (B,)."""
        raise NotImplementedError

    def forward(self, ids: Tensor, groups: DomainGroups) -> Tensor:
        return self.score(self.embed(ids, groups), groups)

    def adapted_layers(self) -> list[DomainLoRA]:
        return []


class SharedBottom(MultiDomainModel):
    """An MLP for all domains, and on top of it a tower for each."""

    def make(self, settings: BaselineSettings) -> None:
        hidden, p = settings.hidden, settings.dropout
        self.bottom = MLP(self.mlp_width(), hidden, partial(Dense, p=p))
        self.towers = Tower(hidden[-1], settings.tower, self.n_domains, p)

    def score(self, x: Tensor, groups: DomainGroups) -> Tensor:
        return self.towers(self.bottom(x, groups), groups)


class MMoE(MultiDomainModel):
    """Multi-gate mixture of experts (KDD 2018, doi 10.1145/3219819.3220007, eq. 6-7): a domain's
    tower reads what its gate mixes of experts that all domains share.
    """

    needs: tuple[str, ...] = ("experts",)

    def make(self, settings: BaselineSettings) -> None:
        width, hidden, p = self.mlp_width(), settings.hidden, settings.dropout
        self.experts = nn.ModuleList(
            MLP(width, hidden, partial(Dense, p=p)) for _ in range(settings.experts)
        )
        mixed = sum(getattr(settings, name) for name in self.needs)  # PLE's own ones too
        self.gates = Gate(width, settings.gate, self.n_domains, mixed, p)
        self.towers = Tower(hidden[-1], settings.tower, self.n_domains, p)

    def experts_of(self, x: Tensor, groups: DomainGroups) -> Tensor:
        """Outputs of the E experts that a row's domain mixes, (B, E, hidden[-1])."""
        return torch.stack([expert(x, groups) for expert in self.experts], 1)

    def score(self, x: Tensor, groups: DomainGroups) -> Tensor:
        weight = self.gates(x, groups)  # (B, E)
        mixed = torch.einsum("be,beo->bo", weight, self.experts_of(x, groups))
        return self.towers(mixed, groups)


class PLE(MMoE):
    """Progressive layered extraction (RecSys 2020, doi 10.1145/3383313.3412236) with one level: a
    domain mixes experts of its own with the shared ones.
    """

    needs = ("experts", "own_experts")

    def make(self, settings: BaselineSettings) -> None:
        super().make(settings)
        self.own_experts = DomainExperts(
            self.mlp_width(),
            settings.hidden,
            self.n_domains,
            settings.own_experts,
            settings.dropout,
        )

    def experts_of(self, x: Tensor, groups: DomainGroups) -> Tensor:
        return torch.cat((super().experts_of(x, groups), self.own_experts(x, groups)), 1)


class STAR(MultiDomainModel):
    """STAR (arXiv 2101.11427) as in MAMDR: partitioned norm of the embeddings, layers whose weights
    are products of shared ones and the domain's, a head for all domains, no auxiliary network.
    """

    def make(self, settings: BaselineSettings) -> None:
        width, hidden, n_domains = self.mlp_width(), settings.hidden, self.n_domains
        # The norm divides by the root of variance + 0.001, which would leave deepctr's start at
        # next to nothing.
        nn.init.uniform_(self.embedding.weight, -_STAR_RANGE, _STAR_RANGE)
        self.norm = PartitionedNorm(width, n_domains)
        self.mlp = MLP(width, hidden, partial(StarDense, n_domains=n_domains, p=settings.dropout))
        self.head = shared_linear(hidden[-1], 1)

    def score(self, x: Tensor, groups: DomainGroups) -> Tensor:
        return self.head(self.mlp(self.norm(x, groups), groups)).squeeze(1)


class SeparateNetworks(MultiDomainModel):
    """One model per domain, embeddings included: nothing that a domain learns reaches another.

    They are trained side by side, so all of them stop at the same epoch. Given vectors that are
    frozen are data and the same for all; trained, each domain's embeddings start from them.
    """

    sizes: Tensor

    def __init__(
        self,
        field_sizes: tuple[int, ...],
        n_domains: int,
        embedding_size: int,
        settings: BaselineSettings,
    ) -> None:
        # A field's table holds a part for each domain, one after the other.
        tables = tuple(size * n_domains for size in field_sizes)
        super().__init__(tables, n_domains, embedding_size, settings)
        sizes = torch.tensor(field_sizes).repeat_interleave(torch.tensor(columns_of(field_sizes)))
        self.register_buffer("sizes", sizes, persistent=False)

    def make(self, settings: BaselineSettings) -> None:
        self.towers = Tower(self.mlp_width(), settings.hidden, self.n_domains, settings.dropout)

    def take_vectors(
        self, field_sizes: tuple[int, ...], vectors: Mapping[int, Tensor], trained: bool
    ) -> None:
        n = self.n_domains
        check_vectors(field_sizes, self.embedding.size, vectors)
        if trained:  # a part of a table is a field to start from the vectors
            parts = tuple(size for size in field_sizes for _ in range(n))
            of_parts = {n * field + d: v for field, v in vectors.items() for d in range(n)}
            start_from(parts, self.embedding, of_parts)
            return
        # A field whose vectors are frozen keeps one part, which serves the rows of every domain.
        wholes = self.embedding.weight.detach().split([n * size for size in field_sizes])
        kept = [
            whole[:size] if field in vectors else whole
            for field, (whole, size) in enumerate(zip(wholes, field_sizes, strict=True))
        ]
        self.embedding.weight = nn.Parameter(torch.cat(kept))
        super().take_vectors(tuple(map(len, kept)), vectors, trained)
        self.sizes[sorted(vectors)] = 0

    def embed(self, ids: Tensor, groups: DomainGroups) -> Tensor:
        table = self.embedding
        own = ids + groups.domain.unsqueeze(1) * self.sizes
        if isinstance(table, GivenEmbedding):
            return table(own).flatten(1)
        return table.pooled(lookup(table.weight, own + table.offsets), ids).flatten(1)

    def score(self, x: Tensor, groups: DomainGroups) -> Tensor:
        return self.towers(x, groups)


def mlp_with_shared_lora(
    field_sizes: tuple[int, ...],
    n_domains: int,
    embedding_size: int,
    settings: BaselineSettings,
) -> Backbone:
    """The MLP of MLoRA with one LoRA for all domains; arguments of `MultiDomainModel`.

    From the same seed it starts from the shared weights of MLoRA's.
    """

    def layer(n_in: int, n_out: int) -> SharedLoRA:
        return SharedLoRA(n_in, n_out, lora_rank(n_out, settings.alpha), settings.dropout)

    model = MLPNet(field_sizes, embedding_size, settings.hidden, layer, _STD)
    for adapted in model.adapted_layers():
        adapted.reset_adapters()
    return model
