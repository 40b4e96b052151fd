"""The baselines' table, figure and results: numbers by hand."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from mlorakit.config import ParameterError
from mlorakit.models.baselines import MAMDR_BASELINES
from mlorakit.report.baseline_figures import baseline_dots
from mlorakit.report.baseline_results import read_baselines
from mlorakit.report.baseline_tables import baselines, readable_baselines
from mlorakit.report.claim_mlora import mlora_minus_baselines
from mlorakit.report.claim_numbers import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Numbers
from mlorakit.report.results import MissingCellsError

from ..conftest import SetParams
from .conftest import Cell, p_of, saved

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def metrics(cell: Cell) -> list[dict]:
    return [
        cell("mlp", "base", {"1": 0.5, "2": 0.5, "3": 0.5}),
        cell("mlp", "control", {"1": 0.9, "2": 0.9, "3": 0.9}),
        cell("mlp", "mlora", {"1": 0.75, "2": 1.0, "3": 1.25}),
        cell("wdl", "mlora", {"1": 0.25, "2": 0.25, "3": 0.25}),
        cell("mlp", "mlora", {"1": 0.1}, batch_order="alternate"),
    ]


@pytest.fixture
def found(baseline: Cell) -> list[dict]:
    return [
        # MLP's MLoRA minus it: 1/4, 1/2, 3/4; t = (1/2) / (1/4 / sqrt 3) = sqrt 12.
        baseline("star", {"1": 0.5, "2": 0.5, "3": 0.5}),
        # -1/8, 1/8, 3/8; t = (1/8) / (1/4 / sqrt 3) = sqrt 3 / 2.
        baseline("separate", {"1": 0.875, "2": 0.875, "3": 0.875}),
    ]


def test_models_stand_backbones_first_and_controls_left_out(
    metrics: list[dict], found: list[dict]
) -> None:
    frame = baselines(metrics, found)
    assert frame[["batch_order", "kind", "model"]].to_numpy().tolist() == [
        ["mixed", "base", "mlp"],
        ["mixed", "mlora", "mlp"],
        ["mixed", "mlora", "wdl"],
        ["mixed", "baseline", "star"],
        ["mixed", "baseline", "separate"],
    ]
    star = frame.set_index("model").loc["star"]
    assert (star["n_seeds"], star["wauc_mean"], star["wauc_std"]) == (3, 0.5, 0)
    assert (star["mean_auc_mean"], star["mean_auc_std"]) == (0.25, 0)
    assert (star["epochs_mean"], star["params"], star["params_embedding"]) == (4.5, 12345, 11000)


def test_differences_pair_the_seeds_and_p_is_corrected(
    metrics: list[dict], found: list[dict]
) -> None:
    frame = baselines(metrics, found).set_index("model")
    own = frame[frame["kind"] == "baseline"]
    assert own["mlora_minus"].to_dict() == {"star": 0.5, "separate": 0.125}
    assert own["mlora_minus_std"].to_dict() == {"star": 0.25, "separate": 0.25}
    expected = {"star": 2 * p_of(12**0.5), "separate": p_of(3**0.5 / 2)}
    assert own["mlora_minus_p"].to_dict() == pytest.approx(expected)
    assert frame.loc[frame["kind"] != "baseline", "mlora_minus"].isna().all()


def test_data_sets_and_batch_orders_keep_to_themselves(
    metrics: list[dict], found: list[dict], baseline: Cell
) -> None:
    more = [*found, baseline("star", {"1": 0.25}, batch_order="alternate")]
    frame = baselines(metrics, more)
    own = frame[frame["batch_order"] == "alternate"]
    assert own["model"].tolist() == ["mlp", "star"]
    # 0.1 - 0.25, of one seed: no deviation and no p, and none to correct the others by.
    assert own["mlora_minus"].tolist()[1] == pytest.approx(-0.15)
    assert own["mlora_minus_p"].isna().all()
    assert frame["mlora_minus_p"].tolist()[3] == pytest.approx(2 * p_of(12**0.5))


def test_without_mlora_there_is_no_difference(found: list[dict], cell: Cell) -> None:
    frame = baselines([cell("mlp", "base", {"1": 0.5})], found)
    assert frame["mlora_minus"].isna().all()
    assert "MLP + MLoRA − model" not in readable_baselines(frame)
    assert mlora_minus_baselines(MAMDR_BASELINES, numbers(frame)) == []


def test_a_score_that_no_seed_has_is_left_empty(found: list[dict]) -> None:
    found[0]["seeds"]["1"]["mean_auc"] = None
    frame = baselines([], found)
    assert frame["mean_auc_mean"].tolist()[0] == 0.25  # of the other two
    for seed in found[0]["seeds"].values():
        seed["mean_auc"] = None
    frame = baselines([], found)
    assert math.isnan(frame["mean_auc_mean"].tolist()[0])
    assert readable_baselines(frame)["mean AUC"].tolist() == ["", "0.6250 ± 0.0000"]


def test_published_values_stand_by_the_models_they_are_of(cell: Cell, baseline: Cell) -> None:
    one = {"1": 0.5}
    frame = baselines(
        [
            cell("mlp", "base", one, dataset="amazon_6"),
            cell("mlp", "mlora", one, dataset="amazon_6"),
        ],
        [baseline("mmoe", one, dataset="amazon_6"), baseline("separate", one, dataset="amazon_6")],
    )
    assert frame["published_mean_auc"].fillna(0).tolist() == [0.7464, 0, 0.7816, 0]
    assert frame["published_source"].astype(bool).tolist() == [True, False, True, False]
    assert "published mean AUC" in readable_baselines(frame)


def test_a_person_reads_titles_spreads_and_p(metrics: list[dict], found: list[dict]) -> None:
    shown = readable_baselines(baselines(metrics, found))
    assert shown["model"].tolist() == [
        "MLP",
        "MLP + MLoRA",
        "WDL + MLoRA",
        "STAR",
        "One MLP per domain",
    ]
    assert "published mean AUC" not in shown  # generated data have none
    assert shown.loc[3, "MLP + MLoRA − model"] == "+0.5000 ± 0.2500"
    assert shown.loc[3, "p"] == f"{2 * p_of(12**0.5):.3g}"
    assert shown.loc[0, ["MLP + MLoRA − model", "p", "WAUC"]].tolist() == [
        "",
        "",
        "0.5000 ± 0.0000",
    ]


def test_one_seed_has_neither_deviation_nor_p(cell: Cell, baseline: Cell) -> None:
    shown = readable_baselines(
        baselines([cell("mlp", "mlora", {"1": 0.75})], [baseline("ple", {"1": 0.5})])
    )
    assert "p" not in shown
    assert shown.loc[1, ["WAUC", "MLP + MLoRA − model"]].tolist() == ["0.5000", "+0.2500"]


def test_without_baselines_there_is_no_table(metrics: list[dict]) -> None:
    assert baselines(metrics, []).empty
    assert readable_baselines(pd.DataFrame()).empty


def numbers(frame: pd.DataFrame) -> Numbers:
    return Numbers({"mlora_baselines": frame}, sparse=None, files=())


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.01, 0.0101, 0.0099], SUPPORTED),
        ([-0.01, -0.0101, -0.0099], NOT_SUPPORTED),
        ([0.01, -0.01, 0.02], UNDECIDED),
        ([0.3], UNDECIDED),  # one seed, however large the gain
    ],
)
def test_seeds_decide_the_claim(
    gains: list[float], verdict: str, cell: Cell, baseline: Cell
) -> None:
    plain = {str(seed): 0.6 for seed in range(len(gains))}
    better = {str(seed): 0.6 + gain for seed, gain in enumerate(gains)}
    # The last is not asked for and only counts as a comparison.
    several = [baseline(name, plain) for name in ("shared_bottom", "ple", "shared_lora")]
    frame = baselines([cell("mlp", "mlora", better)], several)
    models = ("shared_bottom", "mmoe", "ple")
    findings = mlora_minus_baselines(models, numbers(frame))
    assert [(f.subject, f.verdict) for f in findings] == [
        ("Shared-bottom, mixed batches", verdict),
        ("MMoE, mixed batches, not run", UNDECIDED),
        ("PLE, mixed batches", verdict),
    ]
    assert findings[0].value == pytest.approx(sum(gains) / len(gains))
    assert findings[0].n_seeds == len(gains)


@pytest.mark.usefixtures("style")
def test_the_figure_has_a_dot_per_seed_and_equal_files(
    metrics: list[dict], found: list[dict], tmp_path: Path
) -> None:
    figure = baseline_dots(metrics, found, "generated", "mixed")
    dots = [float(x) for c in figure.axes[0].collections for x in c.get_offsets()[:, 0]]
    assert sorted(dots) == pytest.approx(
        sorted([0.5] * 3 + [0.875] * 3 + [0.5] * 3 + [0.75, 1.0, 1.25] + [0.25] * 3)
    )
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["STAR", "One MLP per domain", "MLP", "WDL"]
    first, second = (
        saved(baseline_dots(metrics, found, "generated", "mixed"), tmp_path / name)
        for name in ("first", "second")
    )
    assert first == second
    assert set(first) == {"figure.png", "figure.svg"}


@pytest.mark.usefixtures("style")
def test_one_seed_has_dots_and_no_bar_of_means(baseline: Cell) -> None:
    figure = baseline_dots([], [baseline("star", {"1": 0.5})], "generated", "mixed")
    assert [line for line in figure.axes[0].lines if len(line.get_xdata())] == []


@pytest.fixture
def stored(project: Path, set_params: SetParams, baseline: Cell) -> Path:
    """Metrics of two baselines in two batch orders."""
    set_params(
        grid={"datasets": ["generated"], "batch_orders": ["mixed", "alternate"]},
        baselines={"models": ["star", "mmoe"]},
    )
    folder = project / "reports" / "metrics" / "generated"
    folder.mkdir(parents=True)
    for number, (name, order) in enumerate(
        [("mmoe", "mixed"), ("star", "mixed"), ("mmoe", "alternate"), ("star", "alternate")]
    ):
        content = baseline(name, {"1": number / 4})
        for key in ("dataset", "baseline", "batch_order"):
            del content[key]
        (folder / f"baseline-{name}-{order}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.usefixtures("stored")
def test_metrics_come_in_the_order_of_the_parameters_with_their_names() -> None:
    cells = [(m["baseline"], m["batch_order"], m["wauc_mean"]) for m in read_baselines()]
    assert cells == [
        ("star", "mixed", 0.25),
        ("star", "alternate", 0.75),
        ("mmoe", "mixed", 0),
        ("mmoe", "alternate", 0.5),
    ]


def test_a_baseline_that_was_not_trained_is_named(stored: Path) -> None:
    (stored / "baseline-mmoe-mixed.json").unlink()
    message = r"^1 of 4 cells of the baselines .*: generated/baseline-mmoe-mixed\. `dvc repro`"
    with pytest.raises(MissingCellsError, match=message):
        read_baselines()


def test_an_unknown_baseline_is_refused(set_params: SetParams) -> None:
    set_params(baselines={"models": ["dnn"]})
    with pytest.raises(ParameterError, match=r"baselines\.models = 'dnn' is not known"):
        read_baselines()
