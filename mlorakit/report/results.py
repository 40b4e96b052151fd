"""Metrics and histories of the grid's cells, as frames."""

import json
from itertools import product
from pathlib import Path

import pandas as pd

from mlorakit import paths
from mlorakit.config import Grid


class MissingCellsError(FileNotFoundError):
    """Cells of params.yaml that have not been trained."""


def grid() -> Grid:
    """`grid` of params.yaml.

    Raises:
        ParameterError: it names something that is not known.
    """
    return Grid.of(**paths.params()["grid"])


Cell = tuple[dict[str, str], str]
"""What names a cell in tables, its data set among it, and the name of its files."""


def _cells() -> list[Cell]:
    g = grid()
    return [
        (
            {"dataset": dataset, "backbone": backbone, "variant": variant, "batch_order": order},
            f"{backbone}-{variant}-{order}",
        )
        for dataset, backbone, variant, order in product(
            g.datasets, g.backbones, g.variants, g.batch_orders
        )
    ]


def find_cells(
    wanted: list[Cell], folder: Path, suffix: str, what: str
) -> list[tuple[dict[str, str], Path]]:
    """The files of some cells, with what names each.

    Args:
        wanted: the cells.
        folder: that has a folder per data set.
        suffix: of the files.
        what: the section of params.yaml that asks for them, for the message.

    Raises:
        MissingCellsError: some have not been trained.
    """
    found = [(keys, folder / keys["dataset"] / f"{name}{suffix}") for keys, name in wanted]
    missing = [(keys, path) for keys, path in found if not path.is_file()]
    if missing:
        names = ", ".join(f"{keys['dataset']}/{path.stem}" for keys, path in missing)
        raise MissingCellsError(
            f"{len(missing)} of {len(found)} cells of {what} in params.yaml have no results in "
            f"{folder}: {names}. `dvc repro` trains them."
        )
    return found


def read_metrics() -> list[dict]:
    """Each cell's metrics with its dataset, backbone, variant and batch_order, in grid order.

    Raises:
        MissingCellsError: some have not been trained.
    """
    found = find_cells(_cells(), paths.reports_dir("metrics"), ".json", "the grid")
    return [keys | json.loads(path.read_text()) for keys, path in found]


def read_histories() -> pd.DataFrame:
    """A row per cell, seed and epoch.

    Raises:
        MissingCellsError: some have not been trained.
    """
    cells = find_cells(_cells(), paths.reports_dir("history"), ".csv", "the grid")
    frames = [pd.read_csv(path).assign(**keys) for keys, path in cells]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
