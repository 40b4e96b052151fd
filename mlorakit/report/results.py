"""Metrics and histories of the grid's cells, as frames."""

import json
from itertools import product
from pathlib import Path

import pandas as pd

from mlorakit import paths
from mlorakit.config import Grid


class MissingCellsError(FileNotFoundError):
    """Cells of the grid that have not been trained."""


def grid() -> Grid:
    """`grid` of params.yaml.

    Raises:
        ParameterError: it names something that is not known.
    """
    return Grid.of(**paths.params()["grid"])


def _cells(folder: Path, suffix: str) -> list[tuple[dict[str, str], Path]]:
    cells: list[tuple[dict[str, str], Path]] = []
    missing: list[tuple[dict[str, str], Path]] = []
    g = grid()
    for dataset, backbone, variant, order in product(
        g.datasets, g.backbones, g.variants, g.batch_orders
    ):
        path = folder / dataset / f"{backbone}-{variant}-{order}{suffix}"
        keys = {"dataset": dataset, "backbone": backbone, "variant": variant, "batch_order": order}
        (cells if path.is_file() else missing).append((keys, path))
    if missing:
        names = ", ".join(f"{keys['dataset']}/{path.stem}" for keys, path in missing)
        raise MissingCellsError(
            f"{len(missing)} of {len(missing) + len(cells)} cells of the grid in params.yaml have "
            f"no results in {folder}: {names}. `dvc repro` trains them."
        )
    return cells


def read_metrics() -> list[dict]:
    """Each cell's metrics with its dataset, backbone, variant and batch_order, in grid order.

    Raises:
        MissingCellsError: some have not been trained.
    """
    folder = paths.reports_dir("metrics")
    return [keys | json.loads(path.read_text()) for keys, path in _cells(folder, ".json")]


def read_histories() -> pd.DataFrame:
    """A row per cell, seed and epoch.

    Raises:
        MissingCellsError: some have not been trained.
    """
    cells = _cells(paths.reports_dir("history"), ".csv")
    frames = [pd.read_csv(path).assign(**keys) for keys, path in cells]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
