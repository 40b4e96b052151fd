"""The table of the multi-domain baselines beside the backbones."""

import math
import statistics
from typing import Any

import pandas as pd

from mlorakit.models import BACKBONE_TITLES
from mlorakit.models.baselines import BASELINE_TITLES
from mlorakit.report.published import published_mean_auc
from mlorakit.report.tables import p_text, with_spread
from mlorakit.statistics import holm, paired_difference

BASELINE, BASE, MLORA = "baseline", "base", "mlora"
"""The kinds of model in the table; backbones come as `BASE` and as `MLORA`."""

COMPARED = "mlp"
"""The backbone whose MLoRA each baseline is compared with: the baselines are MLPs too."""

_DIFFERENCE = "mlora_minus"


def baselines(metrics: list[dict], found: list[dict]) -> pd.DataFrame:
    """A row per data set, batch order and model: backbones as `base` and `mlora`, then baselines.

    `mlora_minus` is the WAUC of the MLP with MLoRA minus that of a baseline, paired by seed; p is
    that of the paired t-test, corrected by Holm's method over the table. Paired seeds share the
    batches and not the initial weights.

    Args:
        metrics: see `report.results.read_metrics`.
        found: see `report.baseline_results.read_baselines`.
    """
    if not found:
        return pd.DataFrame()
    rows = []
    for dataset, order in dict.fromkeys((m["dataset"], m["batch_order"]) for m in found):
        own = [m for m in metrics if (m["dataset"], m["batch_order"]) == (dataset, order)]
        published = published_mean_auc(dataset)
        for kind in (BASE, MLORA):
            cells = [m for m in own if m["variant"] == kind]
            # What is published of a backbone is of the base model.
            known = published if kind == BASE else {}
            rows += [_row(m, m["backbone"], kind) | _published(known, m["backbone"]) for m in cells]
        mlora = next(
            (m for m in own if (m["backbone"], m["variant"]) == (COMPARED, MLORA)),
            None,
        )
        rows += [
            _row(m, m["baseline"], BASELINE)
            | _published(published, m["baseline"])
            | _minus(mlora, m)
            for m in found
            if (m["dataset"], m["batch_order"]) == (dataset, order)
        ]
    frame = pd.DataFrame(rows)
    known_p = [None if math.isnan(p) else p for p in frame[f"{_DIFFERENCE}_p"].astype(float)]
    frame[f"{_DIFFERENCE}_p"] = pd.Series(holm(known_p), dtype=float)
    return frame


def _row(m: dict, model: str, kind: str) -> dict[str, Any]:
    means = [v["mean_auc"] for v in m["seeds"].values() if v["mean_auc"] is not None]
    return {
        "dataset": m["dataset"],
        "batch_order": m["batch_order"],
        "kind": kind,
        "model": model,
        "n_seeds": m["n_seeds"],
        "wauc_mean": _number(m["wauc_mean"]),
        "wauc_std": _number(m["wauc_std"]),
        "mean_auc_mean": statistics.fmean(means) if means else math.nan,
        "mean_auc_std": statistics.stdev(means) if len(means) > 1 else math.nan,
        "epochs_mean": m["epochs_mean"],
        "params": m["params"],
        "params_embedding": m["params_embedding"],
        _DIFFERENCE: math.nan,
        f"{_DIFFERENCE}_std": math.nan,
        f"{_DIFFERENCE}_p": math.nan,
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _published(known: dict[str, tuple[float, str]], model: str) -> dict[str, Any]:
    value, source = known.get(model, (math.nan, ""))
    return {"published_mean_auc": value, "published_source": source}


def _minus(mlora: dict | None, baseline: dict) -> dict[str, float]:
    if mlora is None:
        return {}
    first, second = (
        {seed: values["wauc"] for seed, values in m["seeds"].items()} for m in (mlora, baseline)
    )
    difference = paired_difference(first, second)
    return {
        _DIFFERENCE: difference.mean,
        f"{_DIFFERENCE}_std": _number(difference.std),
        f"{_DIFFERENCE}_p": _number(difference.p),
    }


def title_of(kind: str, model: str) -> str:
    """A model's name as tables and figures write it."""
    if kind == BASELINE:
        return BASELINE_TITLES[model]
    return BACKBONE_TITLES[model] + (" + MLoRA" if kind == MLORA else "")


def readable_baselines(frame: pd.DataFrame) -> pd.DataFrame:
    """`baselines` as a person reads it; what no row has is left out."""
    if frame.empty:
        return frame
    several = frame["n_seeds"].max() > 1
    columns = {
        "data set": frame["dataset"],
        "batches": frame["batch_order"],
        "model": [title_of(*v) for v in zip(frame["kind"], frame["model"], strict=True)],
        "WAUC": _spread(frame, "wauc_mean", "wauc_std"),
        "mean AUC": _spread(frame, "mean_auc_mean", "mean_auc_std"),
    }
    if frame["published_mean_auc"].notna().any():
        columns["published mean AUC"] = frame["published_mean_auc"]
    if frame[_DIFFERENCE].notna().any():
        columns["MLP + MLoRA − model"] = _spread(frame, _DIFFERENCE, f"{_DIFFERENCE}_std", True)
        if several:
            columns["p"] = frame[f"{_DIFFERENCE}_p"].map(p_text)
    return pd.DataFrame(
        columns
        | {
            "seeds": frame["n_seeds"],
            "epochs": frame["epochs_mean"].map("{:.1f}".format),
            "parameters": frame["params"].map("{:,}".format),
            "of which embeddings": frame["params_embedding"].map("{:,}".format),
        }
    )


def _spread(frame: pd.DataFrame, mean: str, std: str, signed: bool = False) -> list[str]:
    return [
        "" if pd.isna(m) else with_spread(m, s, signed)
        for m, s in zip(frame[mean], frame[std], strict=True)
    ]
