"""The benchmark of the baselines' steps: what it times, and its page."""

from pathlib import Path

import pytest
import torch

from benchmarks import baselines, results
from benchmarks.data import random_data
from mlorakit.training import make_optimizer


def test_a_round_trains_on_every_batch() -> None:
    data = random_data(2, train_rows=baselines.BATCH + 1, other_rows=10)
    model = baselines.models_of(data, [])["base"]
    optimizer = make_optimizer(model, 1e-3, 0.0)
    before = model.head.weight.detach().clone()
    baselines.train_steps(model, optimizer, data.train)
    assert {int(state["step"]) for state in optimizer.state.values()} == {2}
    assert not torch.equal(model.head.weight, before)


def test_the_page_divides_times_of_one_round() -> None:
    found = {
        "environment": {"cpu": "some"},
        "steps": 3,
        "data": {"movielens": "random ids"},
        "seconds": {"movielens": {"base": [0.5, 0.25, 1.0], "ple": [5.0, 5.0, 5.0]}},
    }
    text = baselines.page(found)
    assert "## 2 domains (random ids)" in text
    assert "| MLP | 500.00 | 1.00 (1.00 to 1.00) |" in text
    assert "| PLE | 5000.00 | 10.00 (5.00 to 20.00) |" in text


def test_a_run_writes_its_numbers_and_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        baselines, "movielens_or_random", lambda folder, d: random_data(d, 2000, 10)
    )
    command = ["--models", "star", "--steps", "1", "--rounds", "2", "--reports", str(tmp_path)]
    baselines.measure(baselines.parse(command))
    found = results.read_json(tmp_path / "baselines.json")
    for name in baselines.DATASETS:
        times = found["seconds"][name]
        assert list(times) == ["base", "mlora", "star"]
        assert all(len(own) == 2 and min(own) > 0 for own in times.values())
    assert (tmp_path / "baselines.md").read_text() == baselines.page(found)
