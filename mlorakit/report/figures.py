"""The figures of the MLoRA part."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlorakit.models import BACKBONE_TITLES, VARIANTS

# Okabe and Ito's palette, told apart with any colour vision.
VARIANT_COLOURS = {"base": "#0072B2", "control": "#E69F00", "mlora": "#D55E00"}


def apply_style() -> None:
    """One look for all figures, and file bytes that depend on the content alone."""
    sns.set_theme(context="paper", style="whitegrid", font="DejaVu Sans", font_scale=1.1)
    mpl.rcParams["svg.hashsalt"] = "mlorakit"
    mpl.rcParams["svg.fonttype"] = "none"
    # A notebook shows a figure that pyplot did not make as text until its backend is loaded.
    plt.switch_backend(mpl.get_backend())


def save_figure(figure: Figure, folder: Path, name: str, dpi: int) -> None:
    """Write name.png and name.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = {"Software": None}, {"Date": None}
    figure.savefig(folder / f"{name}.png", bbox_inches="tight", dpi=dpi, metadata=png)
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata=svg)


def training_curves(history: pd.DataFrame, dataset: str, batch_order: str) -> Figure:
    """Validation AUC by epoch, a panel per backbone, a line per variant (mean over seeds).

    Args:
        history: see `report.results.read_histories`.
        dataset: which of its rows,
        batch_order: and of them.
    """
    chosen = history[(history["dataset"] == dataset) & (history["batch_order"] == batch_order)]
    chosen = chosen.assign(backbone=chosen["backbone"].map(BACKBONE_TITLES))
    variants = [v for v in VARIANTS if v in set(chosen["variant"])]
    grid = sns.relplot(
        chosen,
        x="epoch",
        y="validation_auc",
        hue="variant",
        hue_order=variants,
        palette=VARIANT_COLOURS,
        style="variant",
        style_order=variants,
        markers=len(set(chosen["epoch"])) == 1,  # a line through one point does not show
        col="backbone",
        col_wrap=3,
        kind="line",
        errorbar="sd",
        height=2.2,
        aspect=1.35,
    )
    grid.set_titles("{col_name}")
    grid.set_axis_labels("epoch", "validation AUC")
    grid.axes[0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    grid.figure.suptitle(f"{dataset}, {batch_order} batches: mean AUC over domains", y=1.02)
    return grid.figure


def wauc_dots(metrics: list[dict], dataset: str, batch_order: str) -> Figure:
    """Test WAUC per backbone and variant: a dot per seed, a bar at the mean of several.

    Args:
        metrics: see `report.results.read_metrics`.
        dataset: which of them,
        batch_order: and of those.
    """
    rows = [
        {"backbone": BACKBONE_TITLES[m["backbone"]], "variant": m["variant"], "wauc": seed["wauc"]}
        for m in metrics
        if m["dataset"] == dataset and m["batch_order"] == batch_order
        for seed in m["seeds"].values()
    ]
    frame = pd.DataFrame(rows)
    variants = [v for v in VARIANTS if v in set(frame["variant"])]
    figure = Figure(figsize=(7, 0.42 * frame["backbone"].nunique() + 1.2))
    axes = figure.subplots()
    common = {
        "data": frame,
        "x": "wauc",
        "y": "backbone",
        "hue": "variant",
        "hue_order": variants,
        "palette": VARIANT_COLOURS,
        "dodge": True,
        "ax": axes,
    }
    sns.stripplot(**common, jitter=False, size=6)
    if (frame.groupby(["backbone", "variant"]).size() > 1).any():
        sns.pointplot(
            **common | {"dodge": 0.53}, errorbar=None, linestyle="none", marker="|", legend=False
        )
    axes.set(xlabel="test WAUC", ylabel="", title=f"{dataset}, {batch_order} batches")
    axes.grid(axis="y", visible=True)
    sns.move_legend(axes, "upper left", bbox_to_anchor=(1.01, 1), title="", frameon=False)
    return figure
