"""The nine backbones out of FuxiCTR's layers, on its `BaseModel`.

FuxiCTR's package holds layers and the training loop; its models are files of its repository, which
its users copy. These join the same layers in the same way, with this project's sizes.
"""

from typing import Any

import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.layers import (
    BilinearInteractionV2,
    CompressedInteractionNet,
    CrossNet,
    FactorizationMachine,
    FeatureEmbedding,
    InnerProductInteraction,
    LogisticRegression,
    MLP_Block,
    ScaledDotProductAttention,
    SqueezeExcitation,
)
from fuxictr.pytorch.models import BaseModel
from torch import Tensor, nn

from mlorakit.config import TrainConfig

Inputs = dict[str, Tensor]
_NO_LINEAR = ("mlp", "pnn", "dcn", "deepfm")  # DeepFM's is part of its factorization machine


class Attention(nn.Module):
    """AutoInt's layer as FuxiCTR's model zoo has it: heads side by side and a residual map.

    Args:
        n_in: size of a field's input vector.
        size: of a head.
        heads: how many.
    """

    def __init__(self, n_in: int, size: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.query, self.key, self.value, self.residual = (
            nn.Linear(n_in, size * heads, bias=False) for _ in range(4)
        )
        self.attention = ScaledDotProductAttention()

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, n_in) to (B, F, size * heads)."""
        batch = len(x)
        query, key, value = (
            layer(x).view(batch, -1, self.heads, self.size).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed, _ = self.attention(query, key, value)
        mixed = mixed.transpose(1, 2).contiguous().view(batch, -1, self.heads * self.size)
        return (mixed + self.residual(x)).relu()


class Network(BaseModel):
    """A backbone as FuxiCTR's users have it.

    Args:
        fields: FuxiCTR's description of the F fields.
        config: backbone and settings.
        options: of `BaseModel`.
    """

    def __init__(self, fields: FeatureMap, config: TrainConfig, **options: Any) -> None:
        # Its L2 term is half the coefficient times the sum of squares.
        super().__init__(fields, embedding_regularizer=2 * config.l2, **options)
        self.backbone = config.backbone
        n_fields, size = fields.num_fields, config.embedding_size
        width, pairs = n_fields * size, n_fields * (n_fields - 1) // 2
        self.embedding_layer = FeatureEmbedding(fields, size)
        if self.backbone not in _NO_LINEAR:
            self.linear = LogisticRegression(fields)
        if self.backbone == "deepfm":
            self.machine = FactorizationMachine(fields)
        elif self.backbone == "nfm":
            self.products = InnerProductInteraction(n_fields, output="bi_interaction")
            width = size
        elif self.backbone == "pnn":
            self.products = InnerProductInteraction(n_fields, output="inner_product")
            width += pairs
        elif self.backbone == "dcn":
            self.cross = CrossNet(width, 2)
            self.head = nn.Linear(width + config.hidden[-1], 1)
        elif self.backbone == "autoint":
            self.attention = nn.Sequential(*(Attention(n, 8, 4) for n in (size, 32, 32)))
            self.head = nn.Linear(n_fields * 32, 1)
        elif self.backbone == "xdeepfm":
            self.cin = CompressedInteractionNet(n_fields, [128, 128])
        elif self.backbone == "fibinet":
            self.senet = SqueezeExcitation(n_fields, 3)
            self.bilinear = BilinearInteractionV2(n_fields, size)
            self.bilinear_senet = BilinearInteractionV2(n_fields, size)
            width = 2 * pairs * size
        self.mlp = MLP_Block(
            width,
            hidden_units=[*config.hidden],
            output_dim=None if self.backbone == "dcn" else 1,
            dropout_rates=config.dropout,
        )
        self.compile("adam", "binary_crossentropy", config.learning_rate)
        self.reset_parameters()
        self.model_to_device()

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Probabilities of a batch, of shape (B, 1), as `y_pred`."""
        x = self.get_inputs(inputs)
        e = self.embedding_layer(x)  # (B, F, K)
        if self.backbone == "dcn":
            flat = e.flatten(1)
            logit = self.head(torch.cat((self.cross(flat), self.mlp(flat)), 1))
        else:
            logit = self.mlp(self._mlp_input(e))
        if self.backbone == "deepfm":
            logit = logit + self.machine(x, e)
        elif self.backbone == "autoint":
            logit = logit + self.head(self.attention(e).flatten(1))
        elif self.backbone == "xdeepfm":
            logit = logit + self.cin(e)
        if self.backbone not in _NO_LINEAR:
            logit = logit + self.linear(x)
        return {"y_pred": self.output_activation(logit)}

    def _mlp_input(self, e: Tensor) -> Tensor:
        if self.backbone == "nfm":
            return self.products(e)
        if self.backbone == "pnn":
            return torch.cat((e.flatten(1), self.products(e)), 1)
        if self.backbone == "fibinet":
            return torch.cat((self.bilinear(e), self.bilinear_senet(self.senet(e))), 1).flatten(1)
        return e.flatten(1)
