"""Training of two tasks: what a step may touch, scores, and resuming."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mlorakit.data.tasks import TASKS, TaskData
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.models.multitask import PLE, MMoE
from mlorakit.task_training import (
    TaskEpoch,
    TaskFitSettings,
    TaskScores,
    evaluate_tasks,
    fit_tasks,
    make_optimizers,
    scored_rows,
    task_loss,
    train_epoch,
)

FAST = TaskFitSettings(seed=1, epochs=3, batch_size=64, learning_rate=1e-2)


def network(data: TaskData) -> LT4REC:
    torch.manual_seed(5)
    return LT4REC(data.fields, data.tables, 4, (16, 8))


def halves(model: LT4REC) -> dict[str, Mask | None]:
    """Masks of the two tasks that overlap in about a quarter of the weights."""
    generator = torch.Generator().manual_seed(3)
    return {
        task: {
            name: (torch.rand(w.shape, generator=generator) < 0.5).float()
            for name, w in model.prunable().items()
        }
        for task in TASKS
    }


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_step_of_one_task_leaves_weights_outside_its_mask_as_they_are(
    two_tasks: TaskData,
) -> None:
    model = network(two_tasks)
    masks = halves(model)
    optimizers = make_optimizers(model, TASKS, FAST)
    # An epoch of both tasks first: every moment that can be there is there.
    train_epoch(model, optimizers, two_tasks.train, masks, FAST, epoch=1)
    for task in TASKS:
        before = weights(model)
        train_epoch(model, {task: optimizers[task]}, two_tasks.train, masks, FAST, epoch=2)
        mask = masks[task]
        assert mask is not None
        for name, weight in model.prunable().items():
            moved = weight != before[name]
            assert not moved[mask[name] == 0].any()
            assert moved[mask[name] == 1].float().mean() > 0.5


def test_the_released_protocols_momentum_moves_them(two_tasks: TaskData) -> None:
    model = network(two_tasks)
    masks = halves(model)
    settings = TaskFitSettings(1, 1, 300, 1e-2, "released")  # two batches: one of each task
    optimizers = make_optimizers(model, TASKS, settings)
    assert optimizers["ctr"] is optimizers["cvr"]
    train_epoch(model, optimizers, two_tasks.train, masks, settings, epoch=1)
    before = weights(model)
    train_epoch(model, {"cvr": optimizers["cvr"]}, two_tasks.train, masks, settings, epoch=2)
    for name, weight in model.prunable().items():
        ctr, cvr = masks["ctr"], masks["cvr"]
        assert ctr is not None
        assert cvr is not None
        only_ctr = (ctr[name] == 1) & (cvr[name] == 0)
        assert (weight != before[name])[only_ctr].any()


@pytest.mark.parametrize(("protocol", "batches"), [("described", 20), ("released", 10)])
def test_how_many_batches_serve_a_task(
    protocol: str, batches: int, two_tasks: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(two_tasks)
    steps = []
    optimizers = make_optimizers(model, TASKS, TaskFitSettings(1, protocol=protocol))
    for optimizer in set(optimizers.values()):
        step = optimizer.step
        monkeypatch.setattr(optimizer, "step", lambda step=step: (steps.append(1), step()))
    settings = TaskFitSettings(1, batch_size=60, protocol=protocol)
    train_epoch(model, optimizers, two_tasks.train, dict.fromkeys(TASKS), settings, 1)
    assert len(steps) == batches  # of ten batches


def test_training_learns_both_tasks(two_tasks: TaskData) -> None:
    model = network(two_tasks)
    masks: dict[str, Mask | None] = dict.fromkeys(TASKS)
    before = evaluate_tasks(model, two_tasks.test, masks, FAST, two_tasks.binary)
    settings = TaskFitSettings(seed=1, epochs=10, batch_size=64, learning_rate=1e-2)
    losses = fit_tasks(model, two_tasks.train, masks, settings)
    after = evaluate_tasks(model, two_tasks.test, masks, FAST, two_tasks.binary)
    assert len(losses) == 10
    assert after.ctr_auc > max(before.ctr_auc, 0.75)
    converted = two_tasks.test.conversion[two_tasks.test.converts]
    assert after.cvr_mse < converted.var().item() / 2


@pytest.mark.parametrize("make", [MMoE, PLE])
def test_the_other_models_train_by_the_same_loop(
    make: type[nn.Module], two_tasks: TaskData
) -> None:
    torch.manual_seed(0)
    model = make(two_tasks.fields, two_tasks.tables, 4, (16, 8))
    losses = fit_tasks(model, two_tasks.train, dict.fromkeys(TASKS), FAST)
    for task in TASKS:
        assert losses[-1].train_loss[task] < losses[0].train_loss[task]


def test_rows_without_a_conversion_do_not_change_its_step(two_tasks: TaskData) -> None:
    rows = two_tasks.train
    gradients = []
    for protocol in ("described", "released"):
        model = network(two_tasks)
        task_loss(model, rows, "cvr", None, protocol).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4)
    nobody = replace(rows, converts=torch.zeros_like(rows.converts))
    assert task_loss(network(two_tasks), nobody, "cvr", None, "described") == 0


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


def test_validation_is_recorded_after_each_epoch(two_tasks: TaskData) -> None:
    model = network(two_tasks)
    masks: dict[str, Mask | None] = dict.fromkeys(TASKS)

    def validate() -> TaskScores:
        return evaluate_tasks(model, two_tasks.validation, masks, FAST, two_tasks.binary)

    history = fit_tasks(model, two_tasks.train, masks, FAST, validate=validate)
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert history[-1].validation_loss == validate().losses
    assert history[0].validation_loss != history[-1].validation_loss


def test_scores_by_hand(two_tasks: TaskData) -> None:
    class Known(nn.Module):
        def forward(self, ids: torch.Tensor, task: str, mask: Mask | None) -> torch.Tensor:
            return ids[:, 0].float() if task == "ctr" else torch.zeros(len(ids))

    rows = two_tasks.test
    scores = evaluate_tasks(Known(), rows, dict.fromkeys(TASKS), FAST, binary=False)
    converted = rows.conversion[rows.converts].double()
    assert scores.rows["cvr"].tolist() == rows.converts.nonzero()[:, 0].tolist()
    assert len(scores.logits["cvr"]) == len(converted)
    assert scores.cvr_mse == pytest.approx((0.5 - converted).square().mean().item())
    assert scores.cvr_auc != scores.cvr_auc
    assert scores.logits["ctr"].tolist() == rows.ids[:, 0].tolist()
    assert scores.loss_of("ctr") == 1 - scores.ctr_auc
    assert scores.loss_of("cvr") == scores.cvr_mse
    alone = evaluate_tasks(Known(), rows, {"cvr": None}, FAST, binary=False)
    assert alone.losses == {"cvr": scores.cvr_mse}
    assert alone.ctr_auc != alone.ctr_auc


def test_a_binary_second_label_has_an_auc_among_the_rows_it_applies_to(
    two_tasks: TaskData,
) -> None:
    rows = two_tasks.test
    binary = type(rows)(**(vars(rows) | {"conversion": (rows.conversion > 0.5).float()}))
    model = network(two_tasks)
    scores = evaluate_tasks(model, binary, dict.fromkeys(TASKS), FAST, binary=True)
    assert 0 <= scores.cvr_auc <= 1


def test_an_interrupted_run_ends_with_the_same_bits(two_tasks: TaskData, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: TaskEpoch) -> None:
        if epoch.number == 2:
            raise KilledError

    whole = network(two_tasks)
    masks = halves(whole)
    expected = fit_tasks(whole, two_tasks.train, masks, FAST)
    path = tmp_path / "training.safetensors"
    with pytest.raises(KilledError):
        fit_tasks(network(two_tasks), two_tasks.train, masks, FAST, checkpoint=path, on_epoch=kill)
    resumed, epochs = network(two_tasks), []
    losses = fit_tasks(
        resumed,
        two_tasks.train,
        masks,
        FAST,
        checkpoint=path,
        on_epoch=lambda epoch: epochs.append(epoch.number),
    )
    assert epochs == [3]
    assert losses == expected
    assert fit_tasks(network(two_tasks), two_tasks.train, masks, FAST, checkpoint=path) == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
