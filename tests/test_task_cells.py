"""What cells of two tasks share: data of a protocol, and metrics with intervals over seeds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mlorakit.bootstrap import Interval
from mlorakit.data.tasks import TaskData
from mlorakit.task_cells import (
    json_number,
    metric_intervals,
    metric_summary,
    protocol_data,
    replicates_frame,
    write_json,
)
from mlorakit.task_config import PruneConfig
from mlorakit.task_scores import TaskScores

pytestmark = pytest.mark.usefixtures("project")


def ctr_scores(data: TaskData, seed: int, rows: slice = slice(None)) -> TaskScores:
    """Random logits for some of the test rows."""
    places = torch.arange(len(data.test))[rows]
    logits = torch.randn(len(places), generator=torch.Generator().manual_seed(seed))
    area = roc_auc_score(data.test.click[places].numpy(), logits.numpy())
    return TaskScores({"ctr": logits}, {"ctr": places}, ctr_auc=area)


def replicates(found: dict[str, Interval]) -> np.ndarray:
    return found["ctr_auc"].replicates


def test_an_interval_is_of_the_mean_over_seeds(two_tasks: TaskData) -> None:
    tests = [ctr_scores(two_tasks, seed) for seed in (1, 2)]
    both = metric_intervals(tests, two_tasks.test, binary=False, replicates=30)
    one, other = (metric_intervals([t], two_tasks.test, False, 30) for t in tests)
    assert both["ctr_auc"].value == (tests[0].ctr_auc + tests[1].ctr_auc) / 2
    expected = (replicates(one) + replicates(other)) / 2
    assert replicates(both).tolist() == pytest.approx(expected.tolist())
    summary = metric_summary(tests, both)["ctr_auc"]
    low, high = np.percentile(expected, (2.5, 97.5))
    assert (summary["low"], summary["high"]) == pytest.approx((low, high))
    assert summary["std"] == pytest.approx(abs(tests[0].ctr_auc - tests[1].ctr_auc) / 2**0.5)


def test_rows_that_are_not_scored_have_no_part(two_tasks: TaskData) -> None:
    half = ctr_scores(two_tasks, 1, slice(0, 100))
    rows = two_tasks.test
    flipped = torch.where(torch.arange(len(rows)) < 100, rows.click, 1 - rows.click)
    first = metric_intervals([half], rows, False, 20)
    second = metric_intervals([half], replace(rows, click=flipped), False, 20)
    assert replicates(first).tolist() == replicates(second).tolist()
    whole = metric_intervals([ctr_scores(two_tasks, 1)], rows, False, 20)
    assert replicates(first).tolist() != replicates(whole).tolist()


def test_the_error_of_the_second_task_is_that_of_probabilities(two_tasks: TaskData) -> None:
    places = two_tasks.test.converts.nonzero()[:, 0]
    target = two_tasks.test.conversion[places]
    logits = torch.logit(target.double(), eps=1e-9).float()
    scores = TaskScores({"cvr": logits}, {"cvr": places}, cvr_mse=0.0)
    found = metric_intervals([scores], two_tasks.test, binary=False, replicates=10)
    assert list(found) == ["cvr_mse"]
    assert found["cvr_mse"].replicates.max() < 1e-10


def test_replicates_are_a_row_each() -> None:
    first = Interval(0.5, 0.4, 0.6, np.array([0.4, 0.6]))
    frame = replicates_frame({0: {"ctr_auc": first}, 3: {"cvr_mse": first, "cvr_auc": first}})
    assert frame.rows()[:3] == [
        (0, "ctr_auc", 0, 0.4),
        (0, "ctr_auc", 1, 0.6),
        (3, "cvr_mse", 0, 0.4),
    ]
    assert frame.height == 6


def test_the_released_protocol_has_one_set_of_rows(two_tasks: TaskData) -> None:
    def config(protocol: str) -> PruneConfig:
        return PruneConfig(protocol=protocol, device="cpu", threads=1)

    described = protocol_data(config("described"), two_tasks)
    assert torch.equal(described.test.ids, two_tasks.test.ids)
    released = protocol_data(config("released"), two_tasks)
    parts = (two_tasks.train, two_tasks.validation, two_tasks.test)
    for name in ("ids", "click", "conversion", "converts", "cluster"):
        whole = torch.cat([getattr(part, name) for part in parts])
        for split in (released.train, released.validation, released.test):
            assert torch.equal(getattr(split, name), whole)


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": json_number(float("nan")), "y": json_number(0.5)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": 0.5}
    assert (tmp_path / "a.json").read_text().endswith("}\n")
