"""Metrics and histories of the grid's cells."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlorakit.report.results import MissingCellsError, grid, read_histories, read_metrics

from ..conftest import SetParams
from .conftest import Cell


@pytest.fixture
def reports(project: Path, set_params: SetParams, cell: Cell) -> Path:
    """Two backbones and two variants, trained."""
    set_params(
        grid={
            "datasets": ["generated"],
            "backbones": ["wdl", "mlp"],
            "variants": ["mlora", "base"],
            "batch_orders": ["mixed"],
        }
    )
    for folder in ("metrics", "history"):
        (project / "reports" / folder / "generated").mkdir(parents=True)
    for backbone, variant, wauc in (
        ("mlp", "base", 0.1),
        ("mlp", "mlora", 0.2),
        ("wdl", "base", 0.3),
        ("wdl", "mlora", 0.4),
    ):
        name = f"generated/{backbone}-{variant}-mixed"
        content = cell(backbone, variant, {"1": wauc})
        metrics = {k: v for k, v in content.items() if k not in ("dataset", "backbone", "variant")}
        (project / "reports" / "metrics" / f"{name}.json").write_text(json.dumps(metrics))
        (project / "reports" / "history" / f"{name}.csv").write_text(
            f"seed,epoch,validation_auc\n1,1,{wauc}\n1,2,{wauc}\n"
        )
    return project / "reports"


@pytest.mark.usefixtures("reports")
def test_the_grid_is_that_of_the_parameters() -> None:
    assert grid().backbones == ("wdl", "mlp")
    assert grid().variants == ("mlora", "base")


@pytest.mark.usefixtures("reports")
def test_metrics_come_in_the_order_of_the_grid_with_their_names() -> None:
    found = read_metrics()
    assert [(m["backbone"], m["variant"], m["wauc_mean"]) for m in found] == [
        ("wdl", "mlora", 0.4),
        ("wdl", "base", 0.3),
        ("mlp", "mlora", 0.2),
        ("mlp", "base", 0.1),
    ]
    assert {(m["dataset"], m["batch_order"]) for m in found} == {("generated", "mixed")}


@pytest.mark.usefixtures("reports")
def test_histories_are_one_frame() -> None:
    frame = read_histories()
    assert len(frame) == 8
    assert frame["backbone"].tolist() == ["wdl"] * 4 + ["mlp"] * 4
    assert frame["validation_auc"].tolist() == [0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1]


@pytest.mark.parametrize(
    ("read", "path"),
    [
        (read_metrics, "metrics/generated/mlp-base-mixed.json"),
        (read_histories, "history/generated/mlp-base-mixed.csv"),
    ],
)
def test_a_cell_that_was_not_trained_is_named(
    reports: Path, read: Callable[[], object], path: str
) -> None:
    (reports / path).unlink()
    with pytest.raises(MissingCellsError, match=r"^1 of 4 cells .*: generated/mlp-base-mixed\. "):
        read()


def test_results_of_other_cells_are_no_part_of_the_grid(
    reports: Path, set_params: SetParams
) -> None:
    set_params(grid={"backbones": ["mlp"]})
    assert {m["backbone"] for m in read_metrics()} == {"mlp"}


@pytest.mark.usefixtures("reports")
def test_a_grid_without_data_sets_has_no_results(set_params: SetParams) -> None:
    set_params(grid={"datasets": []})
    assert read_metrics() == []
    assert read_histories().empty
