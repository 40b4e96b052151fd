"""Results of cells as training leaves them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from mlorakit.data import floors as data_floors
from mlorakit.tensor_files import write_tensors

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
            "params_embedding": 11000,
            "params_added": 0 if variant == "base" else 345,
            "seeds": {
                seed: {
                    "wauc": wauc,
                    "mean_auc": wauc - 0.25,
                    "auc": {"female": wauc + 0.125, "male": wauc - 0.125},
                }
                for seed, wauc in waucs.items()
            },
        }

    return make


@pytest.fixture
def baseline(cell: Cell) -> Cell:
    """Makes the metrics of one baseline's cell from its WAUC per seed."""

    def make(name: str, waucs: dict[str, float], **more: str) -> dict:
        made = cell("", "base", waucs, **more)
        return {k: v for k, v in made.items() if k not in ("backbone", "variant")} | {
            "baseline": name
        }

    return make


@pytest.fixture
def point() -> Cell:
    """Makes the metrics of a point of a sweep from its WAUC per seed."""

    def make(
        alpha: int | str,
        waucs: dict[str, float],
        *,
        dataset: str = "generated",
        backbone: str = "mlp",
        hidden: str = "256x128x64",
        n_domains: int = 2,
        added: int = 0,
    ) -> dict:
        values = list(waucs.values())
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        return {
            "dataset": dataset,
            "backbone": backbone,
            "alpha": alpha,
            "hidden": hidden,
            "n_domains": n_domains,
            "rows_train": 1000 * n_domains,
            "n_seeds": len(values),
            "wauc_mean": mean,
            "wauc_std": (squares / (len(values) - 1)) ** 0.5 if len(values) > 1 else None,
            "params": 1000 + added,
            "params_embedding": 800,
            "params_added": added,
            "seeds": {seed: {"wauc": wauc} for seed, wauc in waucs.items()},
        }

    return make


@pytest.fixture
def new_domain_cell() -> Cell:
    """Makes the metrics of a new-domain cell from WAUC per seed: none, each share, full."""

    def make(
        waucs: dict[str, tuple[float, ...]],
        *,
        dataset: str = "generated",
        backbone: str = "mlp",
        shares: tuple[float, ...] = (0.1, 1.0),
    ) -> dict:
        keys = [("none", 0.0), *(("adapter", share) for share in shares), ("full", 1.0)]
        return {
            "dataset": dataset,
            "backbone": backbone,
            "n_seeds": len(waucs),
            "seeds": {
                seed: {
                    "held_out": {"a": 60, "b": 40},
                    "known": {"user": 0.25, "item": 1.0},
                    "ways": [
                        {
                            "way": way,
                            "share": share,
                            "wauc": value,
                            "mean_auc": value,
                            "rows_train": round(500 * share),
                            "rows_validation": round(100 * share),
                            "epochs": 0 if way == "none" else 4,
                            "weights_trained": {"none": 0, "adapter": 70, "full": 900}[way],
                            "weights_added": 0 if way == "none" else 70,
                            "auc": {"a": value, "b": value},
                        }
                        for (way, share), value in zip(keys, values, strict=True)
                    ],
                }
                for seed, values in waucs.items()
            },
        }

    return make


KEPT = (100, 50, 25)
"""Weights that the tickets of a tree keep in rounds 0 to 2, of 100."""

DRAWS = np.linspace(-0.02, 0.02, 41)
"""Deviations of the replicates of a tree: all methods share them, so differences have none."""


class Tree:
    """Results of LT4REC's cells as the stages leave them, below reports/lt4rec of a project.

    A metric of a method is the number given for it, and seeds 1 and 2 lie 0.01 below and above. Two
    layers, of 8 x 10 and 2 x 10 weights.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "reports" / "lt4rec"

    def data(self, dataset: str, *, best: dict[str, float], planted: dict[str, list]) -> None:
        """Write dataset.json of 100 rows."""
        folder = self.root / "data" / "processed" / "tasks" / dataset
        folder.mkdir(parents=True)
        parts = {"train": 60, "validation": 20, "test": 20}
        splits = {
            part: {"rows": n, "clicks": n // 2, "converting_rows": n // 2, "clusters": n // 10}
            for part, n in parts.items()
        }
        content = {
            "name": dataset,
            "best": best,
            "planted": planted,
            "fields": [{"name": "user", "table": "user", "columns": 1}],
            "tables": {"user": 12},
            "splits": splits,
            "rows": [{"file": "rows.gz", "read": 103, "kept": 100, "rejected": {"odd": 3}}],
        }
        (folder / "dataset.json").write_text(json.dumps(content))

    def prune(
        self, dataset: str, task: str, metrics: dict[str, list[float]], losses: list[float]
    ) -> None:
        """Write a cell of three rounds.

        Args:
            dataset: name.
            task: `ctr` or `cvr`.
            metrics: of each round.
            losses: on validation, of each round.
        """
        rounds = {}
        for number, kept in enumerate(KEPT):
            found = {metric: values[number] for metric, values in metrics.items()}
            seeds = self._seeds(found)
            for values in seeds.values():
                values["validation_loss"] = losses[number]
            rounds[str(number)] = {
                "kept": kept,
                "kept_share": kept / 100,
                "multiply_adds": kept + 2,
                "validation_loss": losses[number],
                **self._intervals(found),
                "seeds": seeds,
            }
        cell = f"prune-{task}"
        self._metrics(dataset, cell, {"n_seeds": 2, "total": 100, "rounds": rounds})
        self._replicates(dataset, cell, dict(enumerate(rounds.values())))
        for seed in (1, 2):
            for number, kept in enumerate(KEPT):
                # Seed 1's click ticket keeps the first weights, all others the last.
                flat = torch.arange(100) < kept
                if (task, seed) != ("ctr", 1):
                    flat = flat.flip(0)
                mask = {
                    "trunk.0.weight": flat[:80].view(8, 10).to(torch.uint8),
                    "trunk.1.weight": flat[80:].view(2, 10).to(torch.uint8),
                }
                path = self.folder / "cells" / dataset / cell
                header = {"round": number, "kept": kept, "total": 100}
                write_tensors(path / f"seed-{seed}-round-{number}.safetensors", mask, header)

    def select(self, dataset: str, ctr: int, cvr: int) -> None:
        """Write the chosen rounds."""
        chosen = {"ctr": {"round": ctr}, "cvr": {"round": cvr}}
        self._metrics(dataset, "select", chosen)

    def multitask(self, dataset: str, method: str, metrics: dict[str, float]) -> None:
        """Write a cell of a multi-task model; its history has two epochs of two stretches each."""
        few = method == "sparse"
        content = {
            "n_seeds": 2,
            "kept": {"ctr": 50 if few else 100, "cvr": 25 if few else 100},
            "total": 100,
            "kept_share": 0.6 if few else 1,
            "multiply_adds": {"ctr": 52 if few else 102, "cvr": 27 if few else 102},
            **self._intervals(metrics),
            "seeds": self._seeds(metrics),
        }
        cell = f"multitask-{method}"
        self._metrics(dataset, cell, content)
        self._replicates(dataset, cell, {-1: content})
        rows = [
            f"{seed},{epoch},{task},{0.5 / epoch + 0.01 * seed},"
            + (f"{0.4 / epoch + 0.01 * seed}\n" if epoch % 1 == 0 else "\n")
            for seed in (1, 2)
            for epoch in (0.5, 1, 1.5, 2)
            for task in ("ctr", "cvr")
        ]
        path = self.folder / "history" / dataset / f"{cell}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("seed,epoch,task,train_loss,validation_loss\n" + "".join(rows))

    @staticmethod
    def _seeds(metrics: dict[str, float]) -> dict[str, dict[str, float]]:
        return {
            seed: {metric: value + step for metric, value in metrics.items()}
            for seed, step in (("1", -0.01), ("2", 0.01))
        }

    @staticmethod
    def _intervals(metrics: dict[str, float]) -> dict[str, dict]:
        return {
            metric: {"value": value, "low": value - 0.019, "high": value + 0.019, "std": 0.0141}
            for metric, value in metrics.items()
        }

    def _metrics(self, dataset: str, cell: str, content: dict) -> None:
        path = self.folder / "metrics" / dataset / f"{cell}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")

    def _replicates(self, dataset: str, cell: str, results: dict[int, dict]) -> None:
        frames = [
            pl.DataFrame(
                {
                    "round": pl.Series([number] * len(DRAWS), dtype=pl.Int32),
                    "metric": [metric] * len(DRAWS),
                    "replicate": pl.Series(range(len(DRAWS)), dtype=pl.Int32),
                    "value": result[metric]["value"] + DRAWS,
                }
            )
            for number, result in results.items()
            for metric in ("ctr_auc", "cvr_mse", "cvr_auc")
            if metric in result
        ]
        path = self.folder / "cells" / dataset / cell / "replicates.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Backwards: who reads them must not count on their order.
        pl.concat(frames).reverse().write_parquet(path)


FLOORS = [
    {"floor": "constant", "metric": "ctr_auc", "value": 0.5, "low": 0.5, "high": 0.5, "rows": 20},
    {"floor": "constant", "metric": "cvr_mse", "value": 0.2, "low": 0.1, "high": 0.3, "rows": 10},
    {"floor": "position", "metric": "ctr_auc", "value": 0.6, "low": 0.55, "high": 0.65, "rows": 20},
]


@pytest.fixture
def tree(project: Path, set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Results of two data sets, `census` with a second label that is a share."""
    set_params(lt4rec={"datasets": ["movielens", "census"], "methods": ["sparse", "hard"]})
    monkeypatch.setattr(data_floors, "floors", lambda name: FLOORS)
    found = Tree(project)
    for dataset in ("movielens", "census"):
        binary = dataset == "movielens"
        best = {} if binary else {"ctr_auc": 0.9}
        found.data(dataset, best=best, planted={} if binary else {"cvr": ["user"]})
        found.prune(dataset, "ctr", {"ctr_auc": [0.7, 0.72, 0.71]}, [0.31, 0.28, 0.29])
        cvr = {"cvr_mse": [0.2, 0.19, 0.18]} | ({"cvr_auc": [0.6, 0.61, 0.62]} if binary else {})
        found.prune(dataset, "cvr", cvr, [0.2, 0.21, 0.19])
        found.select(dataset, ctr=1, cvr=2)
        more = {"cvr_auc": 0.7} if binary else {}
        found.multitask(dataset, "sparse", {"ctr_auc": 0.75, "cvr_mse": 0.15} | more)
        found.multitask(dataset, "hard", {"ctr_auc": 0.76, "cvr_mse": 0.16} | more)
    return found
