"""The table of the new-domain experiment."""

import statistics

import pandas as pd

from mlorakit.models import BACKBONE_TITLES
from mlorakit.new_domain import ADAPTER, FULL, NONE
from mlorakit.report.tables import p_text, with_spread
from mlorakit.statistics import holm, paired_difference

WAY_TITLES = {
    NONE: "no adaptation",
    ADAPTER: "its adapter alone",
    FULL: "retraining on all domains",
}
_MEANS = ("rows_train", "rows_validation", "epochs", "weights_trained", "weights_added")


def new_domains(cells: list[dict]) -> pd.DataFrame:
    """A row per data set, backbone and way to serve the new domains; means over seeds.

    Rows are those of the new domains: every way but retraining starts from a model of all rows of
    the others, and retraining takes these besides.

    `minus_none` and `minus_full` are paired by seed: a seed holds its own domains out. p-values of
    the paired t-test are corrected by Holm's method over the rows of the table.

    Args:
        cells: see `report.ablation_results.read_new_domain`.
    """
    rows = []
    for cell in cells:
        by_way: dict[tuple[str, float], dict[str, dict]] = {}
        for seed, found in cell["seeds"].items():
            for way in found["ways"]:
                by_way.setdefault((way["way"], way["share"]), {})[seed] = way
        seeds = cell["seeds"].values()
        waucs = {
            key: {seed: way["wauc"] for seed, way in of_seed.items() if way["wauc"] is not None}
            for key, of_seed in by_way.items()
        }
        for (way, share), of_seed in by_way.items():
            values = waucs[way, share]
            rows.append(
                {
                    "dataset": cell["dataset"],
                    "backbone": cell["backbone"],
                    "way": way,
                    "share": share,
                    "n_seeds": len(values),
                    "new_domains": statistics.fmean(len(found["held_out"]) for found in seeds),
                    "known": _known([found["known"] for found in seeds]),
                    **{key: statistics.fmean(w[key] for w in of_seed.values()) for key in _MEANS},
                    "wauc_mean": statistics.fmean(values.values()) if values else None,
                    "wauc_std": statistics.stdev(values.values()) if len(values) > 1 else None,
                    **_difference("none", way, NONE, values, waucs[NONE, 0.0]),
                    **_difference("full", way, FULL, values, waucs[FULL, 1.0]),
                }
            )
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows)
    numbers = [c for c in frame.columns if c.startswith(("wauc", "minus"))]
    for name in ("minus_none_p", "minus_full_p"):
        known = [None if pd.isna(p) else float(p) for p in frame[name]]
        frame[name] = pd.Series(holm(known), dtype=float)
    return frame.astype(dict.fromkeys(numbers, float))


def _difference(
    name: str, way: str, other: str, values: dict[str, float], others: dict[str, float]
) -> dict[str, float | None]:
    """A way's WAUC minus another's; a way has no difference from itself."""
    keys = (f"minus_{name}", f"minus_{name}_std", f"minus_{name}_p")
    if way == other or not set(values) & set(others):
        return dict.fromkeys(keys)
    found = paired_difference(values, others)
    return dict(zip(keys, (found.mean, found.std, found.p), strict=True))


def _known(of_seeds: list[dict[str, float]]) -> str:
    return ", ".join(
        f"{name} {statistics.fmean(known[name] for known in of_seeds):.0%}" for name in of_seeds[0]
    )


def readable_new_domains(frame: pd.DataFrame) -> pd.DataFrame:
    """`new_domains` as a person reads it."""
    if frame.empty:
        return frame
    ways = [
        f"{WAY_TITLES[way]}, {100 * share:g}% of its rows" if way == ADAPTER else WAY_TITLES[way]
        for way, share in zip(frame["way"], frame["share"], strict=True)
    ]
    shown = pd.DataFrame(
        {
            "data set": frame["dataset"],
            "backbone": frame["backbone"].map(BACKBONE_TITLES),
            "new domain served by": ways,
            "training rows of new domains": frame["rows_train"].map("{:,.0f}".format),
            "weights trained": frame["weights_trained"].map("{:,.0f}".format),
            "weights added": frame["weights_added"].map("{:,.0f}".format),
            "WAUC": _spread(frame, "wauc_mean", "wauc_std"),
            "− no adaptation": _spread(frame, "minus_none", "minus_none_std", signed=True),
            "− retraining": _spread(frame, "minus_full", "minus_full_std", signed=True),
        }
    )
    if frame["n_seeds"].max() > 1:
        shown["p (− no adaptation)"] = frame["minus_none_p"].map(p_text)
        shown["p (− retraining)"] = frame["minus_full_p"].map(p_text)
    shown["ids known before"] = frame["known"]
    shown["seeds"] = frame["n_seeds"]
    return shown


def _spread(frame: pd.DataFrame, mean: str, std: str, signed: bool = False) -> list[str]:
    pairs = zip(frame[mean], frame[std], strict=True)
    return ["" if pd.isna(value) else with_spread(value, s, signed) for value, s in pairs]
