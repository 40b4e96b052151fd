"""The figures of the LT4REC part."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter

from mlorakit.report.task_masks import ROLES, SHARES
from mlorakit.report.task_methods import (
    FLOOR_TITLES,
    LOWER_IS_BETTER,
    METHOD_TITLES,
    METRICS,
    SINGLE,
    Score,
    round_of,
)

# Okabe and Ito's palette, told apart with any colour vision.
METHOD_COLOURS = {"hard": "#0072B2", "mmoe": "#E69F00", "ple": "#009E73", "sparse": "#D55E00"}
SHARE_COLOURS = {
    "shared": "#009E73",
    "private_ctr": "#0072B2",
    "private_cvr": "#E69F00",
    "unused": "#E5E5E5",
}
SHARE_TITLES = {
    "shared": "kept by both tasks",
    "private_ctr": "by CTR alone",
    "private_cvr": "by CVR alone",
    "unused": "by neither",
}
ROLE_TITLES = {
    "both": "decides both",
    "ctr": "decides clicks",
    "cvr": "decides the\nshare watched",
    "neither": "decides neither",
}
_DENSE, _TICKET, _FLOOR = "#000000", "#CC79A7", "#666666"
_MARKERS = {"hard": "s", "mmoe": "^", "ple": "v", "sparse": "D"}
_STEP = 0.06  # epochs between the points of two models
_ROOM = 1.0  # a floor is drawn if it lies at most this many spans of the scores away from them


def scores_by_kept(
    scores: list[Score], selection: pd.DataFrame, floors: pd.DataFrame, dataset: str
) -> Figure:
    """Each metric of a data set: tickets against the share of weights that they keep, beside them
    the multi-task models; the dense network's line and band run through both.

    Args:
        scores: see `report.task_results.read_scores`.
        selection: see `report.task_results.read_selection`; a ring marks the chosen rounds.
        floors: see `report.task_tables.floors`; drawn where they lie near the scores.
        dataset: which of them.
    """
    chosen = [score for score in scores if score.dataset == dataset]
    metrics = [m for m in METRICS if any(score.metric == m for score in chosen)]
    figure = Figure(figsize=(7.2, 2.5 * len(metrics) + 0.5), layout="constrained")
    panels = figure.subplots(
        len(metrics), 2, sharex="col", sharey="row", squeeze=False, width_ratios=(3, 2)
    )
    rounds = selection[(selection["dataset"] == dataset) & selection["chosen"]]
    best = dict(zip(rounds["task"], rounds["round"], strict=True))
    for metric, (left, right) in zip(metrics, panels, strict=True):
        of_metric = [score for score in chosen if score.metric == metric]
        _tickets(left, of_metric, best.get(metric[:3]))
        _multitask(right, [score for score in of_metric if round_of(score.method) is None])
        (dense,) = (score for score in of_metric if score.method == SINGLE)
        for axes in (left, right):
            axes.axhspan(dense.interval.low, dense.interval.high, color=_DENSE, alpha=0.08, lw=0)
            axes.axhline(dense.interval.value, color=_DENSE, lw=1, label="dense")
        _floor_lines(left, right, floors, dataset, metric)
        better = "lower" if metric in LOWER_IS_BETTER else "higher"
        left.set_ylabel(f"test {METRICS[metric]}\n({better} is better)")
    panels[0][0].set_title("single-task tickets")
    panels[0][1].set_title("multi-task models")
    panels[-1][0].set_xlabel("weights of the trunk kept")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"{dataset}: means over seeds, 95 % intervals over sessions or users")
    return figure


def _tickets(axes: Axes, scores: list[Score], chosen: int | None) -> None:
    tickets = [score for score in scores if round_of(score.method) is not None]
    kept = [score.kept / score.total for score in tickets]
    value = [score.interval.value for score in tickets]
    axes.errorbar(
        kept, value, _arms(tickets), color=_TICKET, marker="o", ms=5, capsize=2, label="ticket"
    )
    for share, score in zip(kept, tickets, strict=True):
        if round_of(score.method) == chosen:
            axes.plot(
                share, score.interval.value, "o", ms=12, mfc="none", mec="#000000", mew=1.2,
                label="chosen on validation for sparse sharing",
            )  # fmt: skip
    # Each round keeps the same share of what was left: even steps on a logarithmic axis.
    axes.set_xscale("log")
    axes.set_xlim(max(kept) * 1.12, min(kept) / 1.12)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _multitask(axes: Axes, scores: list[Score]) -> None:
    for place, score in enumerate(scores):
        axes.errorbar(
            place,
            score.interval.value,
            _arms([score]),
            color=METHOD_COLOURS[score.method],
            marker=_MARKERS[score.method],
            ms=6,
            capsize=3,
        )
    names = [METHOD_TITLES[s.method].replace(" ", "\n") for s in scores]
    axes.set_xticks(range(len(scores)), names)
    axes.set_xlim(-0.6, max(len(scores), 1) - 0.4)
    axes.grid(axis="x", visible=False)


def _arms(scores: list[Score]) -> np.ndarray:
    """Lengths of error bars; none where there is no interval."""
    arms = [(s.interval.value - s.interval.low, s.interval.high - s.interval.value) for s in scores]
    return np.nan_to_num(np.array(arms).T).clip(min=0)


def _floor_lines(left: Axes, right: Axes, floors: pd.DataFrame, dataset: str, metric: str) -> None:
    """Thin lines for what lies near the scores; the others are in the table."""
    if floors.empty:
        return
    low, high = left.get_ylim()
    of_metric = floors[(floors["dataset"] == dataset) & (floors["metric"] == metric)]
    for floor, value in zip(of_metric["floor"], of_metric["value"], strict=True):
        if not low - _ROOM * (high - low) <= value <= high + _ROOM * (high - low):
            continue
        for axes in (left, right):
            axes.axhline(value, color=_FLOOR, lw=0.8, ls=":")
        right.annotate(
            FLOOR_TITLES[str(floor)],
            (0.02, value),
            xycoords=right.get_yaxis_transform(),
            va="bottom",
            fontsize="x-small",
            color=_FLOOR,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
        )
    low, high = left.get_ylim()
    left.set_ylim(low, high + 0.05 * (high - low))  # room for the name of the highest


def mask_overlap(overlap: pd.DataFrame, dataset: str) -> Figure:
    """A bar per layer: shares of its weights that both tasks' tickets keep, one alone, or neither.

    Args:
        overlap: see `report.task_masks.overlap`.
        dataset: which of it.
    """
    frame = overlap[overlap["dataset"] == dataset].reset_index(drop=True)
    figure = Figure(figsize=(7.2, 0.5 * len(frame) + 1.5), layout="constrained")
    axes = figure.subplots()
    start = np.zeros(len(frame))
    for name in SHARES:
        share = (frame[name] / frame["weights"]).to_numpy()
        bars = axes.barh(
            frame.index, share, left=start, color=SHARE_COLOURS[name], label=SHARE_TITLES[name],
            height=0.7, edgecolor="white", lw=0.5,
        )  # fmt: skip
        labels = [f"{part:.0%}" if part >= 0.04 else "" for part in share]
        colour = "#000000" if name in ("unused", "private_cvr") else "#FFFFFF"
        axes.bar_label(bars, labels, label_type="center", fontsize="small", color=colour)
        start += share
    chance = (frame["shared_by_chance"] / frame["weights"]).to_numpy()
    axes.plot(
        chance, frame.index - 0.4, "v", color="#000000", ms=6,
        label="by both, if one were drawn at random",
    )  # fmt: skip
    names = [
        f"{layer}\n{weights:,} weights"
        for layer, weights in zip(frame["layer"], frame["weights"], strict=True)
    ]
    axes.set_yticks(frame.index, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("weights of the layer")
    axes.set_title(f"{dataset}: the chosen tickets' masks")
    handles, labels = axes.get_legend_handles_labels()
    order = [*range(1, len(handles)), 0]  # the bars, then the markers
    figure.legend(
        [handles[i] for i in order], [labels[i] for i in order],
        loc="outside lower center", ncols=3, fontsize="small", frameon=False,
    )  # fmt: skip
    return figure


def field_use(use: pd.DataFrame, dataset: str) -> Figure:
    """A row per field: how much of it either task's ticket reads, those of a planted role together.

    Args:
        use: see `report.task_masks.field_use`.
        dataset: which of it.
    """
    frame = use[use["dataset"] == dataset]
    frame = frame.assign(lead=frame["ctr"] - frame["cvr"])
    order = {role: place for place, role in enumerate(ROLES)}
    frame = frame.assign(place=frame["role"].map(order).fillna(len(ROLES)))
    frame = frame.sort_values(["place", "lead"], ascending=[True, False]).reset_index(drop=True)
    figure = Figure(figsize=(7.2, 0.26 * len(frame) + 1.5), layout="constrained")
    axes = figure.subplots()
    axes.hlines(frame.index, frame["ctr"], frame["cvr"], color="#999999", lw=1.5)
    for task, marker in (("ctr", "o"), ("cvr", "D")):
        colour = SHARE_COLOURS[f"private_{task}"]
        label = f"{task.upper()}'s ticket"
        axes.plot(frame[task], frame.index, marker, color=colour, ms=6, label=label)
    axes.axvline(1, color=_FLOOR, lw=0.8, ls=":")
    for role, rows in frame.groupby("role", sort=False):
        first, last = rows.index[0], rows.index[-1]
        if last + 1 < len(frame):
            axes.axhline(last + 0.5, color=_FLOOR, lw=0.8)
        axes.annotate(
            ROLE_TITLES[str(role)],
            (1.02, (first + last) / 2),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            fontsize="small",
        )
    axes.set_yticks(frame.index, frame["field"].str.removeprefix("FEA_"))
    axes.set_ylim(len(frame) - 0.5, -0.5)
    axes.set_xlabel("share of the weights on the field's embedding kept, over that of all fields")
    axes.set_title(f"{dataset}: what the chosen tickets read")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def multitask_curves(history: pd.DataFrame, dataset: str) -> Figure:
    """Training and validation loss of each task, a line per model: the mean over seeds. Training
    loss is that of each stretch of an epoch; validation loss stands where an epoch ends, with a bar
    of one standard deviation.

    Args:
        history: see `report.task_results.read_task_histories`.
        dataset: which of it.
    """
    frame = history[history["dataset"] == dataset]
    figure = Figure(figsize=(7.2, 5), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    titles = {
        ("ctr", "train_loss"): "focal loss, training",
        ("ctr", "validation_loss"): "1 − AUC, validation",
        ("cvr", "train_loss"): "squared error, training",
        ("cvr", "validation_loss"): "squared error, validation",
    }
    methods = [method for method in METHOD_TITLES if method in set(frame["method"])]
    for axes, ((task, column), title) in zip(panels.flat, titles.items(), strict=True):
        for place, method in enumerate(methods):
            lines = frame[(frame["task"] == task) & (frame["method"] == method)]
            by_epoch = lines.dropna(subset=column).groupby("epoch")[column]
            mean, std = by_epoch.mean(), by_epoch.std().fillna(0)
            colour, title_ = METHOD_COLOURS[method], METHOD_TITLES[method]
            if column == "train_loss":
                axes.plot(mean.index, mean, color=colour, lw=1.2, label=title_)
                axes.fill_between(mean.index, mean - std, mean + std, color=colour, alpha=0.15)
                continue
            axes.errorbar(
                mean.index + _STEP * (place - (len(methods) - 1) / 2),  # side by side
                mean,
                std,
                color=colour,
                marker=_MARKERS[method],
                ms=4,
                elinewidth=1,
                capsize=2,
                label=title_,
            )
        axes.set_title(f"{task.upper()}: {title}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(0, frame["epoch"].max() + 0.2)
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    handles, labels = panels[0][1].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(methods) or 1, frameon=False
    )
    figure.suptitle(f"{dataset}: multi-task training")
    return figure
