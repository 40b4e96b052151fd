"""The figure of the multi-domain baselines beside the backbones."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mlorakit.models import BACKBONE_TITLES
from mlorakit.models.baselines import BASELINE_TITLES
from mlorakit.report.figures import VARIANT_COLOURS

_COLOURS = {"baseline": "#009E73", **{name: VARIANT_COLOURS[name] for name in ("base", "mlora")}}


def baseline_dots(
    metrics: list[dict], baselines: list[dict], dataset: str, batch_order: str
) -> Figure:
    """Test WAUC of every baseline and, below them, of every backbone with and without MLoRA.

    A dot is a seed; a bar stands at the mean of several.

    Args:
        metrics: see `report.results.read_metrics`.
        baselines: see `report.baseline_results.read_baselines`.
        dataset: which of them,
        batch_order: and of those.
    """
    named = [(m, "baseline", BASELINE_TITLES[m["baseline"]]) for m in baselines]
    named += [
        (m, m["variant"], BACKBONE_TITLES[m["backbone"]])
        for m in metrics
        if m["variant"] in _COLOURS
    ]
    frame = pd.DataFrame(
        [
            {"kind": kind, "model": title, "wauc": seed["wauc"]}
            for m, kind, title in named
            if m["dataset"] == dataset and m["batch_order"] == batch_order
            for seed in m["seeds"].values()
        ]
    )
    kinds = [kind for kind in _COLOURS if kind in set(frame["kind"])]
    figure = Figure(figsize=(7, 0.3 * frame["model"].nunique() + 1.2))
    axes = figure.subplots()
    common = {
        "data": frame,
        "x": "wauc",
        "y": "model",
        "hue": "kind",
        "hue_order": kinds,
        "palette": _COLOURS,
        "ax": axes,
    }
    sns.stripplot(**common, jitter=False, size=6)
    if (frame.groupby(["model", "kind"]).size() > 1).any():
        sns.pointplot(**common, errorbar=None, linestyle="none", marker="|", legend=False)
    axes.set(xlabel="test WAUC", ylabel="", title=f"{dataset}, {batch_order} batches")
    axes.grid(axis="y", visible=True)
    sns.move_legend(axes, "upper left", bbox_to_anchor=(1.01, 1), title="", frameon=False)
    return figure
