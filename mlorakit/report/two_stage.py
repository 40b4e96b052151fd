"""The table of training in two stages beside joint training."""

import json
from itertools import product
from typing import Any

import pandas as pd

from mlorakit import paths
from mlorakit.models import BACKBONE_TITLES
from mlorakit.report.results import Cell, find_cells, grid
from mlorakit.report.tables import p_text, with_spread
from mlorakit.statistics import holm, paired_difference
from mlorakit.train_config import TwoStageGrid

_KEYS = ("dataset", "batch_order", "backbone")


def two_stage_grid() -> TwoStageGrid:
    """`two_stage` of params.yaml.

    Raises:
        ParameterError: it names something that is not known.
    """
    return TwoStageGrid.of(**paths.params()["two_stage"])


def read_two_stage() -> list[dict]:
    """Metrics of the cells trained in two stages, with their names as those of the grid have them.

    Raises:
        MissingCellsError: some have not been trained.
    """
    g = grid()
    wanted: list[Cell] = [
        (
            {"dataset": dataset, "backbone": backbone, "variant": "mlora", "batch_order": order},
            f"{backbone}-mlora-{order}-two_stage",
        )
        for dataset, backbone, order in product(
            g.datasets, two_stage_grid().backbones, g.batch_orders
        )
    ]
    found = find_cells(wanted, paths.reports_dir("metrics"), ".json", "two_stage")
    return [keys | json.loads(path.read_text()) for keys, path in found]


def two_stage(metrics: list[dict], staged: list[dict]) -> pd.DataFrame:
    """A row per data set, batch order and backbone: WAUC of mlora trained either way.

    Differences pair the seeds, and p-values of the paired t-test are corrected by Holm's method
    over the rows of the table.

    Args:
        metrics: cells of the grid, see `report.results.read_metrics`. Of these `mlora` is the other
            side; a row whose backbone the grid lacks has none.
        staged: see `read_two_stage`.
    """
    joint = {tuple(m[k] for k in _KEYS): m for m in metrics if m["variant"] == "mlora"}
    rows = []
    for m in staged:
        seeds = m["seeds"]
        row: dict[str, Any] = {k: m[k] for k in _KEYS} | {
            "n_seeds": m["n_seeds"],
            "joint": None,
            "joint_std": None,
            "two_stage": m["wauc_mean"],
            "two_stage_std": m["wauc_std"],
            "two_stage_minus_joint": None,
            "two_stage_minus_joint_std": None,
            "two_stage_minus_joint_p": None,
            "second_stage_better": sum(seed["best_stage"] == 2 for seed in seeds.values()),
            "joint_epochs": None,
            "two_stage_epochs": m["epochs_mean"],
        }
        other = joint.get(tuple(m[k] for k in _KEYS))
        if other is not None:
            difference = paired_difference(
                *({s: v["wauc"] for s, v in c["seeds"].items()} for c in (m, other))
            )
            row |= {
                "n_seeds": min(m["n_seeds"], other["n_seeds"]),
                "joint": other["wauc_mean"],
                "joint_std": other["wauc_std"],
                "two_stage_minus_joint": difference.mean,
                "two_stage_minus_joint_std": difference.std,
                "two_stage_minus_joint_p": difference.p,
                "joint_epochs": other["epochs_mean"],
            }
        rows.append(row)
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows)
    frame["two_stage_minus_joint_p"] = holm([row["two_stage_minus_joint_p"] for row in rows])
    numbers = [c for c in frame.columns if c not in (*_KEYS, "n_seeds", "second_stage_better")]
    return frame.astype(dict.fromkeys(numbers, float))


def readable_two_stage(frame: pd.DataFrame) -> pd.DataFrame:
    """`two_stage` as a person reads it."""
    if frame.empty:
        return frame
    rows = []
    for _, r in frame.iterrows():
        known = not pd.isna(r["joint"])
        name = "two_stage_minus_joint"
        row = {
            "data set": r["dataset"],
            "batches": r["batch_order"],
            "backbone": BACKBONE_TITLES[r["backbone"]],
            "joint": with_spread(r["joint"], r["joint_std"]) if known else "",
            "two stages": with_spread(r["two_stage"], r["two_stage_std"]),
            "two stages − joint": with_spread(r[name], r[f"{name}_std"], True) if known else "",
        }
        if frame["n_seeds"].max() > 1:
            row["p"] = p_text(r[f"{name}_p"])
        row["seeds"] = r["n_seeds"]
        row["stage 2 better"] = r["second_stage_better"]
        rows.append(row)
    return pd.DataFrame(rows)
