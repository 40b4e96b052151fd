"""Metrics of the multi-domain baselines' cells."""

import json
from itertools import product

from mlorakit import paths
from mlorakit.baseline_config import BaselineGrid, baseline_cell
from mlorakit.report.results import Cell, find_cells, grid


def baseline_grid() -> BaselineGrid:
    """`baselines` of params.yaml.

    Raises:
        ParameterError: it names something that is not known.
    """
    return BaselineGrid.of(models=paths.params()["baselines"]["models"])


def read_baselines() -> list[dict]:
    """Each cell's metrics with its dataset, baseline and batch_order, in the order of params.yaml.

    Raises:
        MissingCellsError: some have not been trained.
    """
    g = grid()
    wanted: list[Cell] = [
        (
            {"dataset": dataset, "baseline": baseline, "batch_order": order},
            baseline_cell(baseline, order),
        )
        for dataset, baseline, order in product(g.datasets, baseline_grid().models, g.batch_orders)
    ]
    found = find_cells(wanted, paths.reports_dir("metrics"), ".json", "the baselines")
    return [keys | json.loads(path.read_text()) for keys, path in found]
