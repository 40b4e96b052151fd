"""Results of LT4REC's cells on disk."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import torch

from mlorakit.tensor_files import write_tensors

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
