"""The tables of the LT4REC part."""

import math
import statistics
from itertools import groupby

import numpy as np
import pandas as pd
from scipy.stats import norm

from mlorakit import paths
from mlorakit.bootstrap import Interval
from mlorakit.data import floors as data_floors
from mlorakit.data.dataset import describe
from mlorakit.data.splits import SPLITS
from mlorakit.data.tasks import TASKS
from mlorakit.report.task_methods import LOWER_IS_BETTER, METRICS, Score
from mlorakit.statistics import holm

SPARSE = "sparse"
"""The method that the others are compared with."""

SIGNIFICANT = 0.05

FEW_CLUSTERS = 1000
"""With fewer sessions or users than this on test, such as those of LT4REC's public sample, methods
are ranked only where their own intervals do not overlap either."""

_ROUNDING = 1e-12  # a smaller spread of differences is that of floating-point numbers alone


def task_data(datasets: tuple[str, ...]) -> pd.DataFrame:
    """A row per data set and split: rows, sessions or users, labels."""
    rows = []
    for name in datasets:
        description, _ = describe(paths.task_dir(name))
        for part in SPLITS:
            counts = description["splits"][part]
            rows.append(
                {
                    "dataset": name,
                    "split": part,
                    "rows": counts["rows"],
                    "clusters": counts["clusters"],
                    "clicks": counts["clicks"],
                    "converting_rows": counts["converting_rows"],
                    "fields": len(description["fields"]),
                    "ids": sum(description["tables"].values()),
                }
            )
    return pd.DataFrame(rows)


def floors(datasets: tuple[str, ...]) -> pd.DataFrame:
    """A row per data set and floor: what needs no model; where labels are drawn, also the `best`
    score that a model can expect.
    """
    rows: list[dict] = []
    for name in datasets:
        description, _ = describe(paths.task_dir(name))
        counts = description["splits"]
        head = {"dataset": name, "records": sum(counts[part]["rows"] for part in SPLITS)}
        head |= {f"test_{key}": counts["test"][key] for key in ("rows", "clusters")}
        rows += [head | row for row in data_floors.floors(name)]
        rows += [
            head
            | {"floor": "best", "metric": metric}
            | {"value": value, "low": math.nan, "high": math.nan, "rows": None}
            for metric, value in description.get("best", {}).items()
        ]
    return pd.DataFrame(rows).astype({"rows": "Int64"}) if rows else pd.DataFrame()


def tasks(scores: list[Score]) -> pd.DataFrame:
    """A row per data set and method: each metric with its interval, weights kept, multiply-adds."""
    rows = []
    for (dataset, method), group in groupby(scores, lambda s: (s.dataset, s.method)):
        found = list(group)
        row: dict = {"dataset": dataset, "method": method}
        row["n_seeds"] = min(len(score.seeds) for score in found)
        for score in found:
            interval = score.interval
            row |= {score.metric: interval.value, f"{score.metric}_low": interval.low}
            row |= {f"{score.metric}_high": interval.high, f"{score.metric}_std": score.std}
        row["kept_share"] = found[0].kept_share
        for score in found:
            row |= {f"kept_{score.task}": score.kept}
            row |= {f"multiply_adds_{score.task}": score.multiply_adds}
        rows.append(row)
    return _ordered(pd.DataFrame(rows))


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Metrics first, in their order, though a data set may lack one."""
    if frame.empty:
        return frame
    ends = ("", "_low", "_high", "_std")
    metrics = [m + end for m in METRICS for end in ends if m + end in frame.columns]
    costs = [f"{name}_{task}" for name in ("kept", "multiply_adds") for task in TASKS]
    frame = frame[["dataset", "method", "n_seeds", *metrics, "kept_share", *costs]]
    return frame.astype(dict.fromkeys(metrics, float) | dict.fromkeys(costs, "Int64"))


def differences(scores: list[Score], floors: pd.DataFrame) -> pd.DataFrame:
    """A row per data set, metric and other method: sparse sharing minus the other.

    The interval is that of paired replicates; `apart` says whether the two methods' own intervals
    are, which asks for more. p is two-sided, of the difference over the standard deviation of its
    replicates as a normal, corrected by Holm's method over all data sets and methods, one family
    per metric. The replicates draw test rows; whether other initial weights would give the same is
    for the seeds to say. The verdict is therefore `better` or `worse` only where the interval
    leaves out 0, the corrected p is below 0.05, and every seed, of at least two, points the same
    way, and where there are fewer than `FEW_CLUSTERS`, only with intervals `apart`; else it is
    `undecided`. It is `below floor` where neither method beats a constant
    prediction: which of the two fails by more is no ranking.

    Args:
        scores: see `report.task_results.read_scores`.
        floors: see `floors`.
    """
    rows = []
    sparse = {(s.dataset, s.metric): s for s in scores if s.method == SPARSE}
    constant = _constants(floors)
    few = set() if floors.empty else set(floors["dataset"][floors["test_clusters"] < FEW_CLUSTERS])
    for score in scores:
        mine = sparse.get((score.dataset, score.metric))
        if mine is None or score.method == SPARSE:
            continue
        interval = mine.interval.minus(score.interval)
        seeds = [mine.seeds[s] - score.seeds[s] for s in mine.seeds if s in score.seeds]
        floor = constant.get((score.dataset, score.metric), math.nan)
        both = (mine.interval, score.interval)
        rows.append(
            {
                "dataset": score.dataset,
                "metric": score.metric,
                "other": score.method,
                "difference": interval.value,
                "low": interval.low,
                "high": interval.high,
                "std": statistics.stdev(seeds) if len(seeds) > 1 else math.nan,
                "apart": max(one.low for one in both) > min(one.high for one in both),
                "p": _p(interval),
                "seeds_better": sum(_improves(d, score.metric) for d in seeds),
                "n_seeds": len(seeds),
                "few_clusters": score.dataset in few,
                "above_floor": math.isnan(floor)
                or any(_improves(one.value - floor, score.metric) for one in both),
            }
        )
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows)
    for _, family in frame.groupby("metric"):
        known = [None if math.isnan(p) else p for p in family["p"]]
        frame.loc[family.index, "p_holm"] = pd.Series(holm(known), family.index, dtype=float)
    frame["verdict"] = [_verdict(row) for row in frame.to_dict("records")]
    order = {metric: place for place, metric in enumerate(METRICS)}
    datasets = {name: place for place, name in enumerate(dict.fromkeys(frame["dataset"]))}
    key = frame["dataset"].map(datasets) * len(order) + frame["metric"].map(order)
    frame = frame.iloc[key.argsort(kind="stable")].reset_index(drop=True)
    return frame.drop(columns=["above_floor", "few_clusters"])


def _constants(floors: pd.DataFrame) -> dict[tuple[str, str], float]:
    """What a constant prediction scores, per data set and metric."""
    if floors.empty:
        return {}
    rows = floors[floors["floor"] == "constant"].to_dict("records")
    return {(row["dataset"], row["metric"]): row["value"] for row in rows}


def _p(interval: Interval) -> float:
    drawn = interval.replicates[~np.isnan(interval.replicates)]
    spread = float(drawn.std(ddof=1)) if len(drawn) > 1 else 0.0
    if spread < _ROUNDING or math.isnan(interval.value):
        return math.nan
    return float(2 * norm.sf(abs(interval.value) / spread))


def _improves(difference: float, metric: str) -> bool:
    return difference < 0 if metric in LOWER_IS_BETTER else difference > 0


def _verdict(row: dict) -> str:
    if not row["above_floor"]:
        return "below floor"
    decided = row["n_seeds"] > 1 and row["p_holm"] < SIGNIFICANT and row["low"] * row["high"] > 0
    decided = decided and (row["apart"] or not row["few_clusters"])
    if decided and row["seeds_better"] == row["n_seeds"]:
        return "better"
    if decided and row["seeds_better"] == 0:
        return "worse"
    return "undecided"
