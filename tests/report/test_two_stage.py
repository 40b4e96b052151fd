"""Two stages beside joint training: numbers by hand."""

import json
import math
from pathlib import Path

import pytest

from mlorakit.report.results import MissingCellsError
from mlorakit.report.two_stage import read_two_stage, readable_two_stage, two_stage

from ..conftest import SetParams
from .conftest import Cell, p_of


def staged(
    cell: Cell, backbone: str, waucs: dict[str, float], best: list[int], **more: str
) -> dict:
    """A cell in two stages, whose best weights are of these stages, a seed each."""
    made = cell(backbone, "mlora", waucs, **more) | {"epochs_mean": 7.5}
    for seed, stage in zip(made["seeds"].values(), best, strict=True):
        seed |= {"first_stage_epochs": 4, "best_stage": stage}
    return made


@pytest.fixture
def grid_cells(cell: Cell) -> list[dict]:
    return [
        cell("mlp", "mlora", {"1": 0.5, "2": 0.5, "3": 0.5}),
        cell("mlp", "control", {"1": 0.1, "2": 0.1, "3": 0.1}),
        cell("wdl", "mlora", {"1": 0.5, "2": 0.5, "3": 0.5}),
        cell("wdl", "mlora", {"1": 0.2}, batch_order="alternate"),
    ]


@pytest.fixture
def staged_cells(cell: Cell) -> list[dict]:
    return [
        # Minus joint: 1/4, 1/2, 3/4; t = (1/2) / (1/4 / sqrt 3) = sqrt 12.
        staged(cell, "mlp", {"1": 0.75, "2": 1.0, "3": 1.25}, [2, 2, 1]),
        # -1/8, 1/8, 3/8; t = (1/8) / (1/4 / sqrt 3) = sqrt 3 / 2.
        staged(cell, "wdl", {"1": 0.375, "2": 0.625, "3": 0.875}, [1, 1, 1]),
        staged(cell, "dcn", {"1": 0.5, "2": 0.75, "3": 1.0}, [1, 2, 2]),
    ]


def test_differences_pair_the_seeds_with_mlora_trained_jointly(
    grid_cells: list[dict], staged_cells: list[dict]
) -> None:
    frame = two_stage(grid_cells, staged_cells).set_index("backbone")
    assert frame["joint"].to_dict() == pytest.approx(
        {"mlp": 0.5, "wdl": 0.5, "dcn": math.nan}, nan_ok=True
    )
    assert frame["two_stage"].to_dict() == {"mlp": 1.0, "wdl": 0.625, "dcn": 0.75}
    assert frame["two_stage_minus_joint"].tolist()[:2] == [0.5, 0.125]
    assert frame["two_stage_minus_joint_std"].tolist()[:2] == [0.25, 0.25]
    assert frame.loc["dcn"][["two_stage_minus_joint", "joint_epochs"]].isna().all()
    assert frame["second_stage_better"].to_dict() == {"mlp": 2, "wdl": 0, "dcn": 2}
    assert frame["joint_epochs"].tolist()[:2] == [4.5, 4.5]
    assert frame["two_stage_epochs"].tolist() == [7.5, 7.5, 7.5]


def test_p_values_are_corrected_over_the_rows_of_the_table(
    grid_cells: list[dict], staged_cells: list[dict]
) -> None:
    frame = two_stage(grid_cells, staged_cells).set_index("backbone")
    found = frame["two_stage_minus_joint_p"]
    assert found["mlp"] == pytest.approx(2 * p_of(12**0.5))
    assert found["wdl"] == pytest.approx(p_of(3**0.5 / 2))
    assert math.isnan(found["dcn"])


def test_batch_orders_and_data_sets_keep_to_themselves(grid_cells: list[dict], cell: Cell) -> None:
    cells = [
        staged(cell, "wdl", {"1": 0.5}, [2], batch_order="alternate"),
        staged(cell, "wdl", {"1": 0.5}, [2], dataset="movielens"),
    ]
    frame = two_stage(grid_cells, cells)
    assert frame["two_stage_minus_joint"].tolist()[0] == pytest.approx(0.3)
    assert math.isnan(frame["two_stage_minus_joint"].tolist()[1])


def test_a_person_reads_means_deviations_and_p(
    grid_cells: list[dict], staged_cells: list[dict]
) -> None:
    shown = readable_two_stage(two_stage(grid_cells, staged_cells))
    first, _, last = shown.to_dict("records")
    assert first == {
        "data set": "generated",
        "batches": "mixed",
        "backbone": "MLP",
        "joint": "0.5000 ± 0.0000",
        "two stages": "1.0000 ± 0.2500",
        "two stages − joint": "+0.5000 ± 0.2500",
        "p": f"{2 * p_of(12**0.5):.3g}",
        "seeds": 3,
        "stage 2 better": 2,
    }
    assert (last["joint"], last["two stages − joint"], last["p"]) == ("", "", "")


def test_one_seed_has_neither_deviation_nor_p(cell: Cell) -> None:
    frame = two_stage([cell("mlp", "mlora", {"1": 0.5})], [staged(cell, "mlp", {"1": 0.75}, [2])])
    shown = readable_two_stage(frame)
    assert "p" not in shown
    assert shown.loc[0, ["two stages", "two stages − joint"]].tolist() == ["0.7500", "+0.2500"]


def test_without_cells_in_two_stages_there_is_no_table(grid_cells: list[dict]) -> None:
    assert readable_two_stage(two_stage(grid_cells, [])).empty


@pytest.fixture
def asked(project: Path, set_params: SetParams, cell: Cell) -> Path:
    """Two backbones in two stages, trained; returns the folder of their metrics."""
    set_params(
        grid={"datasets": ["generated"], "backbones": ["mlp"], "batch_orders": ["mixed"]},
        two_stage={"backbones": ["wdl", "mlp"]},
    )
    folder = project / "reports" / "metrics" / "generated"
    folder.mkdir(parents=True)
    for backbone, wauc in (("mlp", 0.25), ("wdl", 0.5)):
        made = staged(cell, backbone, {"1": wauc}, [2])
        content = {k: v for k, v in made.items() if k not in ("dataset", "backbone", "variant")}
        (folder / f"{backbone}-mlora-mixed-two_stage.json").write_text(json.dumps(content))
    return folder


@pytest.mark.usefixtures("asked")
def test_cells_come_in_the_order_of_the_parameters_with_their_names() -> None:
    found = read_two_stage()
    assert [(m["backbone"], m["variant"], m["wauc_mean"]) for m in found] == [
        ("wdl", "mlora", 0.5),
        ("mlp", "mlora", 0.25),
    ]
    assert {(m["dataset"], m["batch_order"]) for m in found} == {("generated", "mixed")}


def test_a_cell_that_was_not_trained_is_named(asked: Path) -> None:
    (asked / "wdl-mlora-mixed-two_stage.json").unlink()
    sentence = r"^1 of 2 cells of two_stage in .*: generated/wdl-mlora-mixed-two_stage\. "
    with pytest.raises(MissingCellsError, match=sentence):
        read_two_stage()


@pytest.mark.usefixtures("asked")
def test_no_backbone_is_no_cell(set_params: SetParams) -> None:
    set_params(two_stage={"backbones": []})
    assert read_two_stage() == []
