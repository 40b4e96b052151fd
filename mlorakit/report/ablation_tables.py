"""The tables of the ablations: MLoRA against its control, point by point, and what it adds."""

from collections.abc import Iterable

import pandas as pd

from mlorakit import paths
from mlorakit.ablation_config import CONTROL
from mlorakit.cells import make_model
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import describe, load_dataset
from mlorakit.metrics import weighted_auc
from mlorakit.models import BACKBONE_TITLES, BACKBONES
from mlorakit.overhead import overhead
from mlorakit.report.tables import p_text, with_spread
from mlorakit.statistics import holm, paired_difference

_GROUP = ("dataset", "backbone", "hidden")
_DIFFERENCE = "mlora_minus_control"


def against_control(points: list[dict]) -> pd.DataFrame:
    """A row per point with a low-rank term, beside the control with its data, backbone and widths.

    Differences pair the seeds. p-values of the paired t-test are corrected by Holm's method over
    the rows of the table.

    Args:
        points: see `report.ablation_results.read_points`.
    """
    controls = {_group(p): p for p in points if p["alpha"] == CONTROL}
    rows = []
    for point in points:
        if point["alpha"] == CONTROL:
            continue
        base = point["params"] - point["params_added"]
        row = {
            **{key: point[key] for key in ("dataset", "n_domains", "rows_train", "backbone")},
            **{key: point[key] for key in ("hidden", "alpha", "n_seeds")},
            "control": None,
            "control_std": None,
            "mlora": point["wauc_mean"],
            "mlora_std": point["wauc_std"],
            _DIFFERENCE: None,
            f"{_DIFFERENCE}_std": None,
            f"{_DIFFERENCE}_p": None,
            "params_added": point["params_added"],
            "params_base": base,
            "share": point["params_added"] / base,
            "share_of_layers": point["params_added"] / (base - point["params_embedding"]),
        }
        control = controls.get(_group(point))
        if control is not None:
            difference = paired_difference(_waucs(point), _waucs(control))
            row |= {"control": control["wauc_mean"], "control_std": control["wauc_std"]}
            row |= {_DIFFERENCE: difference.mean, f"{_DIFFERENCE}_std": difference.std}
            row[f"{_DIFFERENCE}_p"] = difference.p
        rows.append(row)
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows)
    p_values = holm([row[f"{_DIFFERENCE}_p"] for row in rows])
    frame[f"{_DIFFERENCE}_p"] = pd.Series(p_values, dtype=float)
    numbers = ("control", "control_std", "mlora_std", _DIFFERENCE, f"{_DIFFERENCE}_std")
    return frame.astype(dict.fromkeys(numbers, float))


def _group(point: dict) -> tuple:
    return tuple(point[key] for key in _GROUP)


def _waucs(point: dict) -> dict[str, float]:
    return {seed: values["wauc"] for seed, values in point["seeds"].items()}


def with_best(frame: pd.DataFrame) -> pd.DataFrame:
    """`against_control` with `best`, the test WAUC that the best model expects, where it is known:
    of generated data.
    """
    return frame if frame.empty else frame.assign(best=frame["dataset"].map(best_wauc))


def best_wauc(dataset: str) -> float:
    """The test WAUC that the best model expects; nan of data that are not generated."""
    description = describe(paths.processed_dir(dataset))[0]
    best = description.get("bayes_auc")
    if best is None:
        return float("nan")
    domains = description["domains"]
    return weighted_auc([best[d["value"]] for d in domains], [d["rows_test"] for d in domains])


def readable_sweep(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """`against_control` as a person reads it.

    Args:
        frame: the rows.
        columns: what the sweep changes: some of alpha, hidden, n_domains, rows_train and best.
    """
    if frame.empty:
        return frame
    shown = pd.DataFrame({"data set": frame["dataset"]})
    shown["backbone"] = frame["backbone"].map(BACKBONE_TITLES)
    for column in columns:
        if column != "best":
            values = frame[column].tolist()
            shown[_TITLES[column]] = [v if isinstance(v, str) else f"{v:,}" for v in values]
    shown["control"] = _spread(frame, "control")
    shown["mlora"] = _spread(frame, "mlora")
    shown["mlora − control"] = _spread(frame, _DIFFERENCE, signed=True)
    if frame["n_seeds"].max() > 1:
        shown["p"] = frame[f"{_DIFFERENCE}_p"].map(p_text)
    if "best" in columns and frame["best"].notna().any():
        shown["best possible"] = ["" if pd.isna(v) else f"{v:.4f}" for v in frame["best"]]
    shown["weights added"] = frame["params_added"].map("{:,}".format)
    shown["of the base's"] = frame["share"].map("{:.1%}".format)
    shown["without embeddings"] = frame["share_of_layers"].map("{:.1%}".format)
    shown["seeds"] = frame["n_seeds"]
    return shown


_TITLES = {
    "alpha": "alpha",
    "hidden": "widths",
    "n_domains": "domains",
    "rows_train": "training rows",
}


def _spread(frame: pd.DataFrame, name: str, signed: bool = False) -> list[str]:
    pairs = zip(frame[name], frame[f"{name}_std"], strict=True)
    return ["" if pd.isna(mean) else with_spread(mean, std, signed) for mean, std in pairs]


def overheads(datasets: tuple[str, ...], train: dict) -> pd.DataFrame:
    """A row per data set and backbone: what adapters add, see `mlorakit.overhead.Overhead`.

    No training is needed.

    Args:
        datasets: names.
        train: settings of `TrainConfig`; an alpha of `paper` is the paper's by backbone and data.
    """
    rows = []
    for name in datasets:
        data = load_dataset(paths.processed_dir(name))
        for backbone in BACKBONES:
            config = TrainConfig.of(**{**train, "dataset": name, "backbone": backbone})
            found = overhead(make_model(config, data, config.seeds[0]))
            rows.append(
                {
                    "dataset": name,
                    "n_domains": data.n_domains,
                    "backbone": backbone,
                    "alpha": config.rank_alpha,
                    "params_base": found.params,
                    "params_embedding": found.params_embedding,
                    "params_added": found.params_added,
                    "share": found.share,
                    "share_of_layers": found.share_of_layers,
                    "multiply_adds": found.multiply_adds,
                    "multiply_adds_added": found.multiply_adds_added,
                    "share_of_multiply_adds": found.share_of_multiply_adds,
                }
            )
    return pd.DataFrame(rows)


def readable_overheads(frame: pd.DataFrame) -> pd.DataFrame:
    """`overheads` as a person reads it."""
    if frame.empty:
        return frame
    return pd.DataFrame(
        {
            "data set": frame["dataset"],
            "domains": frame["n_domains"],
            "backbone": frame["backbone"].map(BACKBONE_TITLES),
            "alpha": frame["alpha"],
            "base weights": frame["params_base"].map("{:,}".format),
            "of which embeddings": frame["params_embedding"].map("{:,}".format),
            "added": frame["params_added"].map("{:,}".format),
            "share": frame["share"].map("{:.1%}".format),
            "share without embeddings": frame["share_of_layers"].map("{:.1%}".format),
            "multiply-adds": frame["multiply_adds"].map("{:,}".format),
            "added, not merged": frame["multiply_adds_added"].map("{:,}".format),
            "share of them": frame["share_of_multiply_adds"].map("{:.1%}".format),
        }
    )
