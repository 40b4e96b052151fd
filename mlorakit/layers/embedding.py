"""One table for all categorical fields."""

import torch
from torch import Tensor, nn

from mlorakit.kernels.lookup import lookup


class FieldEmbedding(nn.Module):
    """Embeddings of F categorical fields, stacked in one table so that a batch is one lookup.

    Args:
        field_sizes: number of ids per field; id 0 is the unknown value.
        size: K, the length of an embedding.
        std: standard deviation of the normal distribution the table starts from; 0 for zeros.
    """

    offsets: Tensor

    def __init__(self, field_sizes: tuple[int, ...], size: int, std: float) -> None:
        super().__init__()
        self.size = size
        starts = torch.tensor((0, *field_sizes[:-1])).cumsum(0)
        self.register_buffer("offsets", starts, persistent=False)
        self.weight = nn.Parameter(torch.zeros(sum(field_sizes), size))
        if std > 0:
            nn.init.normal_(self.weight, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of shape (B, F), each within its field, to embeddings of shape (B, F, K)."""
        return lookup(self.weight, ids, self.offsets)
