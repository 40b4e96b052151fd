"""Tickets of generated logs hold the fields that decide their own task."""

import json
from pathlib import Path

import pytest

from mlorakit.data.prepare_tasks import open_tasks
from mlorakit.data.tasks import TASKS
from mlorakit.prune_cells import prune_seed
from mlorakit.task_config import PruneConfig

from .conftest import SetParams


@pytest.mark.parametrize("seed", [1, 2])
def test_tickets_show_which_fields_the_tasks_share(
    seed: int, project: Path, set_params: SetParams
) -> None:
    few = {"sessions": 1500, "users": 400, "videos": 300, "parts": 1}
    set_params(video_logs=few | {"overlap": 0.5, "signal": 3.0, "position_bias": 0.0})
    data = open_tasks("video_logs")
    truth = json.loads((project / "data/raw/video_logs/truth.json").read_text())["fields"]
    names = [field.name for field in data.fields]
    kept = {}
    for task in TASKS:
        config = PruneConfig(
            dataset="video_logs",
            task=task,
            rounds=2,
            embedding_size=8,
            hidden=(32,),
            epochs=2,
            batch_size=128,
            learning_rate=5e-3,
            device="cpu",
            threads=1,
        )
        mask = prune_seed(config, data, seed).rounds[-1].mask["trunk.0.weight"].cpu()
        pairs = mask[:, : len(names) ** 2].view(-1, len(names), len(names)).sum(0)
        alone = mask[:, len(names) ** 2 :].view(-1, len(names), config.embedding_size).sum((0, 2))
        weights = pairs.sum(0) + pairs.sum(1) + alone  # that read each field
        kept[task] = {
            part: weights[[names.index(field) for field in truth[part]]].mean().item()
            for part in ("both", "ctr", "cvr")
        }
    # Of a field that decides one task alone, that task's ticket holds more.
    assert kept["ctr"]["ctr"] > 1.2 * kept["cvr"]["ctr"]
    assert kept["cvr"]["cvr"] > 1.2 * kept["ctr"]["cvr"]
    # Of a field that decides both, each holds more than of the other task's, and about as much.
    for task, other in (TASKS, TASKS[::-1]):
        assert kept[task]["both"] > 1.05 * kept[task][other]
    assert 0.8 < kept["ctr"]["both"] / kept["cvr"]["both"] < 1.25
