"""Training in two stages: what each moves, what is kept, and going on after a kill."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlorakit import training
from mlorakit.data.dataset import MultiDomainData
from mlorakit.freezing import AdapterError
from mlorakit.models import BACKBONES, Backbone, build_model
from mlorakit.training import EpochRecord, Evaluation, FitSettings, Pace, evaluate, fit
from mlorakit.two_stage import fit_two_stages, stage_checkpoint

SETTINGS = FitSettings(seed=1, batch_size=64, learning_rate=0.02, max_epochs=3)
ADAPTERS = ("lora_a", "lora_b_bias")
State = dict[str, Tensor]
OnEpoch = Callable[[EpochRecord, Pace], None]


def model_of(
    data: MultiDomainData, backbone: str = "deepfm", variant: str = "mlora", **more: object
) -> Backbone:
    settings: dict = {"alpha": 4, "hidden": (16, 8), "dropout": 0.25, "seed": 1} | more
    return build_model(
        backbone, variant, field_sizes=data.field_sizes, n_domains=data.n_domains, **settings
    )


def copy_of(model: Backbone) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(first: State, second: State) -> set[str]:
    assert first.keys() == second.keys()
    return {name for name in first if not torch.equal(first[name], second[name])}


def followed(
    data: MultiDomainData, model: Backbone, settings: FitSettings = SETTINGS
) -> tuple[list[State], list[EpochRecord]]:
    """The weights before training, after each epoch and at the end; and the history."""
    states = [copy_of(model)]
    history = fit_two_stages(
        model, data, settings, on_epoch=lambda record, pace: states.append(copy_of(model))
    )
    return [*states, copy_of(model)], history


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Replaces the validation scores by given ones, an epoch each."""

    def play(scores: list[float]) -> None:
        left = iter(scores)

        def scored(model: Backbone, split: object) -> Evaluation:
            score = next(left)
            return Evaluation(torch.empty(0), [], score, score, 0.0)

        monkeypatch.setattr(training, "evaluate", scored)

    return play


@pytest.mark.parametrize(
    ("backbone", "norm"), [*((name, "none") for name in BACKBONES), ("wdl", "bn"), ("wdl", "pn")]
)
def test_each_stage_moves_its_own_weights(
    planted: MultiDomainData, backbone: str, norm: str
) -> None:
    model = model_of(planted, backbone, norm=norm)
    states, history = followed(planted, model, replace(SETTINGS, max_epochs=1))
    start, first, second, end = states
    assert [(r.stage, r.epoch) for r in history] == [(1, 1), (2, 2)]
    adapters = {name for name in start if name.endswith(ADAPTERS)}
    assert changed(start, first) == set(start) - adapters
    # B has a gradient at once; A from the second step on, as B is zero until then.
    assert changed(first, second) == adapters
    assert changed(second, end) in (set(), adapters)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_first_stage_is_training_the_base_model(planted: MultiDomainData) -> None:
    # Without dropout, whose masks depend on how a layer lays out its rows.
    model, base = (model_of(planted, variant=v, dropout=0.0) for v in ("mlora", "base"))
    records: list[EpochRecord] = []
    fit_two_stages(model, planted, SETTINGS, on_epoch=lambda record, pace: records.append(record))
    history = fit(base, planted, SETTINGS)
    first = [record for record in records if record.stage == 1]
    assert len(first) == len(history)
    for mine, other in zip(first, history, strict=True):
        assert mine.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert mine.validation_auc == pytest.approx(other.validation_auc, abs=1e-3)


def test_the_second_stage_starts_from_the_firsts_best_weights(
    planted: MultiDomainData, script: Callable[[list[float]], None]
) -> None:
    script([0.5, 0.7, 0.6, 0.65, 0.71, 0.72])
    states, history = followed(planted, model_of(planted))
    assert [record.stage for record in history] == [1, 1, 1, 2, 2, 2]
    assert [record.epoch for record in history] == [1, 2, 3, 4, 5, 6]
    shared = {name for name in states[0] if not name.endswith(ADAPTERS)}
    for later in states[4:]:  # the second epoch's, frozen
        assert changed(states[2], later).isdisjoint(shared)
    assert changed(states[-1], states[6]) == set()


def test_without_a_better_score_the_first_stages_weights_stand(
    planted: MultiDomainData, script: Callable[[list[float]], None]
) -> None:
    script([0.5, 0.7, 0.6, 0.7, 0.6, 0.65])  # 0.7 again is no better
    states, history = followed(planted, model_of(planted))
    assert len(history) == 6
    assert changed(states[-1], states[2]) == set()
    adapters = {name for name in states[0] if name.endswith(ADAPTERS)}
    assert changed(states[-1], states[0]).isdisjoint(adapters)


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3 + 1), (2, 4 + 2), (3, 5 + 5)])
def test_patience_starts_anew_with_the_second_stage(
    planted: MultiDomainData,
    script: Callable[[list[float]], None],
    patience: int,
    epochs: int,
) -> None:
    first = [0.5, 0.7, *[0.6] * patience]
    second = [0.6, 0.71, *[0.6] * 5] if patience > 2 else [0.6] * 5
    script(first + second)
    settings = replace(SETTINGS, patience=patience, max_epochs=0)
    _, history = followed(planted, model_of(planted), settings)
    assert len(history) == epochs


def test_a_first_stage_without_a_score_is_beaten_by_any(
    planted: MultiDomainData, script: Callable[[list[float]], None]
) -> None:
    script([math.nan, math.nan, 0.1, 0.05])
    states, _ = followed(planted, model_of(planted), replace(SETTINGS, max_epochs=2))
    assert changed(states[-1], states[3]) == set()


def kill_after(epoch: int) -> OnEpoch:
    """Ends training after an epoch as a user would, or a scheduler."""

    def on_epoch(record: EpochRecord, pace: Pace) -> None:
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return on_epoch


@pytest.mark.parametrize("norm", ["none", "pn"])
@pytest.mark.parametrize("epochs", [[1], [3], [4], [6], [2, 3, 5]])
def test_a_killed_run_ends_with_the_bits_of_an_uninterrupted_one(
    planted: MultiDomainData, tmp_path: Path, epochs: list[int], norm: str
) -> None:
    whole = model_of(planted, norm=norm)
    history = fit_two_stages(whole, planted, SETTINGS)
    assert [record.stage for record in history] == [1, 1, 1, 2, 2, 2]
    path = tmp_path / "run.safetensors"
    for epoch in epochs:
        with pytest.raises(KeyboardInterrupt):
            fit_two_stages(
                model_of(planted, norm=norm),
                planted,
                SETTINGS,
                checkpoint=path,
                on_epoch=kill_after(epoch),
            )
    resumed, seen = model_of(planted, norm=norm), []
    found = fit_two_stages(
        resumed,
        planted,
        SETTINGS,
        checkpoint=path,
        on_epoch=lambda record, pace: seen.append(record.epoch),
    )
    assert found == history
    assert seen == list(range(epochs[-1] + 1, 7))
    assert changed(resumed.state_dict(), whole.state_dict()) == set()
    assert sorted(tmp_path.iterdir()) == [stage_checkpoint(path, stage) for stage in (1, 2)]


def test_a_model_without_adapters_is_refused(planted: MultiDomainData) -> None:
    with pytest.raises(AdapterError, match="DeepFM has no adapters; build it with variant"):
        fit_two_stages(model_of(planted, variant="base"), planted, SETTINGS)


def test_the_low_rank_maps_learn_what_the_shared_weights_cannot(planted: MultiDomainData) -> None:
    # The planted third domain turns the others' likes round. Embeddings of the domain would let the
    # shared weights tell it apart, so all rows get the same.
    def alike(rows: training.Rows) -> training.Rows:
        ids = rows.ids.clone()
        ids[:, 2] = 1
        return replace(rows, ids=ids)

    data = replace(planted, train=alike(planted.train), validation=alike(planted.validation))
    test = alike(planted.test)
    model = model_of(data, "mlp", dropout=0.0, rank=4)
    scores: dict[int, float] = {}

    def note(record: EpochRecord, pace: Pace) -> None:
        scores[record.stage or 0] = max(scores.get(record.stage or 0, 0), record.validation_auc)

    fit_two_stages(model, data, replace(SETTINGS, max_epochs=15, patience=15), on_epoch=note)
    assert scores[1] < 0.75
    assert scores[2] > scores[1] + 0.1
    assert evaluate(model, test).mean_auc > 0.7
