"""The figures of the ablations and of the new-domain experiment."""

import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mlorakit.ablation_config import CONTROL
from mlorakit.models import BACKBONE_TITLES
from mlorakit.new_domain import ADAPTER, FULL, NONE
from mlorakit.report.figures import VARIANT_COLOURS
from mlorakit.report.new_domain_tables import WAY_TITLES

WAY_COLOURS = {NONE: "#666666", ADAPTER: "#D55E00", FULL: "#0072B2"}
_BEST = "#009E73"
_SIZE = (4.2, 3.0)  # inches of a panel


def waucs(points: list[dict]) -> pd.DataFrame:
    """A row per point and seed, with the variant.

    Args:
        points: see `report.ablation_results.read_points`.
    """
    return pd.DataFrame(
        [
            {
                **{k: point[k] for k in ("dataset", "backbone", "hidden", "alpha", "n_domains")},
                "variant": "control" if point["alpha"] == CONTROL else "mlora",
                "wauc": seed["wauc"],
            }
            for point in points
            for seed in point["seeds"].values()
        ]
    )


def alpha_figure(points: list[dict], dataset: str) -> Figure:
    """Test WAUC against alpha, a panel per backbone: a dot per seed, a line through means, and the
    control's mean, which has no alpha.

    Args:
        points: of the sweep of alpha.
        dataset: which of them.
    """
    frame = waucs(points)
    frame = frame[frame["dataset"] == dataset]
    backbones = list(dict.fromkeys(frame["backbone"]))
    figure, panels = _panels(len(backbones))
    for axes, backbone in zip(panels, backbones, strict=True):
        of_backbone = frame[frame["backbone"] == backbone]
        mlora = of_backbone[of_backbone["variant"] == "mlora"]
        _line(axes, mlora.assign(alpha=mlora["alpha"].astype(int)), "alpha", "mlora")
        control = of_backbone[of_backbone["variant"] == "control"]["wauc"]
        if len(control):
            colour = VARIANT_COLOURS["control"]
            axes.axhline(control.mean(), color=colour, ls="--", label="control")
            if len(control) > 1:
                low, high = control.mean() - control.std(), control.mean() + control.std()
                axes.axhspan(low, high, color=colour, alpha=0.15, lw=0)
        _log_axis(axes, sorted({int(v) for v in mlora["alpha"]}))
        axes.set(xlabel="alpha (smaller: larger ranks)", title=BACKBONE_TITLES[backbone])
    return _finished(figure, panels, f"{dataset}: test WAUC against alpha")


def domains_figure(points: list[dict], best: dict[str, float], kinds: dict[str, str]) -> Figure:
    """Test WAUC against the number of domains: a row of panels per kind of data, a panel per
    backbone.

    Args:
        points: of the sweep of domains.
        best: data set to the WAUC that the best model expects; nan where it is not known.
        kinds: data set to the kind that it shares a panel with.
    """
    frame = waucs(points)
    frame = frame.assign(kind=frame["dataset"].map(kinds))
    keys = list(dict.fromkeys(zip(frame["kind"], frame["backbone"], strict=True)))
    figure, panels = _panels(len(keys))
    for axes, (kind, backbone) in zip(panels, keys, strict=True):
        chosen = frame[(frame["kind"] == kind) & (frame["backbone"] == backbone)]
        for variant in ("control", "mlora"):
            _line(axes, chosen[chosen["variant"] == variant], "n_domains", variant)
        known = chosen.assign(best=chosen["dataset"].map(best)).dropna(subset="best")
        if len(known):
            known = known.groupby("n_domains")["best"].first()
            axes.plot(known.index, known, color=_BEST, ls=":", marker="_", label="best possible")
        _log_axis(axes, sorted(set(chosen["n_domains"])))
        axes.set(xlabel="domains", title=f"{kind}, {BACKBONE_TITLES[backbone]}")
    return _finished(figure, panels, "test WAUC against the number of domains")


def widths_figure(points: list[dict], dataset: str) -> Figure:
    """Test WAUC per widths of the MLP, a panel per backbone; widths stand by their number of
    weights.

    Args:
        points: of the sweep of widths.
        dataset: which of them.
    """
    frame = waucs(points)
    frame = frame[frame["dataset"] == dataset]
    sizes = {p["hidden"]: p["params"] - p["params_added"] for p in points}
    order = sorted(dict.fromkeys(frame["hidden"]), key=lambda widths: sizes[widths])
    frame = frame.assign(place=frame["hidden"].map(order.index))
    backbones = list(dict.fromkeys(frame["backbone"]))
    figure, panels = _panels(len(backbones))
    for axes, backbone in zip(panels, backbones, strict=True):
        chosen = frame[frame["backbone"] == backbone]
        for variant in ("control", "mlora"):
            _line(axes, chosen[chosen["variant"] == variant], "place", variant)
        axes.set_xticks(range(len(order)), order, rotation=30, ha="right")
        axes.set(xlabel="widths of the MLP", title=BACKBONE_TITLES[backbone])
    return _finished(figure, panels, f"{dataset}: test WAUC against widths and depth")


def new_domain_figure(frame: pd.DataFrame, dataset: str) -> Figure:
    """WAUC of the new domains against the training rows that their adapters take, a panel per
    backbone; lines for the shared weights alone and for retraining, with all rows.

    Args:
        frame: see `report.new_domain_tables.new_domains`.
        dataset: which of its rows.
    """
    frame = frame[frame["dataset"] == dataset]
    backbones = list(dict.fromkeys(frame["backbone"]))
    figure, panels = _panels(len(backbones))
    for axes, backbone in zip(panels, backbones, strict=True):
        of_backbone = frame[frame["backbone"] == backbone]
        adapter = of_backbone[of_backbone["way"] == ADAPTER]
        axes.errorbar(
            adapter["rows_train"],
            adapter["wauc_mean"],
            adapter["wauc_std"].fillna(0.0),
            color=WAY_COLOURS[ADAPTER],
            marker="o",
            capsize=2,
            label=WAY_TITLES[ADAPTER],
        )
        for way, style in ((NONE, "--"), (FULL, "-")):
            (value,) = of_backbone[of_backbone["way"] == way]["wauc_mean"]
            axes.axhline(value, color=WAY_COLOURS[way], ls=style, label=WAY_TITLES[way])
        _log_axis(axes, adapter["rows_train"].tolist())
        axes.set(xlabel="training rows of the new domains", title=BACKBONE_TITLES[backbone])
    return _finished(figure, panels, f"{dataset}: test WAUC on new domains")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Up to three side by side."""
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(_SIZE[0] * columns, _SIZE[1] * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _line(axes: Axes, frame: pd.DataFrame, x: str, variant: str) -> None:
    """A line through means over seeds, and a dot per seed."""
    colour = VARIANT_COLOURS[variant]
    sns.lineplot(frame, x=x, y="wauc", color=colour, errorbar=None, ax=axes, label=variant)
    axes.plot(frame[x], frame["wauc"], "o", color=colour, ms=4)


def _log_axis(axes: Axes, values: list[int]) -> None:
    """A logarithmic axis with a mark at each value."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:,.0f}")


def _finished(figure: Figure, panels: list[Axes], title: str) -> Figure:
    shown: dict[str, Artist] = {}
    for axes in panels:
        axes.set_ylabel("test WAUC")
        handles, labels = axes.get_legend_handles_labels()
        shown |= {label: h for h, label in zip(handles, labels, strict=True) if label not in shown}
        legend = axes.get_legend()
        if legend is not None:
            legend.remove()
    figure.legend(
        list(shown.values()),
        list(shown),
        loc="outside lower center",
        ncols=len(shown),
        frameon=False,
    )
    figure.suptitle(title)
    return figure
