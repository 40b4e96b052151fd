"""Scores of two tasks: on which rows, and by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mlorakit.data.tasks import TASKS, TaskData
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.task_scores import evaluate_tasks, scored_rows
from mlorakit.task_training import TaskFitSettings

DESCRIBED = TaskFitSettings(seed=1)


def test_every_row_is_scored_as_described_and_every_other_batch_as_released(
    two_tasks: TaskData,
) -> None:
    rows = two_tasks.test.take(torch.arange(10))
    rows = replace(rows, converts=torch.tensor([1, 0, 0, 1, 1, 1, 0, 1, 1, 1]).bool())

    def places(protocol: str, *tasks: str) -> dict[str, list[int]]:
        settings = TaskFitSettings(1, batch_size=3, protocol=protocol)
        return {task: p.tolist() for task, p in scored_rows(rows, tasks, settings).items()}

    assert places("described", *TASKS) == {"ctr": list(range(10)), "cvr": [0, 3, 4, 5, 7, 8, 9]}
    assert places("released", *TASKS) == {"ctr": [0, 1, 2, 6, 7, 8], "cvr": [3, 4, 5, 9]}
    assert places("released", "cvr") == {"cvr": [0, 3, 4, 5, 7, 8, 9]}


def test_released_scores_are_those_of_whole_batches(two_tasks: TaskData) -> None:
    torch.manual_seed(5)
    model = LT4REC(two_tasks.fields, two_tasks.tables, 4, (16, 8), average_padding=True)
    torch.nn.init.normal_(model.input.embedding.weight)  # large enough that padding is seen
    settings = TaskFitSettings(1, batch_size=2, protocol="released")
    rows = two_tasks.test
    scores = evaluate_tasks(model, rows, dict.fromkeys(TASKS), settings, binary=False)
    for task in TASKS:
        for logit, place in zip(scores.logits[task], scores.rows[task].tolist(), strict=True):
            batch = rows.ids[place // 2 * 2 : place // 2 * 2 + 2]
            torch.testing.assert_close(logit, model(batch, task)[place % 2])
    alone = torch.cat([model(rows.ids[i : i + 1], "ctr") for i in scores.rows["ctr"].tolist()])
    assert not torch.allclose(scores.logits["ctr"], alone)


def test_scores_by_hand(two_tasks: TaskData) -> None:
    class Known(nn.Module):
        def forward(self, ids: torch.Tensor, task: str, mask: Mask | None) -> torch.Tensor:
            return ids[:, 0].float() if task == "ctr" else torch.zeros(len(ids))

    rows = two_tasks.test
    scores = evaluate_tasks(Known(), rows, dict.fromkeys(TASKS), DESCRIBED, binary=False)
    converted = rows.conversion[rows.converts].double()
    assert scores.rows["cvr"].tolist() == rows.converts.nonzero()[:, 0].tolist()
    assert len(scores.logits["cvr"]) == len(converted)
    assert scores.cvr_mse == pytest.approx((0.5 - converted).square().mean().item())
    assert scores.cvr_auc != scores.cvr_auc
    assert scores.logits["ctr"].tolist() == rows.ids[:, 0].tolist()
    assert scores.loss_of("ctr") == 1 - scores.ctr_auc
    assert scores.loss_of("cvr") == scores.cvr_mse
    alone = evaluate_tasks(Known(), rows, {"cvr": None}, DESCRIBED, binary=False)
    assert alone.losses == {"cvr": scores.cvr_mse}
    assert alone.ctr_auc != alone.ctr_auc


def test_a_binary_second_label_has_an_auc_among_the_rows_it_applies_to(
    two_tasks: TaskData,
) -> None:
    rows = two_tasks.test
    binary = type(rows)(**(vars(rows) | {"conversion": (rows.conversion > 0.5).float()}))
    torch.manual_seed(5)
    model = LT4REC(two_tasks.fields, two_tasks.tables, 4, (16, 8))
    scores = evaluate_tasks(model, binary, dict.fromkeys(TASKS), DESCRIBED, binary=True)
    assert 0 <= scores.cvr_auc <= 1
