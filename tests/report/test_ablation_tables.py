"""Tables of the sweeps: numbers by hand."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import ttest_rel

from mlorakit import paths
from mlorakit.models import BACKBONES
from mlorakit.report.ablation_tables import (
    against_control,
    best_wauc,
    overheads,
    readable_overheads,
    readable_sweep,
    with_best,
)

from .conftest import Cell


def test_a_point_stands_beside_the_control_of_its_data_backbone_and_widths(point: Cell) -> None:
    points = [
        point("none", {"1": 0.5}),
        point("none", {"1": 0.25}, hidden="8x4"),
        point("none", {"1": 0.125}, backbone="wdl"),
        point("none", {"1": 0.0625}, dataset="movielens"),
        *(point(alpha, {"1": 0.75}) for alpha in (1, 16)),
        point(16, {"1": 0.75}, hidden="8x4"),
        point(16, {"1": 0.75}, backbone="wdl"),
        point(16, {"1": 0.75}, dataset="movielens"),
    ]
    frame = against_control(points)
    assert frame["mlora_minus_control"].tolist() == [0.25, 0.25, 0.5, 0.625, 0.6875]
    assert frame["control"].tolist() == [0.5, 0.5, 0.25, 0.125, 0.0625]
    assert frame["alpha"].tolist() == [1, 16, 16, 16, 16]
    assert frame["mlora_minus_control_p"].isna().all()


def test_seeds_are_paired_and_p_is_corrected_over_the_table(point: Cell) -> None:
    control = {"1": 0.5, "2": 0.625, "3": 0.75}
    close = {"1": 0.5625, "2": 0.75, "3": 0.875}  # differences 1/16, 1/8, 1/8
    far = {"1": 0.75, "2": 0.875, "3": 1.125}  # 1/4, 1/4, 3/8
    frame = against_control([point("none", control), point(256, close), point(1, far)]).set_index(
        "alpha"
    )
    p = {
        alpha: ttest_rel(list(values.values()), list(control.values())).pvalue
        for alpha, values in ((256, close), (1, far))
    }
    small, large = sorted(p, key=lambda alpha: p[alpha])
    assert frame["mlora_minus_control_p"].to_dict() == pytest.approx(
        {small: 2 * p[small], large: max(2 * p[small], p[large])}
    )
    assert frame["mlora_minus_control"].to_dict() == pytest.approx({256: 0.3125 / 3, 1: 0.875 / 3})


def test_added_weights_are_over_those_of_the_base(point: Cell) -> None:
    (row,) = against_control([point(4, {"1": 0.5}, added=50)]).to_dict("records")
    assert (row["params_base"], row["share"], row["share_of_layers"]) == (1000, 0.05, 0.25)


def test_without_a_control_there_is_no_difference(point: Cell) -> None:
    frame = against_control([point(4, {"1": 0.5})])
    assert frame["control"].isna().all()
    shown = readable_sweep(frame, ["alpha"])
    assert shown.iloc[0][["control", "mlora", "mlora − control"]].tolist() == ["", "0.5000", ""]


def test_no_points_make_no_table(point: Cell) -> None:
    for points in ([], [point("none", {"1": 0.5})]):
        frame = with_best(against_control(points))
        assert frame.empty
        assert readable_sweep(frame, ["alpha"]).empty
    assert readable_overheads(overheads((), {})).empty


def test_a_person_reads_what_changes_and_what_it_costs(point: Cell) -> None:
    points = [
        point("none", {"1": 0.5, "2": 0.625}, n_domains=21),
        point(16, {"1": 0.75, "2": 0.875}, n_domains=21, added=50),
    ]
    frame = against_control(points).assign(best=0.9)
    (row,) = readable_sweep(frame, ["n_domains", "rows_train", "best"]).to_dict("records")
    assert row == {
        "data set": "generated",
        "backbone": "MLP",
        "domains": "21",
        "training rows": "21,000",
        "control": "0.5625 ± 0.0884",
        "mlora": "0.8125 ± 0.0884",
        "mlora − control": "+0.2500 ± 0.0000",
        "p": "",  # equal differences
        "best possible": "0.9000",
        "weights added": "50",
        "of the base's": "5.0%",
        "without embeddings": "25.0%",
        "seeds": 2,
    }
    one = against_control([point(p["alpha"], {"1": 0.5}, hidden="8x4") for p in points])
    shown = readable_sweep(one.assign(best=math.nan), ["hidden", "best"])
    assert list(shown)[2:6] == ["widths", "control", "mlora", "mlora − control"]
    assert shown["widths"].tolist() == ["8x4"]


def test_the_best_wauc_weights_domains_by_test_rows(prepared_project: Path) -> None:
    assert math.isnan(best_wauc("generated"))  # whose description names none
    folder = paths.processed_dir("planted")
    folder.mkdir()
    content = {
        "domains": [
            {"value": "x", "name": "X", "rows_test": 300},
            {"value": "y", "name": "Y", "rows_test": 100},
        ],
        "bayes_auc": {"x": 0.75, "y": 0.5, "z": 0.0},  # z is none of the domains taken
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    assert best_wauc("planted") == (300 * 0.75 + 100 * 0.5) / 400
    frame = with_best(pd.DataFrame({"dataset": ["planted", "generated"]}))
    assert frame["best"].tolist() == [0.6875, pytest.approx(math.nan, nan_ok=True)]


@pytest.mark.usefixtures("prepared_project")
def test_what_adapters_add_is_counted_for_every_backbone() -> None:
    train = {"alpha": "paper", "hidden": "16,8", "embedding_size": 4, "seeds": "1"}
    frame = overheads(("generated",), train).set_index("backbone")
    assert list(frame.index) == list(BACKBONES)
    assert frame.loc["nfm", "alpha"] == 4
    mlp = frame.loc["mlp"]
    # Two domains, alpha 16: rank 1 in both layers of 12 -> 16 -> 8.
    own = (12 + 16) + (16 + 8)
    dense = 12 * 16 + 16 + 16 * 8 + 8 + 8 + 1
    assert mlp["params_added"] == 2 * (own + 16 + 8)
    assert mlp["params_base"] - mlp["params_embedding"] == dense
    assert mlp["share_of_layers"] == mlp["params_added"] / dense
    assert mlp["multiply_adds"] == 12 * 16 + 16 * 8 + 8
    assert mlp["share_of_multiply_adds"] == own / mlp["multiply_adds"]
    shown = readable_overheads(frame.reset_index()).set_index("backbone")
    assert shown.loc["MLP", "share of them"] == f"{own / (12 * 16 + 16 * 8 + 8):.1%}"
