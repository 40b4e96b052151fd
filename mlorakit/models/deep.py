"""Backbones whose interactions feed, or stand beside, the MLP."""

from collections.abc import Iterator

from torch import Tensor, nn

from mlorakit.kernels.bilinear import FiBiNETInteractions, fibinet
from mlorakit.kernels.cross import Cross, cross
from mlorakit.kernels.interaction import BiInteraction, bi_interaction
from mlorakit.kernels.pairs import ProductLayer, product_layer
from mlorakit.layers.interactions import (
    BilinearInteraction,
    CrossNetwork,
    InteractingLayers,
    SENet,
)
from mlorakit.models.backbone import Backbone, Interacted, Interaction


class MLPNet(Backbone):
    """The MLP alone, on the concatenated embeddings."""

    has_linear = False


class WDL(Backbone):
    """Wide & Deep (arXiv 1606.07792): a linear model beside the MLP."""


class NFM(Backbone):
    """Neural factorization machine (arXiv 1708.05027): the MLP on the pooled pair products.

    No dropout on the pooled vector, as in MLoRA's configs.
    """

    def mlp_width(self) -> int:
        return self.embedding_size

    def interaction(self) -> Interaction:
        return Interaction("mlp", bi_interaction, BiInteraction)


class PNN(Backbone):
    """Product-based network (arXiv 1611.00144) with inner products only and no linear model."""

    has_linear = False

    def mlp_width(self) -> int:
        return super().mlp_width() + self.n_fields * (self.n_fields - 1) // 2

    def interaction(self) -> Interaction:
        return Interaction("mlp", product_layer, ProductLayer)


class DCN(Backbone):
    """Deep & Cross (arXiv 1708.05123), vector form, two cross layers beside the MLP."""

    def build(self) -> int:
        width = self.n_fields * self.embedding_size
        self.cross = CrossNetwork(width, n_layers=2)
        return width

    def interaction(self) -> Interaction:
        return Interaction("features", cross, Cross, (self.cross.weight, self.cross.bias))

    def regularized(self) -> Iterator[nn.Parameter]:
        yield from super().regularized()
        yield self.cross.weight


class AutoInt(Backbone):
    """AutoInt (arXiv 1810.11921): three attention layers, 4 heads of 8, beside the MLP."""

    def build(self) -> int:
        size, heads = 8, 4
        self.attention = InteractingLayers(self.embedding_size, size, heads, n_layers=3)
        return self.n_fields * heads * size

    def interact(self, e: Tensor) -> Interacted:
        return Interacted(e.flatten(1), features=self.attention(e).flatten(1))


class FiBiNET(Backbone):
    """FiBiNET (arXiv 1905.09433): the MLP on bilinear interactions of E and of SENet's E.

    One set of bilinear matrices serves both, SENet's reduction is 3, as in deepctr 0.9.0.
    """

    def build(self) -> int:
        self.senet = SENet(self.n_fields, reduction=3)
        self.bilinear = BilinearInteraction(self.n_fields, self.embedding_size)
        return 0

    def mlp_width(self) -> int:
        return self.n_fields * (self.n_fields - 1) * self.embedding_size

    def interaction(self) -> Interaction:
        weights = self.senet.squeeze, self.senet.excite, self.bilinear.weight
        return Interaction("mlp", fibinet, FiBiNETInteractions, weights)
