"""Metrics of cells as training leaves them."""

from collections.abc import Callable

import pytest

Cell = Callable[..., dict]


@pytest.fixture
def cell() -> Cell:
    """Makes the metrics of one cell from its WAUC per seed."""

    def make(
        backbone: str,
        variant: str,
        waucs: dict[str, float],
        *,
        dataset: str = "generated",
        batch_order: str = "mixed",
    ) -> dict:
        values = list(waucs.values())
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        return {
            "dataset": dataset,
            "backbone": backbone,
            "variant": variant,
            "batch_order": batch_order,
            "n_seeds": len(values),
            "wauc_mean": mean,
            "wauc_std": (squares / (len(values) - 1)) ** 0.5 if len(values) > 1 else None,
            "epochs_mean": 4.5,
            "params": 12345,
            "params_embedding": 12000,
            "params_added": 0 if variant == "base" else 345,
            "seeds": {
                seed: {"wauc": wauc, "auc": {"female": wauc + 0.125, "male": wauc - 0.125}}
                for seed, wauc in waucs.items()
            },
        }

    return make
