"""Tables from the metrics of cells: numbers by hand."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from mlorakit import paths
from mlorakit.data.prepare import prepare_dataset
from mlorakit.report.tables import (
    comparison,
    data_statistics,
    domain_auc,
    p_text,
    readable_comparison,
    readable_domain_auc,
    readable_wauc,
    row_account,
    wauc,
    with_spread,
)

from ..conftest import SetParams
from .conftest import Cell, p_of


@pytest.fixture
def three_seeds(cell: Cell) -> list[dict]:
    """Two backbones and all variants over seeds 1 to 3."""
    return [
        cell("mlp", "base", {"1": 0.5, "2": 0.5, "3": 0.5}),
        cell("mlp", "control", {"1": 0.5, "2": 0.5625, "3": 0.625}),
        # Minus control: 1/4, 1/2, 3/4; t = (1/2) / (1/4 / sqrt 3) = sqrt 12.
        cell("mlp", "mlora", {"1": 0.75, "2": 1.0625, "3": 1.375}),
        cell("deepfm", "base", {"1": 0.5, "2": 0.5, "3": 0.5}),
        cell("deepfm", "control", {"1": 0.5, "2": 0.625, "3": 0.75}),
        # Minus control: -1/8, 1/8, 3/8; t = (1/8) / (1/4 / sqrt 3) = sqrt 3 / 2.
        cell("deepfm", "mlora", {"1": 0.375, "2": 0.75, "3": 1.125}),
    ]


@pytest.fixture
def one_seed(cell: Cell) -> list[dict]:
    return [
        cell("mlp", "base", {"1": 0.5}),
        cell("mlp", "control", {"1": 0.625}),
        cell("mlp", "mlora", {"1": 0.75}),
    ]


def test_differences_pair_the_seeds(three_seeds: list[dict]) -> None:
    frame = comparison(three_seeds).set_index("backbone")
    assert frame["mlora_minus_control"].to_dict() == {"mlp": 0.5, "deepfm": 0.125}
    # 0.25 in both, though mlora's own deviation is 0.3125 and 0.375.
    assert frame["mlora_minus_control_std"].to_dict() == {"mlp": 0.25, "deepfm": 0.25}
    assert frame["mlora_std"].to_dict() == pytest.approx({"mlp": 0.3125, "deepfm": 0.375})
    assert frame["control_minus_base"].to_dict() == {"mlp": 0.0625, "deepfm": 0.125}


def test_p_values_are_corrected_over_the_rows_of_the_table(three_seeds: list[dict]) -> None:
    frame = comparison(three_seeds).set_index("backbone")
    small, large = p_of(12**0.5), p_of(3**0.5 / 2)
    expected = {"mlp": 2 * small, "deepfm": large}
    assert frame["mlora_minus_control_p"].to_dict() == pytest.approx(expected)
    # Control - base is a family of its own: 0, 1/16, 1/8 and 0, 1/8, 1/4, both with t = sqrt 3.
    expected = {"mlp": 2 * p_of(3**0.5), "deepfm": 2 * p_of(3**0.5)}
    assert frame["control_minus_base_p"].to_dict() == pytest.approx(expected)


def test_only_seeds_that_both_sides_ran_count(cell: Cell) -> None:
    frame = comparison(
        [
            cell("mlp", "base", {"2": 0.5, "3": 0.5}),
            cell("mlp", "mlora", {"1": 0.0, "2": 0.75, "3": 1.0}),
        ]
    )
    assert frame["mlora_minus_base"].tolist() == [0.375]
    assert frame["n_seeds"].tolist() == [2]


def test_rows_stand_in_the_order_of_the_grid(cell: Cell) -> None:
    cells = [
        cell(backbone, "base", {"1": 0.5}, dataset=dataset, batch_order=order)
        for dataset in ("movielens", "generated")
        for backbone in ("wdl", "mlp")
        for order in ("mixed", "alternate")
    ]
    frame = comparison(cells)
    assert frame[["dataset", "batch_order", "backbone"]].to_numpy().tolist() == [
        ["movielens", "mixed", "wdl"],
        ["movielens", "mixed", "mlp"],
        ["movielens", "alternate", "wdl"],
        ["movielens", "alternate", "mlp"],
        ["generated", "mixed", "wdl"],
        ["generated", "mixed", "mlp"],
        ["generated", "alternate", "wdl"],
        ["generated", "alternate", "mlp"],
    ]


def test_a_person_reads_means_deviations_and_p(three_seeds: list[dict]) -> None:
    shown = readable_comparison(comparison(three_seeds)).set_index("backbone")
    mlp = shown.loc["MLP"]
    assert mlp["control"] == "0.5625 ± 0.0625"
    assert mlp["mlora − control"] == "+0.5000 ± 0.2500"
    assert mlp["p (mlora − control)"] == f"{2 * p_of(12**0.5):.3g}"
    assert shown.loc["DeepFM"]["mlora − control"] == "+0.1250 ± 0.2500"


def test_one_seed_has_neither_deviation_nor_p(one_seed: list[dict]) -> None:
    frame = comparison(one_seed)
    assert frame["mlora_minus_control_p"].isna().all()
    shown = readable_comparison(frame)
    assert shown.to_dict("records") == [
        {
            "data set": "generated",
            "batches": "mixed",
            "backbone": "MLP",
            "base": "0.5000",
            "control": "0.6250",
            "mlora": "0.7500",
            "mlora − control": "+0.1250",
            "mlora − base": "+0.2500",
        }
    ]


def test_equal_differences_show_no_p(cell: Cell) -> None:
    frame = comparison(
        [
            cell("mlp", "base", {"1": 0.5, "2": 0.75}),
            cell("mlp", "mlora", {"1": 0.625, "2": 0.875}),
        ]
    )
    assert frame["mlora_minus_base_p"].isna().all()
    (row,) = readable_comparison(frame).to_dict("records")
    assert row["mlora − base"] == "+0.1250 ± 0.0000"
    assert "nan" not in str(row)


def test_a_variant_that_was_not_trained_is_left_out(one_seed: list[dict]) -> None:
    shown = readable_comparison(comparison([m for m in one_seed if m["variant"] != "control"]))
    assert list(shown) == ["data set", "batches", "backbone", "base", "mlora", "mlora − base"]


@pytest.mark.parametrize(
    ("mean", "std", "signed", "text"),
    [
        (0.81234, None, False, "0.8123"),
        (0.81234, math.nan, False, "0.8123"),
        (0.81234, 0.00126, False, "0.8123 ± 0.0013"),
        (0.0, None, True, "+0.0000"),
        (-0.01, 0.0, True, "-0.0100 ± 0.0000"),
    ],
)
def test_four_decimals(mean: float, std: float | None, signed: bool, text: str) -> None:
    assert with_spread(mean, std, signed) == text


def test_wauc_has_a_row_per_cell(three_seeds: list[dict]) -> None:
    frame = wauc(three_seeds)
    assert len(frame) == 6
    shown = readable_wauc(frame).iloc[1]
    assert shown.to_dict() == {
        "data set": "generated",
        "batches": "mixed",
        "backbone": "MLP",
        "variant": "control",
        "WAUC": "0.5625 ± 0.0625",
        "seeds": 3,
        "epochs": "4.5",
        "parameters": "12,345",
        "of which embeddings": "11,000",
        "added to base": "345",
    }


def test_wauc_of_one_seed_has_no_deviation(one_seed: list[dict]) -> None:
    frame = wauc(one_seed)
    assert frame["wauc_std"].isna().all()
    assert readable_wauc(frame)["WAUC"].tolist() == ["0.5000", "0.6250", "0.7500"]


def test_domain_auc_has_a_row_per_cell_and_domain(three_seeds: list[dict]) -> None:
    frame = domain_auc(three_seeds)
    assert len(frame) == 12
    row = frame[(frame.backbone == "mlp") & (frame.variant == "control")].iloc[1]
    assert (row.domain, row.n_seeds, row.auc_mean) == ("male", 3, 0.5625 - 0.125)
    assert row.auc_std == 0.0625


def test_a_person_reads_domain_auc_with_a_column_per_variant(one_seed: list[dict]) -> None:
    shown = readable_domain_auc(domain_auc(one_seed))
    assert shown.to_dict("records") == [
        {
            "data set": "generated",
            "batches": "mixed",
            "backbone": "MLP",
            "domain": domain,
            "base": f"{0.5 + more:.4f}",
            "control": f"{0.625 + more:.4f}",
            "mlora": f"{0.75 + more:.4f}",
        }
        for domain, more in (("female", 0.125), ("male", -0.125))
    ]


def described(project: Path) -> dict:
    path = project / "data" / "processed" / "generated" / "dataset.json"
    return json.loads(path.read_text())


def test_data_statistics_add_up(prepared_project: Path) -> None:
    frame = data_statistics(("generated",)).set_index("domain")
    parts = ["train", "validation", "test"]
    assert frame.index.tolist() == ["female", "male", "all"]
    assert (frame.loc[["female", "male"], parts].sum() == frame.loc["all", parts]).all()
    assert frame.loc["all", "rows"] == 1000
    description = described(prepared_project)
    positives = sum(d[f"positives_{p}"] for d in description["domains"] for p in parts)
    assert frame.loc["all", "positive_share"] == positives / 1000
    distinct = {field["name"]: field["distinct"] for field in description["fields"]}
    assert frame["users"].tolist() == [pd.NA, pd.NA, distinct["user"]]
    assert frame["items"].tolist() == [pd.NA, pd.NA, distinct["movie"]]


@pytest.mark.usefixtures("prepared_project")
def test_data_statistics_of_a_data_set_without_users_or_movies(set_params: SetParams) -> None:
    entry = {"source": "generated", "domain": "gender", "fields": "age,occupation"}
    set_params(
        datasets={"few": entry},
        generated={"users": 20, "movies": 15, "ratings": 200},
    )
    prepare_dataset("few")
    frame = data_statistics(("few",)).set_index("domain")
    assert frame.loc["all", "rows"] == 200
    assert frame["users"].isna().all()


def test_the_account_of_rows_names_each_reason(prepared_project: Path) -> None:
    path = prepared_project / "data" / "processed" / "generated" / "dataset.json"
    description = described(prepared_project)
    description["rows"] = [
        {"file": "a.dat", "read": 10, "kept": 7, "rejected": {"too long": 2, "too old": 1}},
        {"file": "b.dat", "read": 4, "kept": 4, "rejected": {}},
    ]
    path.write_text(json.dumps(description))
    frame = row_account(("generated",))
    columns = ["file", "read", "kept", "rejected", "reason"]
    assert frame[columns].to_numpy().tolist() == [
        ["a.dat", 10, 7, 3, ""],
        ["a.dat", 10, 7, 2, "too long"],
        ["a.dat", 10, 7, 1, "too old"],
        ["b.dat", 4, 4, 0, ""],
    ]


def test_an_empty_grid_has_empty_tables() -> None:
    for frame in (wauc([]), domain_auc([]), comparison([]), data_statistics(()), row_account(())):
        assert frame.empty
    for readable in (readable_wauc, readable_domain_auc, readable_comparison):
        assert readable(pd.DataFrame()).empty


@pytest.mark.usefixtures("tree")
def test_rows_of_two_tasks_are_accounted_for_in_their_own_folder() -> None:
    frame = row_account(("census",), paths.task_dir)
    assert frame[["file", "read", "kept", "rejected", "reason"]].to_numpy().tolist() == [
        ["rows.gz", 103, 100, 3, ""],
        ["rows.gz", 103, 100, 3, "odd"],
    ]


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.03412, "0.0341"), (7.05e-131, "7.05e-131"), (0.0, "<1e-300"), (math.nan, ""), (None, "")],
)
def test_a_p_that_no_float_holds_is_not_0(p: float | None, text: str) -> None:
    assert p_text(p) == text
