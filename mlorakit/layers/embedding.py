"""One table for all categorical fields."""

import torch
from torch import Tensor, nn

from mlorakit.data.dataset import columns_of
from mlorakit.kernels.lookup import lookup


class FieldEmbedding(nn.Module):
    """Embeddings of F categorical fields, stacked in one table so that a batch is one lookup.

    A field of several columns has the mean over a row's known values, ids above 0; where there is
    none, id 0's embedding stands, as for an unknown value of any other field.

    Args:
        field_sizes: number of ids per field; id 0 is the unknown value. A size with columns, see
            `mlorakit.data.dataset.Pooled`, is a field of several values per row.
        size: K, the length of an embedding.
        std: standard deviation of the normal distribution the table starts from; 0 for zeros.
    """

    offsets: Tensor
    owner: Tensor

    def __init__(self, field_sizes: tuple[int, ...], size: int, std: float) -> None:
        super().__init__()
        self.size = size
        starts = torch.tensor((0, *field_sizes[:-1])).cumsum(0)
        columns = columns_of(field_sizes)
        self.pools = max(columns, default=1) > 1
        if self.pools:
            repeats = torch.tensor(columns)
            starts = starts.repeat_interleave(repeats)
            # Which field a column belongs to, (C, F).
            owner = torch.eye(len(columns)).repeat_interleave(repeats, 0)
            self.register_buffer("owner", owner, persistent=False)
        self.register_buffer("offsets", starts, persistent=False)
        self.weight = nn.Parameter(torch.zeros(sum(field_sizes), size))
        if std > 0:
            nn.init.normal_(self.weight, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of shape (B, C), each within its field, to embeddings of shape (B, F, K).

        C is F, plus the further columns of fields that have several.
        """
        return self.pooled(lookup(self.weight, ids, self.offsets), ids)

    def pooled(self, e: Tensor, ids: Tensor) -> Tensor:
        """Embeddings of columns, (B, C, K), to those of fields, (B, F, K), by the columns' ids."""
        if not self.pools:
            return e
        known = (ids > 0).to(e.dtype)
        none_known = (known @ self.owner == 0).to(e.dtype)  # (B, F)
        counts = known + none_known @ self.owner.T  # all columns of such a field hold id 0
        weight = counts / ((counts @ self.owner) @ self.owner.T)
        return self.owner.T @ (e * weight.unsqueeze(2))
