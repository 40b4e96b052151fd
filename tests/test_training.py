"""The fit loop: repeatable, resumable, and ending with its best weights."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numba
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlorakit import training
from mlorakit.data.batches import evaluation_batches
from mlorakit.data.dataset import MultiDomainData
from mlorakit.kernels import dense
from mlorakit.metrics import auc
from mlorakit.models import Backbone, build_model
from mlorakit.training import (
    EpochRecord,
    Evaluation,
    FitSettings,
    Pace,
    evaluate,
    fit,
    make_optimizer,
)

SETTINGS = FitSettings(seed=1, batch_size=64, learning_rate=0.02, max_epochs=4)
State = dict[str, Tensor]


def model_of(data: MultiDomainData, variant: str = "mlora", backbone: str = "deepfm") -> Backbone:
    return build_model(
        backbone,
        variant,
        field_sizes=data.field_sizes,
        n_domains=data.n_domains,
        alpha=4,
        hidden=(16, 8),
        dropout=0.25,
        seed=1,
    )


def copy_of(model: Backbone) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal(first: State, second: State) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def kill_after(epoch: int) -> Callable[[EpochRecord, Pace], None]:
    """Ends the fit after an epoch as a user would, or a scheduler."""

    def on_epoch(record: EpochRecord, pace: Pace) -> None:
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return on_epoch


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Replaces the validation scores by given ones, an epoch each."""

    def play(scores: list[float]) -> None:
        left = iter(scores)

        def evaluate(model: Backbone, split: object) -> Evaluation:
            score = next(left)
            return Evaluation(torch.empty(0), [], score, score, 0.0)

        monkeypatch.setattr(training, "evaluate", evaluate)

    return play


def snapshots(data: MultiDomainData, settings: FitSettings) -> tuple[list[State], State]:
    """The weights after each epoch, and those that the fit ends with."""
    model, seen = model_of(data), []
    fit(model, data, settings, on_epoch=lambda record, pace: seen.append(copy_of(model)))
    return seen, copy_of(model)


@pytest.mark.parametrize("order", ["mixed", "alternate"])
@pytest.mark.parametrize("variant", ["base", "mlora"])
def test_two_fits_of_a_seed_agree_to_the_bit(
    planted: MultiDomainData, variant: str, order: str
) -> None:
    settings = replace(SETTINGS, batch_order=order, max_epochs=2)
    first, second = model_of(planted, variant), model_of(planted, variant)
    history = fit(first, planted, settings)
    torch.manual_seed(99)  # what others drew before makes no difference
    assert fit(second, planted, settings) == history
    assert_equal(first.state_dict(), second.state_dict())


def test_another_seed_takes_another_course(planted: MultiDomainData) -> None:
    settings = replace(SETTINGS, max_epochs=1)
    first = fit(model_of(planted), planted, settings)
    assert fit(model_of(planted), planted, replace(settings, seed=2)) != first


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("order", ["mixed", "alternate"])
@pytest.mark.parametrize("variant", ["base", "mlora"])
def test_a_killed_fit_goes_on_to_the_bits_of_an_uninterrupted_one(
    planted: MultiDomainData, tmp_path: Path, variant: str, order: str, epoch: int
) -> None:
    settings = replace(SETTINGS, batch_order=order, max_epochs=5)
    whole = model_of(planted, variant)
    history = fit(whole, planted, settings)

    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(
            model_of(planted, variant),
            planted,
            settings,
            checkpoint=path,
            on_epoch=kill_after(epoch),
        )
    resumed, epochs = model_of(planted, variant), []
    found = fit(
        resumed,
        planted,
        settings,
        checkpoint=path,
        on_epoch=lambda record, pace: epochs.append(record.epoch),
    )
    assert found == history
    assert epochs == list(range(epoch + 1, len(history) + 1))
    assert_equal(resumed.state_dict(), whole.state_dict())


def test_a_fit_that_was_over_is_not_trained_again(planted: MultiDomainData, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    first, second = model_of(planted), model_of(planted)
    history = fit(first, planted, SETTINGS, checkpoint=path)
    assert fit(second, planted, SETTINGS, checkpoint=path, on_epoch=kill_after(1)) == history
    assert_equal(first.state_dict(), second.state_dict())


def test_the_best_weights_are_restored_when_patience_ends_training(
    planted: MultiDomainData, script: Callable[[list[float]], None]
) -> None:
    script([0.5, 0.7, 0.6, 0.7, 0.65])  # 0.7 again is no better
    seen, final = snapshots(planted, replace(SETTINGS, patience=3, max_epochs=0))
    assert len(seen) == 5
    assert_equal(final, seen[1])


def test_the_best_weights_are_restored_when_the_cap_ends_training(
    planted: MultiDomainData, script: Callable[[list[float]], None]
) -> None:
    script([0.5, 0.7, 0.6])
    seen, final = snapshots(planted, replace(SETTINGS, patience=3, max_epochs=3))
    assert len(seen) == 3
    assert_equal(final, seen[1])
    assert not torch.equal(seen[1]["mlp.layers.0.lora_b_bias"], seen[2]["mlp.layers.0.lora_b_bias"])


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (4, 10)])
def test_patience_counts_the_epochs_since_the_best(
    planted: MultiDomainData,
    script: Callable[[list[float]], None],
    patience: int,
    epochs: int,
) -> None:
    script([0.5, 0.6, 0.55, 0.58, 0.59, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6])
    seen, _ = snapshots(planted, replace(SETTINGS, patience=patience, max_epochs=0))
    assert len(seen) == epochs


def test_without_a_score_the_first_epoch_counts_as_best(
    planted: MultiDomainData, script: Callable[[list[float]], None]
) -> None:
    script([math.nan] * 5)
    seen, final = snapshots(planted, replace(SETTINGS, patience=3, max_epochs=2))
    assert_equal(final, seen[0])


def test_the_pace_tells_the_time_that_is_left_at_least(
    planted: MultiDomainData, script: Callable[[list[float]], None]
) -> None:
    script([0.5, 0.6, 0.5, 0.5])
    paces: list[Pace] = []
    settings = replace(SETTINGS, patience=3, max_epochs=4)
    fit(model_of(planted), planted, settings, on_epoch=lambda record, pace: paces.append(pace))
    assert all(pace.rows_per_second > 0 for pace in paces)
    epochs_left = [pace.seconds_left * pace.rows_per_second / 600 for pace in paces]
    # Patience leaves 3, 3, 2, 1 and the cap 3, 2, 1, 0.
    assert epochs_left == pytest.approx([3, 2, 1, 0])


def test_one_step_is_adam_on_the_mean_loss_with_an_explicit_penalty(
    planted: MultiDomainData,
) -> None:
    l2 = 0.3  # large, so that the penalty shows
    model = model_of(planted, backbone="dcn")
    model.linear.weight.data.fill_(0.5)
    batch = next(evaluation_batches(planted.train, 64))
    torch.manual_seed(1)
    loss = F.binary_cross_entropy_with_logits(model(batch.ids, batch.groups), batch.label)
    penalty = l2 * sum(p.square().sum() for p in model.regularized())
    expected = torch.autograd.grad(loss + penalty, list(model.parameters()))

    optimizer = make_optimizer(model, 0.01, l2)
    torch.manual_seed(1)
    loss = F.binary_cross_entropy_with_logits(model(batch.ids, batch.groups), batch.label)
    loss.backward()
    optimizer.step()
    # After one step Adam's first moment is a tenth of the gradient that it saw.
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(10 * optimizer.state[parameter]["exp_avg"], gradient)


def test_the_recorded_loss_is_the_mean_over_rows_without_the_penalty(
    planted: MultiDomainData,
) -> None:
    # At a learning rate next to 0 the weights stay; 600 rows leave a last batch of 88.
    model = model_of(planted)
    for layer in model.adapted_layers():
        layer.p = 0.0
    settings = replace(SETTINGS, batch_size=128, learning_rate=1e-12, l2=10.0, max_epochs=1)
    expected = evaluate(model, planted.train).log_loss
    (record,) = fit(model, planted, settings)
    assert record.train_loss == pytest.approx(expected, rel=1e-5)


def test_the_record_holds_the_scores_of_the_validation_rows(planted: MultiDomainData) -> None:
    model = model_of(planted)
    (record,) = fit(model, planted, replace(SETTINGS, max_epochs=1))
    scores = evaluate(model, planted.validation)
    assert (record.epoch, record.validation_auc) == (1, scores.mean_auc)
    assert record.validation_wauc == scores.wauc


def test_evaluation_by_its_parts(planted: MultiDomainData) -> None:
    model = model_of(planted).train()
    torch.nn.init.normal_(model.embedding.weight)
    rows = planted.test
    found = evaluate(model, rows)
    assert not model.training
    logit = model(rows.ids, rows.groups).detach()
    torch.testing.assert_close(found.logit, logit)
    inside = [rows.groups.domain == d for d in range(3)]
    assert found.auc == [auc(logit[d], rows.label[d]) for d in inside]
    assert found.mean_auc == pytest.approx(sum(found.auc) / 3)
    counts = [int(d.sum()) for d in inside]
    weighted = sum(a * n for a, n in zip(found.auc, counts, strict=True)) / 200
    assert found.wauc == pytest.approx(weighted)
    probability = logit.double().sigmoid()
    right = torch.where(rows.label > 0.5, probability, 1 - probability)
    assert found.log_loss == pytest.approx(-right.log().mean().item(), rel=1e-5)


def test_evaluation_in_parts_is_evaluation_at_once(
    planted: MultiDomainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(planted)
    torch.nn.init.normal_(model.embedding.weight)
    at_once = evaluate(model, planted.test).logit
    monkeypatch.setattr(training, "_EVALUATION_BATCH", 17)
    torch.testing.assert_close(evaluate(model, planted.test).logit, at_once)


@pytest.mark.parametrize("order", ["mixed", "alternate"])
@pytest.mark.parametrize("variant", ["base", "control", "mlora"])
def test_a_planted_signal_is_learned(planted: MultiDomainData, variant: str, order: str) -> None:
    model = model_of(planted, variant)
    assert evaluate(model, planted.test).wauc < 0.6
    history = fit(model, planted, replace(SETTINGS, batch_order=order))
    assert evaluate(model, planted.test).wauc > 0.75  # labels are 10 % noise: at best 0.9
    assert history[-1].train_loss < history[0].train_loss


def test_generated_ratings_are_learned(tiny_data: MultiDomainData) -> None:
    model = model_of(tiny_data)
    fit(model, tiny_data, replace(SETTINGS, max_epochs=10))
    assert evaluate(model, tiny_data.test).wauc > 0.6


@pytest.mark.parametrize("variant", ["base", "control", "mlora"])
def test_the_number_of_threads_changes_no_bit_of_a_fit(
    variant: str, planted: MultiDomainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba was started with one thread.")
    monkeypatch.setattr(dense, "_SHARD", 16)  # four shards of a batch
    found = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        model = model_of(planted, variant)
        try:
            history = fit(model, planted, replace(SETTINGS, max_epochs=2))
        finally:
            numba.set_num_threads(1)
        found.append((history, copy_of(model)))
    assert found[0][0] == found[1][0]
    assert_equal(found[0][1], found[1][1])
