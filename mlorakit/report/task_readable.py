"""The tables of the LT4REC part as a person reads them."""

import math

import pandas as pd

from mlorakit.data.tasks import TASKS
from mlorakit.report.tables import p_text
from mlorakit.report.task_masks import SHARES
from mlorakit.report.task_methods import FLOOR_TITLES, LOWER_IS_BETTER, METRICS, method_title


def with_interval(value: float, low: float, high: float, metric: str, signed: bool = False) -> str:
    """A value and its interval; five decimals for a squared error, four for an AUC."""
    if math.isnan(value):
        return ""
    digits = 5 if metric in LOWER_IS_BETTER else 4
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    if math.isnan(low):
        return form.format(value)
    return f"{form.format(value)} ({form.format(low)} to {form.format(high)})"


def readable_tasks(frame: pd.DataFrame, floors: pd.DataFrame) -> pd.DataFrame:
    """`tasks` as a person reads it, with each data set's records and its floors below its methods.

    Args:
        frame: see `tasks`.
        floors: see `floors`.
    """
    if frame.empty:
        return frame
    metrics = [metric for metric in METRICS if metric in frame.columns]
    rows = []
    for dataset, methods in frame.groupby("dataset", sort=False):
        below = floors[floors["dataset"] == dataset]
        label = f"{dataset}, {below['records'].iloc[0]:,} records"
        for row in methods.to_dict("records"):
            values = {METRICS[m]: _interval_of(row, m) for m in metrics}
            costs = {
                "weights kept": f"{row['kept_share']:.2%}",
                **{
                    f"multiply-adds {task.upper()}": f"{row[f'multiply_adds_{task}']:,}"
                    for task in TASKS
                },
                "seeds": str(row["n_seeds"]),
            }
            rows.append(
                {"data set": label, "method": method_title(row["method"]), **values, **costs}
            )
        for floor, found in below.groupby("floor", sort=False):
            values = {METRICS[m]: "" for m in metrics}
            for row in found.to_dict("records"):
                values[METRICS[row["metric"]]] = with_interval(
                    row["value"], row["low"], row["high"], row["metric"]
                )
            rows.append({"data set": label, "method": FLOOR_TITLES[str(floor)], **values})
    return pd.DataFrame(rows)


def _interval_of(row: dict, metric: str) -> str:
    value, low, high = (row[f"{metric}{end}"] for end in ("", "_low", "_high"))
    return with_interval(value, low, high, metric)


def readable_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """`differences` as a person reads it."""
    if frame.empty:
        return frame
    rows = frame.to_dict("records")
    return pd.DataFrame(
        {
            "data set": frame["dataset"],
            "metric": frame["metric"].map(METRICS),
            "sparse sharing minus": frame["other"].map(method_title),
            "difference": [
                with_interval(r["difference"], r["low"], r["high"], r["metric"], signed=True)
                for r in rows
            ],
            "own intervals": ["apart" if r["apart"] else "overlap" for r in rows],
            "p (Holm)": frame["p_holm"].map(p_text),
            "seeds better": [f"{r['seeds_better']} of {r['n_seeds']}" for r in rows],
            "verdict": frame["verdict"],
        }
    )


def readable_selection(frame: pd.DataFrame) -> pd.DataFrame:
    """The rounds side by side: validation loss of each, the chosen one named."""
    if frame.empty:
        return frame
    rows = []
    for (dataset, task), found in frame.groupby(["dataset", "task"], sort=False):
        chosen = found[found["chosen"]].iloc[0]
        row = {
            "data set": dataset,
            "task": str(task).upper(),
            "chosen": f"round {chosen['round']}",
            "weights kept": f"{chosen['kept']:,} ({chosen['kept_share']:.2%})",
        }
        for r in found.to_dict("records"):
            name = "dense" if r["round"] == 0 else f"round {r['round']}"
            row[name] = f"{r['validation_loss']:.5f}"
        rows.append(row)
    return pd.DataFrame(rows)


def readable_overlap(frame: pd.DataFrame) -> pd.DataFrame:
    """`overlap` in shares of each layer's weights."""
    if frame.empty:
        return frame
    titles = {"private_ctr": "CTR alone", "private_cvr": "CVR alone"}
    return pd.DataFrame(
        {
            "data set": frame["dataset"],
            "layer": frame["layer"],
            "weights": frame["weights"].map("{:,}".format),
            **{
                titles.get(name, name.replace("_", " ")): [
                    f"{count / weights:.2%}"
                    for count, weights in zip(frame[name], frame["weights"], strict=True)
                ]
                for name in (*SHARES, "shared_by_chance")
            },
        }
    )
