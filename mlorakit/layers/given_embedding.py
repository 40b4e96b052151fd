"""Embeddings given from outside, such as Taobao's vectors of users and items."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit.kernels.lookup import lookup
from mlorakit.layers.embedding import FieldEmbedding


class GivenEmbedding(FieldEmbedding):
    """Embeddings of F categorical fields, some of which are given and frozen.

    The given ones are data, not weights: they are neither counted nor saved with the model.

    Args:
        field_sizes: number of ids per field; id 0 is the unknown value.
        table: embeddings of all fields, which those of the other fields start from.
        given: vectors by place of the field, float32 of shape (size - 1, K), from id 1 on; id 0 of
            these fields is the zero vector.

    Raises:
        ValueError: the vectors do not fit the field or the table.
    """

    given: Tensor
    given_offsets: Tensor

    def __init__(
        self, field_sizes: tuple[int, ...], table: FieldEmbedding, given: Mapping[int, Tensor]
    ) -> None:
        check_vectors(field_sizes, table.size, given)
        self.frozen = sorted(given)
        self.trained = [field for field in range(len(field_sizes)) if field not in given]
        super().__init__(tuple(field_sizes[field] for field in self.trained), table.size, 0.0)
        # Place of each field among the frozen ones followed by the trained ones.
        self.order = [[*self.frozen, *self.trained].index(f) for f in range(len(field_sizes))]
        zero = torch.zeros(1, self.size)
        rows = [part for field in self.frozen for part in (zero, given[field])]
        starts = torch.tensor([0, *(field_sizes[field] for field in self.frozen[:-1])]).cumsum(0)
        self.register_buffer("given", torch.cat(rows), persistent=False)
        self.register_buffer("given_offsets", starts, persistent=False)
        own = table.weight.detach().split(list(field_sizes))
        with torch.no_grad():
            torch.cat([zero[:0], *(own[field] for field in self.trained)], out=self.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of shape (B, F), each within its field, to embeddings of shape (B, F, K).

        Raises:
            ValueError: a field has several columns of ids.
        """
        if ids.shape[1] != len(self.order):
            raise ValueError(
                f"Rows have {ids.shape[1]} columns of ids for {len(self.order)} fields; with given "
                "vectors every field has one."
            )
        # Indexing by a list copies it to the device in each step; fields are few.
        columns = ids.unbind(1)
        frozen = torch.stack([columns[f] for f in self.frozen], 1) + self.given_offsets
        parts = [F.embedding(frozen, self.given)]
        if self.trained:
            trained = torch.stack([columns[f] for f in self.trained], 1) + self.offsets
            parts.append(lookup(self.weight, trained))
        e = torch.cat(parts, 1)
        if self.order == sorted(self.order):
            return e
        return torch.stack([e[:, place] for place in self.order], 1)


def start_from(
    field_sizes: tuple[int, ...], table: FieldEmbedding, given: Mapping[int, Tensor]
) -> None:
    """Let the embeddings of some fields start from given vectors; id 0 keeps its own start.

    Args:
        field_sizes: number of ids per field.
        table: changed.
        given: see `GivenEmbedding`.

    Raises:
        ValueError: see `GivenEmbedding`.
    """
    check_vectors(field_sizes, table.size, given)
    with torch.no_grad():
        for field, vectors in given.items():
            start = sum(field_sizes[:field]) + 1
            table.weight[start : start + len(vectors)] = vectors


def check_vectors(field_sizes: tuple[int, ...], size: int, given: Mapping[int, Tensor]) -> None:
    """Refuse vectors that do not fit.

    Raises:
        ValueError: there are none, or they are not of the field's ids or the embeddings' length.
    """
    if not given:
        raise ValueError("No field has vectors; leave them out, or give those of one field.")
    for field, vectors in given.items():
        expected = (field_sizes[field] - 1, size)
        if tuple(vectors.shape) != expected:
            raise ValueError(
                f"The vectors of field {field} have shape {tuple(vectors.shape)}, expected "
                f"{expected}: one for each id from 1, as long as the embeddings."
            )
