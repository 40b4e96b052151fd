"""The tables of the MLoRA part."""

import math
import statistics
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from mlorakit import paths
from mlorakit.data.dataset import describe
from mlorakit.data.splits import SPLITS
from mlorakit.models import BACKBONE_TITLES
from mlorakit.statistics import holm, paired_difference

COMPARISONS = (("mlora", "control"), ("mlora", "base"), ("control", "base"))
"""First minus second; the first pair is the effect of the low-rank term itself."""


def data_statistics(datasets: tuple[str, ...]) -> pd.DataFrame:
    """A row per domain, and one for the whole data set: rows per split, share of positives."""
    rows = []
    for name in datasets:
        description, _ = describe(paths.processed_dir(name))
        domains = description["domains"]
        fields = {f["name"]: f["distinct"] for f in description["fields"]}
        for label, members in [(d["name"], [d]) for d in domains] + [("all", domains)]:
            counts = {part: sum(d[f"rows_{part}"] for d in members) for part in SPLITS}
            positives = sum(d[f"positives_{part}"] for d in members for part in SPLITS)
            total = sum(counts.values())
            rows.append(
                {
                    "dataset": name,
                    "domain": label,
                    "users": fields.get("user") if label == "all" else None,
                    "items": fields.get("movie", fields.get("item")) if label == "all" else None,
                    **counts,
                    "rows": total,
                    "positive_share": positives / total,
                }
            )
    return _typed(rows, {"users": "Int64", "items": "Int64"})


def row_account(
    datasets: tuple[str, ...], folder: Callable[[str], Path] = paths.processed_dir
) -> pd.DataFrame:
    """A row per raw file and reason: rows read, kept and rejected.

    Args:
        datasets: names.
        folder: where one lies.
    """
    rows = []
    for name in datasets:
        for file in describe(folder(name))[0]["rows"]:
            head = {"dataset": name, "file": file["file"], "read": file["read"]}
            rows.append(head | {"kept": file["kept"], "rejected": 0, "reason": ""})
            rows[-1]["rejected"] = sum(file["rejected"].values())
            rows += [
                head | {"kept": file["kept"], "rejected": count, "reason": reason}
                for reason, count in file["rejected"].items()
            ]
    return pd.DataFrame(rows)


def wauc(metrics: list[dict]) -> pd.DataFrame:
    """A row per cell: WAUC over seeds, epochs, parameters."""
    keys = ("dataset", "backbone", "variant", "batch_order", "n_seeds", "wauc_mean", "wauc_std")
    more = ("epochs_mean", "params", "params_added", "params_embedding")
    return _typed([{k: m[k] for k in (*keys, *more)} for m in metrics], {"wauc_std": float})


def _typed(rows: list[dict], types: dict[str, Any]) -> pd.DataFrame:
    """A frame of rows; without rows it has no columns that could be of a type."""
    return pd.DataFrame(rows).astype(types) if rows else pd.DataFrame()


def domain_auc(metrics: list[dict]) -> pd.DataFrame:
    """A row per cell and domain: AUC over seeds."""
    rows = []
    for m in metrics:
        for domain in next(iter(m["seeds"].values()))["auc"]:
            found = [seed["auc"][domain] for seed in m["seeds"].values()]
            values = [value for value in found if value is not None]
            rows.append(
                {
                    **{k: m[k] for k in ("dataset", "backbone", "variant", "batch_order")},
                    "domain": domain,
                    "n_seeds": len(values),
                    "auc_mean": statistics.fmean(values) if values else math.nan,
                    "auc_std": statistics.stdev(values) if len(values) > 1 else math.nan,
                }
            )
    return pd.DataFrame(rows)


def comparison(metrics: list[dict]) -> pd.DataFrame:
    """A row per data set, batch order and backbone: variants side by side and their differences.

    Differences pair the seeds. p-values of the paired t-test are corrected by Holm's method over
    all backbones, data sets and batch orders of the table, one family per pair of variants.
    """

    def key(m: dict) -> tuple[str, str, str]:
        return m["dataset"], m["batch_order"], m["backbone"]

    rows = []
    for (dataset, order, backbone), group in groupby(
        sorted(metrics, key=_grid_order(metrics)), key
    ):
        cells = {m["variant"]: m for m in group}
        row: dict[str, Any] = {"dataset": dataset, "batch_order": order, "backbone": backbone}
        row["n_seeds"] = min(m["n_seeds"] for m in cells.values())
        for variant, m in cells.items():
            row |= {variant: m["wauc_mean"], f"{variant}_std": m["wauc_std"]}
        for first, second in COMPARISONS:
            if first in cells and second in cells:
                a, b = (
                    {seed: values["wauc"] for seed, values in cells[v]["seeds"].items()}
                    for v in (first, second)
                )
                difference = paired_difference(a, b)
                name = f"{first}_minus_{second}"
                row |= {name: difference.mean, f"{name}_std": difference.std}
                row[f"{name}_p"] = difference.p
        rows.append(row)
    frame = pd.DataFrame(rows)
    for column in [c for c in frame.columns if c.endswith("_p")]:
        known = [None if pd.isna(p) else float(p) for p in frame[column]]
        frame[column] = pd.Series(holm(known), dtype=float)
    return frame


def _grid_order(metrics: list[dict]) -> Callable[[dict], tuple[int, ...]]:
    place = {
        k: {v: i for i, v in enumerate(dict.fromkeys(m[k] for m in metrics))}
        for k in ("dataset", "batch_order", "backbone", "variant")
    }
    return lambda m: tuple(place[k][m[k]] for k in place)


def readable_comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparison as a person reads it: titles, four decimals, ± where there are seeds."""
    if frame.empty:
        return frame
    variants = [v for v in ("base", "control", "mlora") if v in frame.columns]
    rows = []
    for _, r in frame.iterrows():
        row = {
            "data set": r["dataset"],
            "batches": r["batch_order"],
            "backbone": BACKBONE_TITLES[r["backbone"]],
            **{v: with_spread(r[v], r[f"{v}_std"]) for v in variants},
        }
        for first, second in COMPARISONS[:2]:
            name = f"{first}_minus_{second}"
            if name in frame.columns:
                row[f"{first} − {second}"] = with_spread(r[name], r[f"{name}_std"], signed=True)
                if frame["n_seeds"].max() > 1:
                    row[f"p ({first} − {second})"] = p_text(r[f"{name}_p"])
        rows.append(row)
    return pd.DataFrame(rows)


def readable_wauc(frame: pd.DataFrame) -> pd.DataFrame:
    """`wauc` as a person reads it."""
    if frame.empty:
        return frame
    return pd.DataFrame(
        {
            "data set": frame["dataset"],
            "batches": frame["batch_order"],
            "backbone": frame["backbone"].map(BACKBONE_TITLES),
            "variant": frame["variant"],
            "WAUC": [
                with_spread(*v) for v in zip(frame["wauc_mean"], frame["wauc_std"], strict=True)
            ],
            "seeds": frame["n_seeds"],
            "epochs": frame["epochs_mean"].map("{:.1f}".format),
            "parameters": frame["params"].map("{:,}".format),
            "of which embeddings": frame["params_embedding"].map("{:,}".format),
            "added to base": frame["params_added"].map("{:,}".format),
        }
    )


def readable_domain_auc(frame: pd.DataFrame) -> pd.DataFrame:
    """`domain_auc` as a person reads it: a column per variant."""
    if frame.empty:
        return frame
    values = [with_spread(*v) for v in zip(frame["auc_mean"], frame["auc_std"], strict=True)]
    index = ["dataset", "batch_order", "backbone", "domain"]
    wide = frame.assign(auc=values).pivot_table("auc", index, "variant", aggfunc="first")
    order = frame[index].drop_duplicates()
    variants = list(dict.fromkeys(frame["variant"]))
    wide = wide.reindex(pd.MultiIndex.from_frame(order))[variants].reset_index()
    wide["backbone"] = wide["backbone"].map(BACKBONE_TITLES)
    wide.columns.name = None
    return wide.rename(columns={"dataset": "data set", "batch_order": "batches"})


def with_spread(mean: float, std: float | None, signed: bool = False) -> str:
    """Four decimals, with ± and the standard deviation where there is one."""
    text = f"{mean:+.4f}" if signed else f"{mean:.4f}"
    return text if std is None or pd.isna(std) else f"{text} ± {std:.4f}"


def p_text(p: float | None) -> str:
    """Three digits; blank where there is none, and no 0 where it is too small for a float."""
    if p is None or pd.isna(p):
        return ""
    return "<1e-300" if p < 1e-300 else f"{p:.3g}"
