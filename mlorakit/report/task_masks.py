"""What the chosen tickets of two tasks have in common, and which fields they read."""

import statistics

import numpy as np
import pandas as pd
import torch

from mlorakit import paths
from mlorakit.data.dataset import describe
from mlorakit.data.tasks import TASKS
from mlorakit.models.lt4rec import Mask

SHARES = ("shared", "private_ctr", "private_cvr", "unused")
"""What becomes of a weight under the two tasks' masks."""

ROLES = ("both", "ctr", "cvr", "neither")
"""Which labels a field decides in generated data."""


def overlap(masks: dict[str, list[dict[str, Mask]]]) -> pd.DataFrame:
    """A row per data set and layer, and one for the trunk: weights by the tasks that keep them.

    Args:
        masks: per data set and seed, each task's mask; see `report.task_results.read_masks`.

    Returns:
        Counts of `SHARES`, means over seeds, and `shared_by_chance`: what two masks of as many
        weights in each layer would share if one were drawn at random.
    """
    rows: list[dict] = []
    for dataset, seeds in masks.items():
        names = list(seeds[0]["ctr"])
        layers: list[dict] = []
        for number, name in enumerate(names, 1):
            n_out, n_in = seeds[0]["ctr"][name].shape
            found = [
                _shares(pair["ctr"][name].bool().numpy(), pair["cvr"][name].bool().numpy())
                for pair in seeds
            ]
            mean = {key: statistics.fmean(each[key] for each in found) for key in found[0]}
            layers.append({"layer": f"{number}: {n_in} to {n_out}", "weights": n_in * n_out} | mean)
        counts = [key for key in layers[0] if key != "layer"]
        whole: dict = {"layer": "trunk"} | {
            key: sum(layer[key] for layer in layers) for key in counts
        }
        head: dict = {"dataset": dataset, "n_seeds": len(seeds)}
        rows += [head | layer for layer in [*layers, whole]]
    return pd.DataFrame(rows)


def _shares(ctr: np.ndarray, cvr: np.ndarray) -> dict[str, float]:
    return {
        "shared": int((ctr & cvr).sum()),
        "private_ctr": int((ctr & ~cvr).sum()),
        "private_cvr": int((~ctr & cvr).sum()),
        "unused": int((~ctr & ~cvr).sum()),
        "shared_by_chance": int(ctr.sum()) * int(cvr.sum()) / ctr.size,
    }


def field_use(masks: dict[str, list[dict[str, Mask]]]) -> pd.DataFrame:
    """A row per data set and field: how much of it each task's ticket reads.

    The trunk's first layer reads the products of all fields, and then the embedding of each. `ctr`
    and `cvr` are the share of the weights on a field's embedding that the task's ticket keeps, over
    its share of those on all embeddings: 1 is a field like the others.

    Args:
        masks: see `overlap`.

    Returns:
        Means over seeds; `role` is one of `ROLES`, or missing where nothing was planted.
    """
    rows = []
    for dataset, seeds in masks.items():
        description, _ = describe(paths.task_dir(dataset))
        names = [field["name"] for field in description["fields"]]
        planted = description.get("planted", {})
        role = {name: part for part in planted for name in planted[part]}
        use = {task: _use([pair[task] for pair in seeds], len(names)) for task in TASKS}
        rows += [
            {"dataset": dataset, "field": name, "role": role.get(name)}
            | {task: float(use[task][place]) for task in TASKS}
            for place, name in enumerate(names)
        ]
    return pd.DataFrame(rows)


def _use(masks: list[Mask], n_fields: int) -> torch.Tensor:
    """Share of each field's weights that is kept, over the share of all fields; of shape (F,)."""
    first = torch.stack([next(iter(mask.values())) for mask in masks]).double()
    on_embeddings = first[:, :, n_fields * n_fields :]
    kept = on_embeddings.unflatten(2, (n_fields, -1)).mean((1, 3))  # (seeds, F)
    return (kept / kept.mean(1, keepdim=True)).mean(0)
