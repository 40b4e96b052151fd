"""Training of two tasks: what a step may touch, and resuming."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mlorakit import task_training
from mlorakit.data.tasks import TASKS, TaskData
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.models.multitask import PLE, MMoE
from mlorakit.task_scores import evaluate_tasks
from mlorakit.task_training import (
    TaskEpoch,
    TaskFitSettings,
    fit_tasks,
    make_optimizers,
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


def test_validation_is_recorded_after_each_epoch(two_tasks: TaskData) -> None:
    model = network(two_tasks)
    masks: dict[str, Mask | None] = dict.fromkeys(TASKS)

    def validate() -> dict[str, float]:
        rows = two_tasks.validation
        return evaluate_tasks(model, rows, masks, FAST, two_tasks.binary).losses

    history = fit_tasks(model, two_tasks.train, masks, FAST, validate=validate)
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert history[-1].validation_loss == validate()
    assert history[0].validation_loss != history[-1].validation_loss


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


def test_the_curve_is_the_mean_loss_of_consecutive_stretches(
    two_tasks: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(FAST, batch_size=100)  # 6 batches
    monkeypatch.setattr(task_training, "STRETCHES", 6)
    single = fit_tasks(network(two_tasks), two_tasks.train, {"ctr": None}, settings)[0]
    monkeypatch.setattr(task_training, "STRETCHES", 2)
    halves = fit_tasks(network(two_tasks), two_tasks.train, {"ctr": None}, settings)[0]
    losses = single.curve["ctr"]
    assert len(losses) == 6
    assert halves.curve["ctr"] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 3])
    assert halves.train_loss["ctr"] == pytest.approx(sum(losses) / 6)
