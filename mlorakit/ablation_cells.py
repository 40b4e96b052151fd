"""Metrics of the points of a sweep."""

import json
from pathlib import Path

from mlorakit import paths
from mlorakit.ablation_config import AblationConfig
from mlorakit.cell_results import SeedResult, summarize


def point_metrics(results: list[SeedResult]) -> dict:
    """`summarize`, with the number of domains and of training rows."""
    data = results[0].data
    return {"n_domains": data.n_domains, "rows_train": len(data.train), **summarize(results)}


def write_point(results: list[SeedResult], config: AblationConfig) -> Path:
    """Write a point's metrics (JSON) below `config.into` of the project."""
    folder = paths.root() / config.into / config.sweep / config.dataset
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{config.point}.json"
    path.write_text(json.dumps(point_metrics(results), indent=1) + "\n")
    return path
