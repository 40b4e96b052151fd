"""What adapters add to a model: weights and multiply-adds."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from mlorakit.adapters import merge_domain
from mlorakit.cell_results import count_parameters
from mlorakit.kernels.groups import group_rows
from mlorakit.models import Backbone


@dataclass(frozen=True)
class Overhead:
    """What a model with MLoRA's layers has, and what its adapters add to it.

    Multiply-adds are those of the matrix products of one row's logit in evaluation. Lookups of
    embeddings have none, and products element by element, as in a factorization machine or a
    cross layer, are left out. Merged into the shared weights an adapter adds none.

    Args:
        params: weights of the base model.
        params_embedding: of these, embeddings and linear weights.
        params_added: of the adapters of all domains.
        multiply_adds: of the base model.
        multiply_adds_added: of the row's own domain's adapter, not merged.
    """

    params: int
    params_embedding: int
    params_added: int
    multiply_adds: int
    multiply_adds_added: int

    @property
    def share(self) -> float:
        """Weights added over those of the base model, embeddings counted."""
        return self.params_added / self.params

    @property
    def share_of_layers(self) -> float:
        """Weights added over those of the base model, embeddings not counted."""
        return self.params_added / (self.params - self.params_embedding)

    @property
    def share_of_multiply_adds(self) -> float:
        """Multiply-adds added over those of the base model."""
        return self.multiply_adds_added / self.multiply_adds


def overhead(model: Backbone) -> Overhead:
    """What a model's adapters add.

    Raises:
        AdapterError: it has none.
    """
    counts = count_parameters(model)
    return Overhead(
        params=counts["params"] - counts["params_added"],
        params_embedding=counts["params_embedding"],
        params_added=counts["params_added"],
        multiply_adds=_multiply_adds(merge_domain(model, 0)),
        multiply_adds_added=sum(
            layer.rank * (layer.shared.in_features + layer.shared.out_features)
            for layer in model.adapted_layers()
        ),
    )


def _multiply_adds(base: Backbone) -> int:
    """Of one row, counted by running the base model without its numbers."""
    ids = torch.zeros(1, base.n_columns, dtype=torch.int32, device="meta")
    _, groups = group_rows(torch.zeros(1), 1)  # which plain layers do not look at
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        base.to("meta").eval()(ids, groups)
    return counter.get_total_flops() // 2
