"""Embeddings of single- and multi-valued fields that may share tables."""

import torch
from torch import Tensor, nn

from mlorakit.data.tasks import PADDING, TaskField
from mlorakit.kernels.lookup import lookup


class PooledEmbedding(nn.Module):
    """One vector per field: a single value's embedding, or the mean over a field's values.

    Args:
        fields: the F fields, in the order of their columns.
        tables: number of ids per table; id 0 is a missing value.
        size: K.
        std: standard deviation of the normal distribution that the tables start from.
        average_padding: True for the released code's mean, which runs over as many values as the
            longest row of the batch has, the missing ones as id 0; False for the mean over a row's
            real values.
    """

    offsets: Tensor

    def __init__(
        self,
        fields: tuple[TaskField, ...],
        tables: dict[str, int],
        size: int,
        std: float,
        average_padding: bool,
    ) -> None:
        super().__init__()
        self.size = size
        self.average_padding = average_padding
        starts, total = {}, 0
        for name, rows in tables.items():
            starts[name] = total
            total += rows
        per_column = [starts[f.table] for f in fields for _ in range(f.columns)]
        self.register_buffer("offsets", torch.tensor(per_column), persistent=False)
        self.widths = tuple(field.columns for field in fields)
        self.weight = nn.Parameter(torch.empty(total, size))
        nn.init.normal_(self.weight, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of shape (B, C), each within its table, to vectors of shape (B, F, K)."""
        real = ids != PADDING
        e = lookup(self.weight, ids.clamp_min(0) + self.offsets)  # (B, C, K)
        vectors, start = [], 0
        for width in self.widths:
            part = e[:, start : start + width]
            if width > 1:
                part = self._mean(part, real[:, start : start + width])
            vectors.append(part)
            start += width
        return torch.cat(vectors, 1)

    def _mean(self, e: Tensor, real: Tensor) -> Tensor:
        """(B, L, K) to (B, 1, K)."""
        if self.average_padding:
            longest = max(int(real.sum(1).max()), 1)
            return e[:, :longest].mean(1, keepdim=True)
        weight = real.to(e.dtype)
        weight = weight / weight.sum(1, keepdim=True).clamp_min(1)
        return torch.einsum("bl,blk->bk", weight, e).unsqueeze(1)
