"""Points of a sweep: trained as cells, and written."""

import json
from pathlib import Path

import pytest

from mlorakit.ablation_cells import point_metrics, write_point
from mlorakit.ablation_config import AblationConfig
from mlorakit.cell_results import SeedResult
from mlorakit.cells import run_seed
from mlorakit.data.dataset import MultiDomainData

SETTINGS: dict = {
    "dataset": "generated",
    "backbone": "wdl",
    "hidden": "8x4",
    "batch_size": 128,
    "learning_rate": 0.01,
    "max_epochs": 1,
    "threads": 1,
    "device": "cpu",
    "seeds": "1,2",
    "into": "reports/ablations/points",
}

pytestmark = pytest.mark.usefixtures("project")


def run(data: MultiDomainData, **changes: object) -> tuple[list[SeedResult], AblationConfig]:
    config = AblationConfig.of(**SETTINGS | changes)
    return [run_seed(config.train, data, seed) for seed in config.seeds], config


def test_a_points_metrics_are_its_cells_with_the_size_of_the_data(
    tiny_data: MultiDomainData,
) -> None:
    results, _ = run(tiny_data, alpha=4)
    metrics = point_metrics(results)
    assert metrics["n_domains"] == 2
    assert metrics["rows_train"] == len(tiny_data.train)
    assert list(metrics["seeds"]) == ["1", "2"]
    # Two domains; ranks 2 and 1 over widths 24 -> 8 -> 4.
    assert metrics["params_added"] == 2 * (2 * (24 + 8) + 8 + (8 + 4) + 4)


def test_the_control_has_biases_alone_and_other_scores(tiny_data: MultiDomainData) -> None:
    control, point = (point_metrics(run(tiny_data, alpha=alpha)[0]) for alpha in ("none", 1))
    assert control["params_added"] == 2 * (8 + 4)
    assert control["wauc_mean"] != point["wauc_mean"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"sweep": "alpha", "alpha": 4}, "alpha/generated/wdl-4.json"),
        ({"sweep": "domains", "alpha": "none"}, "domains/generated/wdl-none.json"),
        ({"sweep": "widths"}, "widths/generated/wdl-8x4-paper.json"),
    ],
)
def test_a_point_lies_where_its_stage_says(
    tiny_data: MultiDomainData, project: Path, changes: dict, name: str
) -> None:
    results, config = run(tiny_data, **changes)
    path = write_point(results, config)
    assert path == project / "reports/ablations/points" / name
    assert json.loads(path.read_text()) == point_metrics(results)
