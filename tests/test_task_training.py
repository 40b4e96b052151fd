"""Training of two tasks: what a step may touch, scores, and resuming."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mlorakit.data.tasks import TASKS, TaskData
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.models.multitask import PLE, MMoE
from mlorakit.task_training import (
    TaskFitSettings,
    evaluate_tasks,
    fit_tasks,
    make_optimizers,
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
    before = evaluate_tasks(model, two_tasks.test, masks, two_tasks.binary)
    settings = TaskFitSettings(seed=1, epochs=10, batch_size=64, learning_rate=1e-2)
    losses = fit_tasks(model, two_tasks.train, masks, settings)
    after = evaluate_tasks(model, two_tasks.test, masks, two_tasks.binary)
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
        assert losses[-1][task] < losses[0][task]


def test_scores_by_hand(two_tasks: TaskData) -> None:
    class Known(nn.Module):
        def forward(self, ids: torch.Tensor, task: str, mask: Mask | None) -> torch.Tensor:
            return ids[:, 0].float() if task == "ctr" else torch.zeros(len(ids))

    rows = two_tasks.test
    scores = evaluate_tasks(Known(), rows, dict.fromkeys(TASKS), binary=False)
    converted = rows.conversion[rows.converts].double()
    assert scores.cvr_mse == pytest.approx((0.5 - converted).square().mean().item())
    assert scores.cvr_auc != scores.cvr_auc
    assert scores.logits["ctr"].tolist() == rows.ids[:, 0].tolist()
    assert scores.loss_of("ctr") == 1 - scores.ctr_auc
    assert scores.loss_of("cvr") == scores.cvr_mse


def test_a_binary_second_label_has_an_auc_among_the_rows_it_applies_to(
    two_tasks: TaskData,
) -> None:
    rows = two_tasks.test
    binary = type(rows)(**(vars(rows) | {"conversion": (rows.conversion > 0.5).float()}))
    model = network(two_tasks)
    scores = evaluate_tasks(model, binary, dict.fromkeys(TASKS), binary=True)
    assert 0 <= scores.cvr_auc <= 1


def test_an_interrupted_run_ends_with_the_same_bits(two_tasks: TaskData, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: int, loss: dict[str, float]) -> None:
        if epoch == 2:
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
        on_epoch=lambda epoch, loss: epochs.append(epoch),
    )
    assert epochs == [3]
    assert losses == expected
    assert not path.exists()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
