"""The network of LT4REC: field products, a trunk that masks thin out, and a head per task."""

import itertools

import torch
from torch import Tensor, nn

from mlorakit.data.tasks import TASKS, TaskField
from mlorakit.layers.masked import MaskedLinear
from mlorakit.layers.mlp import shared_linear
from mlorakit.layers.pooled_embedding import PooledEmbedding

Mask = dict[str, Tensor]
"""A 0-or-1 tensor per prunable weight, by the weight's name in the network."""

_EMBEDDING_STD = 0.01


class TaskInput(nn.Module):
    """What every model of the comparison starts from: [vec(E E^T); vec(E)].

    Args:
        fields: the F fields.
        tables: number of ids per embedding table.
        embedding_size: K.
        average_padding: see `PooledEmbedding`.
    """

    def __init__(
        self,
        fields: tuple[TaskField, ...],
        tables: dict[str, int],
        embedding_size: int,
        average_padding: bool,
    ) -> None:
        super().__init__()
        self.embedding = PooledEmbedding(
            fields, tables, embedding_size, _EMBEDDING_STD, average_padding
        )
        self.width = len(fields) * (len(fields) + embedding_size)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of shape (B, C) to (B, F F + F K)."""
        e = self.embedding(ids)  # (B, F, K)
        return torch.cat(((e @ e.transpose(1, 2)).flatten(1), e.flatten(1)), 1)


class LT4REC(nn.Module):
    """LT4REC (arXiv 2008.09872): a trunk shared by the tasks, thinned out by a mask per task.

    With 20 fields and K = 16 the input has 720 values and the trunk 532,480 prunable weights.
    Biases, embeddings and heads are never masked.

    Args:
        fields: the F fields.
        tables: number of ids per embedding table.
        embedding_size: K.
        hidden: widths of the trunk.
        average_padding: True for the released code's pooling, see `PooledEmbedding`.
    """

    def __init__(
        self,
        fields: tuple[TaskField, ...],
        tables: dict[str, int],
        embedding_size: int = 16,
        hidden: tuple[int, ...] = (512, 256, 128),
        average_padding: bool = False,
    ) -> None:
        super().__init__()
        self.input = TaskInput(fields, tables, embedding_size, average_padding)
        widths = (self.input.width, *hidden)
        self.trunk = nn.ModuleList(
            MaskedLinear(n_in, n_out) for n_in, n_out in itertools.pairwise(widths)
        )
        self.heads = nn.ModuleDict({task: shared_linear(hidden[-1], 1) for task in TASKS})

    def prunable(self) -> dict[str, nn.Parameter]:
        """The trunk's matrices by name, first to last."""
        names = (f"trunk.{i}.weight" for i in range(len(self.trunk)))
        return {name: self.get_parameter(name) for name in names}

    def represent(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """Ids of shape (B, C) to the trunk's output, (B, hidden[-1])."""
        x = self.input(ids)
        for i, layer in enumerate(self.trunk):
            x = torch.relu_(layer(x, None if mask is None else mask[f"trunk.{i}.weight"]))
        return x

    def forward(self, ids: Tensor, task: str, mask: Mask | None = None) -> Tensor:
        """Logits of one task.

        Args:
            ids: of shape (B, C).
            task: `ctr` or `cvr`.
            mask: the task's; None for the dense network.

        Returns:
            Tensor of shape (B,).
        """
        return self.heads[task](self.represent(ids, mask)).squeeze(1)
