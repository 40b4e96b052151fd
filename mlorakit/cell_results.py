"""What a cell gives over its seeds, and the files that hold it, whatever kind of model it is."""

import json
import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import polars as pl
from safetensors.torch import save_file
from torch import Tensor

from mlorakit import paths
from mlorakit.data.dataset import MultiDomainData
from mlorakit.models import Backbone
from mlorakit.training import EpochRecord, Evaluation

_PROBABILITY_BINS = 20


class CellConfig(Protocol):
    """What a kind of cell has for its parameters: a dataclass with these."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def dataset(self) -> str:
        """A name under `datasets` in params.yaml."""

    @property
    def cell(self) -> str:
        """Name of the cell among those of its data set."""

    @property
    def batch_size(self) -> int:
        """Rows."""

    @property
    def l2(self) -> float:
        """On embeddings, and what else the kind of cell says."""

    @property
    def patience(self) -> int:
        """Epochs without a better validation AUC before training stops."""

    @property
    def max_epochs(self) -> int:
        """0 for no cap."""

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `auto`."""

    @property
    def threads(self) -> int:
        """Of the CPU."""

    @property
    def into(self) -> str:
        """Folder below the project's root for what the cell writes."""


@dataclass(frozen=True)
class SeedResult:
    """What one seed of a cell gave.

    Args:
        seed: of weights, batches and dropout.
        model: with its best weights.
        history: a record per epoch.
        validation, test: scores of the best weights.
        data: what it was trained on, on the device.
    """

    seed: int
    model: Backbone
    history: list[EpochRecord]
    validation: Evaluation
    test: Evaluation
    data: MultiDomainData

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights the model holds."""
        return max(self.history, key=lambda r: (r.validation_auc, -r.epoch)).epoch


def count_parameters(model: Backbone) -> dict[str, int]:
    """Trainable weights: all, those of embeddings, and those that a variant adds to the base."""
    adapters = sum(
        p.numel()
        for layer in model.adapted_layers()
        for name, p in layer.named_parameters()
        if not name.startswith("shared.")
    )
    return {
        "params": sum(p.numel() for p in model.parameters()),
        "params_embedding": sum(
            table.weight.numel() for table in (model.embedding, model.linear) if table is not None
        ),
        "params_added": adapters,
    }


def summarize(results: list[SeedResult]) -> dict:
    """The cell's metrics: numbers only, per seed and over seeds."""
    waucs = [r.test.wauc for r in results]
    domains = results[0].data.domains
    return {
        "n_seeds": len(results),
        "wauc_mean": _number(statistics.fmean(waucs)),
        "wauc_std": statistics.stdev(waucs) if len(waucs) > 1 else None,
        "epochs_mean": statistics.fmean(len(r.history) for r in results),
        **count_parameters(results[0].model),
        "seeds": {
            str(r.seed): {
                "wauc": _number(r.test.wauc),
                "mean_auc": _number(r.test.mean_auc),
                "log_loss": _number(r.test.log_loss),
                "validation_wauc": _number(r.validation.wauc),
                "validation_mean_auc": _number(r.validation.mean_auc),
                "epochs": len(r.history),
                "best_epoch": r.best_epoch,
                **_stages(r),
                "auc": dict(zip(domains, map(_number, r.test.auc), strict=True)),
            }
            for r in results
        },
    }


def _stages(result: SeedResult) -> dict[str, int]:
    """Of training in two stages: epochs of the first, and which stage the best weights are of."""
    of_epoch = {record.epoch: record.stage for record in result.history}
    best = of_epoch[result.best_epoch]
    if best is None:
        return {}
    return {
        "first_stage_epochs": sum(stage == 1 for stage in of_epoch.values()),
        "best_stage": best,
    }


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return None if math.isnan(value) else value


def history_frame(results: list[SeedResult]) -> pd.DataFrame:
    """A row per seed and epoch; a column `stage` where training had two."""
    frame = pd.DataFrame(
        [{"seed": r.seed, **asdict(record)} for r in results for record in r.history]
    )
    return frame if frame["stage"].notna().any() else frame.drop(columns="stage")


def prediction_summary(results: list[SeedResult]) -> pl.DataFrame:
    """Test predictions per seed, domain and bin of probability: rows, positives, mean."""
    frames = []
    for r in results:
        probability = r.test.logit.sigmoid().double().numpy()
        domain = r.data.test.groups.domain.cpu().numpy()
        place = np.minimum((probability * _PROBABILITY_BINS).astype(int), _PROBABILITY_BINS - 1)
        key = domain * _PROBABILITY_BINS + place
        rows = np.bincount(key)
        filled = np.flatnonzero(rows)
        label = r.data.test.label.cpu().numpy()
        frames.append(
            pl.DataFrame(
                {
                    "seed": np.full(len(filled), r.seed),
                    "domain": filled // _PROBABILITY_BINS,
                    "bin": filled % _PROBABILITY_BINS,
                    "rows": rows[filled],
                    "positives": np.bincount(key, weights=label)[filled].astype(int),
                    "mean_probability": np.bincount(key, weights=probability)[filled]
                    / rows[filled],
                }
            )
        )
    return pl.concat(frames)


def write_cell(results: list[SeedResult], config: CellConfig) -> list[Path]:
    """Write metrics (JSON), history (CSV), prediction summary (parquet) and weights (safetensors).

    Returns:
        The files written, below `config.into` of the project.
    """
    base = paths.root() / config.into
    metrics = base / "metrics" / config.dataset / f"{config.cell}.json"
    history = base / "history" / config.dataset / f"{config.cell}.csv"
    artifacts = base / "cells" / config.dataset / config.cell
    for folder in (metrics.parent, history.parent, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(summarize(results), indent=1) + "\n")
    history_frame(results).to_csv(history, index=False, lineterminator="\n")
    prediction_summary(results).write_parquet(artifacts / "predictions.parquet")
    for r in results:
        save_file(_plain(r.model), artifacts / f"weights-seed-{r.seed}.safetensors")
    return [metrics, history, *sorted(artifacts.iterdir())]


def _plain(model: Backbone) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
