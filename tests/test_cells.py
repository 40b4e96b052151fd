"""A cell of the grid: trained, resumed, summarised and written."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mlorakit.cell_results import (
    SeedResult,
    count_parameters,
    history_frame,
    prediction_summary,
    summarize,
    write_cell,
)
from mlorakit.cells import make_model, run_seed
from mlorakit.config import ParameterError, TrainConfig
from mlorakit.data.dataset import MultiDomainData
from mlorakit.layers.given_embedding import GivenEmbedding
from mlorakit.layers.norm import PartitionedNorm
from mlorakit.training import EpochRecord, Pace, evaluate

SETTINGS: dict = {
    "dataset": "generated",
    "backbone": "wdl",
    "alpha": 4,
    "hidden": (16, 8),
    "batch_size": 128,
    "learning_rate": 0.01,
    "max_epochs": 2,
    "device": "cpu",
    "threads": 1,
    "seeds": (1, 2),
    "into": "reports",
}

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture(scope="module")
def results(prepared: Path, tiny_data: MultiDomainData) -> list[SeedResult]:
    """Two seeds of the cell wdl-mlora-mixed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(prepared)
        return [run_seed(config(), tiny_data, seed) for seed in (1, 2)]


def config(**changes: object) -> TrainConfig:
    return TrainConfig(**SETTINGS | changes)


def kill(record: EpochRecord, pace: Pace) -> None:
    raise KeyboardInterrupt


def checkpoints(project: Path) -> list[Path]:
    return sorted(project.glob(".checkpoints/*/*"))


def test_a_seed_ends_with_scores_of_its_best_weights(results: list[SeedResult]) -> None:
    for result in results:
        assert result.validation.mean_auc == max(r.validation_auc for r in result.history)
        assert torch.equal(evaluate(result.model, result.data.test).logit, result.test.logit)
    assert results[0].test.wauc != results[1].test.wauc


def test_a_killed_seed_goes_on_and_leaves_no_checkpoint(
    project: Path, tiny_data: MultiDomainData, results: list[SeedResult]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_seed(config(), tiny_data, 1, on_epoch=kill)
    (path,) = checkpoints(project)
    assert path.name == "seed-1.safetensors"
    epochs: list[int] = []
    resumed = run_seed(config(), tiny_data, 1, lambda record, pace: epochs.append(record.epoch))
    assert epochs == [2]
    assert resumed.history == results[0].history
    assert torch.equal(resumed.test.logit, results[0].test.logit)
    assert list((project / ".checkpoints").iterdir()) == []


@pytest.mark.parametrize("change", [{"dropout": 0.1}, {"patience": 2}, {"variant": "control"}])
def test_another_setting_does_not_go_on_from_the_checkpoint(
    project: Path, tiny_data: MultiDomainData, change: dict
) -> None:
    for settings in (config(), config(**change)):
        with pytest.raises(KeyboardInterrupt):
            run_seed(settings, tiny_data, 1, on_epoch=kill)
    assert len(checkpoints(project)) == 2


def test_other_data_do_not_go_on_from_the_checkpoint(
    project: Path, tiny_data: MultiDomainData
) -> None:
    for data in (tiny_data, replace(tiny_data, fingerprint="1" * 64)):
        with pytest.raises(KeyboardInterrupt):
            run_seed(config(), data, 1, on_epoch=kill)
    assert len(checkpoints(project)) == 2


def test_the_list_of_seeds_and_the_output_folder_do_not_matter_to_the_checkpoint(
    project: Path, tiny_data: MultiDomainData
) -> None:
    for settings in (config(), config(seeds=(1,), into="reports/scratch")):
        with pytest.raises(KeyboardInterrupt):
            run_seed(settings, tiny_data, 1, on_epoch=kill)
    assert len(checkpoints(project)) == 1


def test_the_first_of_equal_epochs_is_the_best(results: list[SeedResult]) -> None:
    scores = [0.5, 0.7, 0.6, 0.7]
    history = [EpochRecord(n, 0.1, score, 0.1) for n, score in enumerate(scores, 1)]
    assert replace(results[0], history=history).best_epoch == 2


def test_parameters_by_hand(tiny_data: MultiDomainData) -> None:
    ids = sum(tiny_data.field_sizes)
    # Embeddings of 8 and a linear weight per id; the MLP on 3 fields of 8; head and bias.
    base = ids * 9 + (24 * 16 + 16) + (16 * 8 + 8) + 8 + 1
    control = 2 * (16 + 8)  # a bias per domain
    # Ranks 16 / 4 = 4 and 8 / 4 = 2.
    mlora = control + 2 * 4 * (24 + 16) + 2 * 2 * (16 + 8)
    for variant, added in (("base", 0), ("control", control), ("mlora", mlora)):
        assert count_parameters(make_model(config(variant=variant), tiny_data, 1)) == {
            "params": base + added,
            "params_embedding": ids * 9,
            "params_added": added,
        }


def test_the_summary_is_over_seeds_and_per_seed(results: list[SeedResult]) -> None:
    summary = summarize(results)
    waucs = [r.test.wauc for r in results]
    assert summary["n_seeds"] == 2
    assert summary["wauc_mean"] == statistics.fmean(waucs)
    assert summary["wauc_std"] == pytest.approx(abs(waucs[0] - waucs[1]) / 2**0.5)
    assert list(summary["seeds"]) == ["1", "2"]
    second = summary["seeds"]["2"]
    assert (second["wauc"], second["log_loss"]) == (waucs[1], results[1].test.log_loss)
    assert second["auc"] == dict(zip(("female", "male"), results[1].test.auc, strict=True))
    assert second["epochs"] == len(results[1].history)


def test_one_seed_has_no_spread(results: list[SeedResult]) -> None:
    assert summarize(results[:1])["wauc_std"] is None


def test_the_history_has_a_row_per_seed_and_epoch(results: list[SeedResult]) -> None:
    frame = history_frame(results)
    assert frame[["seed", "epoch"]].to_numpy().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert frame["train_loss"].tolist() == [r.train_loss for s in results for r in s.history]


def test_predictions_are_binned_by_hand(results: list[SeedResult]) -> None:
    # All of domain 0 at probability 0.5 (bin 10 of 20), of domain 1 at 0.999... (the last bin).
    rows = results[0].data.test
    logit = torch.where(rows.groups.domain == 0, 0.0, 60.0)
    frame = prediction_summary([replace(results[0], test=replace(results[0].test, logit=logit))])
    assert frame["seed"].to_list() == [1, 1]
    assert frame["domain"].to_list() == [0, 1]
    assert frame["bin"].to_list() == [10, 19]
    first = int(rows.groups.ends[0])
    assert frame["rows"].to_list() == [first, len(rows) - first]
    expected = [rows.label[:first].sum().item(), rows.label[first:].sum().item()]
    assert frame["positives"].to_list() == expected
    assert frame["mean_probability"].to_list() == [0.5, 1.0]


def test_prediction_bins_hold_every_row_once(results: list[SeedResult]) -> None:
    frame = prediction_summary(results)
    assert (
        frame.group_by("seed").agg(pl.col("rows").sum()).sort("seed")["rows"].to_list()
        == [len(results[0].data.test)] * 2
    )
    edges = frame.select(
        low=pl.col("mean_probability") >= pl.col("bin") / 20,
        high=pl.col("mean_probability") <= (pl.col("bin") + 1) / 20,
    )
    assert edges["low"].all()
    assert edges["high"].all()


def test_a_cell_is_written_and_read_back(project: Path, results: list[SeedResult]) -> None:
    written = write_cell(results, config())
    cell = "wdl-mlora-mixed-alpha_4-hidden_16x8-batch_128-lr_0.01-epochs_2"
    assert [path.relative_to(project).as_posix() for path in written] == [
        f"reports/metrics/generated/{cell}.json",
        f"reports/history/generated/{cell}.csv",
        f"reports/cells/generated/{cell}/predictions.parquet",
        f"reports/cells/generated/{cell}/weights-seed-1.safetensors",
        f"reports/cells/generated/{cell}/weights-seed-2.safetensors",
    ]
    assert json.loads(written[0].read_text()) == summarize(results)
    read = pd.read_csv(written[1])
    pd.testing.assert_frame_equal(read, history_frame(results), check_exact=True)
    assert pl.read_parquet(written[2]).equals(prediction_summary(results))
    model = make_model(config(), results[1].data, seed=9)
    model.load_state_dict(load_file(written[4]))
    assert torch.equal(evaluate(model, results[1].data.test).logit, results[1].test.logit)


def test_the_same_results_are_the_same_bytes(project: Path, results: list[SeedResult]) -> None:
    first = {path: path.read_bytes() for path in write_cell(results, config())}
    assert {path: path.read_bytes() for path in write_cell(results, config())} == first


def test_a_run_by_hand_leaves_the_results_of_the_pipeline(
    project: Path, results: list[SeedResult]
) -> None:
    written = write_cell(results, config(into=TrainConfig.of().into))
    assert all(path.is_relative_to(project / "reports" / "scratch") for path in written)


STAGED: dict = {"two_stage": True, "seeds": (1,)}


@pytest.fixture(scope="module")
def staged(prepared: Path, tiny_data: MultiDomainData) -> SeedResult:
    """A seed of wdl-mlora-mixed in two stages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(prepared)
        return run_seed(config(**STAGED), tiny_data, 1)


def test_two_stages_show_in_history_and_metrics(
    results: list[SeedResult], staged: SeedResult
) -> None:
    frame = history_frame([staged])
    assert frame["epoch"].tolist() == [1, 2, 3, 4]
    assert frame["stage"].tolist() == [1, 1, 2, 2]
    assert "stage" not in history_frame(results)
    found = summarize([staged])["seeds"]["1"]
    assert found["first_stage_epochs"] == 2
    assert found["best_stage"] == (2 if staged.best_epoch > 2 else 1)
    assert "best_stage" not in summarize(results)["seeds"]["1"]
    assert staged.validation.mean_auc == max(r.validation_auc for r in staged.history)


@pytest.mark.parametrize(("best", "stage"), [(0, 1), (1, 1), (2, 2), (3, 2)])
def test_the_best_stage_is_that_of_the_best_epoch(
    staged: SeedResult, best: int, stage: int
) -> None:
    history = [
        replace(record, validation_auc=0.6 + 0.1 * (number == best))
        for number, record in enumerate(staged.history)
    ]
    found = summarize([replace(staged, history=history)])["seeds"]["1"]
    assert (found["best_epoch"], found["best_stage"]) == (best + 1, stage)


@pytest.mark.parametrize("last", [1, 2, 3, 4])
def test_a_seed_killed_in_either_stage_goes_on_and_leaves_no_checkpoint(
    project: Path, tiny_data: MultiDomainData, staged: SeedResult, last: int
) -> None:
    def kill_late(record: EpochRecord, pace: Pace) -> None:
        if record.epoch == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_seed(config(**STAGED), tiny_data, 1, on_epoch=kill_late)
    names = ["seed-1-stage-1.safetensors", "seed-1-stage-2.safetensors"]
    assert [path.name for path in checkpoints(project)] == names[: 1 + (last > 2)]
    epochs: list[int] = []
    resumed = run_seed(
        config(**STAGED), tiny_data, 1, lambda record, pace: epochs.append(record.epoch)
    )
    assert epochs == list(range(last + 1, 5))
    assert resumed.history == staged.history
    assert torch.equal(resumed.test.logit, staged.test.logit)
    assert list((project / ".checkpoints").iterdir()) == []


def test_a_cell_in_two_stages_lies_beside_the_other(
    project: Path, results: list[SeedResult], staged: SeedResult
) -> None:
    first = write_cell(results, config())
    second = write_cell([staged], config(**STAGED))
    assert second[0].name == f"{config().cell}-two_stage.json"
    assert not set(first) & set(second)


def test_the_options_reach_the_model(tiny_data: MultiDomainData) -> None:
    model = make_model(config(rank=3, norm="pn"), tiny_data, 1)
    assert [layer.rank for layer in model.adapted_layers()] == [3, 3]
    assert isinstance(model.input_norm, PartitionedNorm)
    assert make_model(config(), tiny_data, 1).input_norm is None


def test_given_vectors_are_frozen_trained_or_left_out(taobao: MultiDomainData) -> None:
    ids = sum(taobao.field_sizes)
    small: dict = {"dataset": "mine", "seeds": (1,), "max_epochs": 1}
    for vectors, size, trained in (
        ("auto", 128, taobao.field_sizes[2]),
        ("frozen", 128, taobao.field_sizes[2]),
        ("trained", 128, ids),
        ("none", 8, ids),
    ):
        result = run_seed(config(vectors=vectors, **small), taobao, 1)
        table = result.model.embedding
        assert table.weight.shape == (trained, size)
        counted = count_parameters(result.model)["params_embedding"]
        assert counted == trained * size + ids  # and a linear weight per id, trained in any case
        assert result.model.linear.weight[: taobao.field_sizes[0]].any()
        moved = make_model(config(vectors=vectors, **small), taobao, 1)
        assert not torch.equal(moved.embedding.weight, table.weight)
        if isinstance(table, GivenEmbedding):
            assert torch.equal(table.given[1 : taobao.field_sizes[0]], taobao.vectors[0])


def test_a_cell_with_given_vectors_is_read_back(taobao: MultiDomainData) -> None:
    settings = config(dataset="mine", seeds=(1,), max_epochs=1)
    result = run_seed(settings, taobao, 1)
    *_, weights = write_cell([result], settings)
    model = make_model(settings, taobao, seed=9)
    model.load_state_dict(load_file(weights))
    assert torch.equal(evaluate(model, taobao.test).logit, result.test.logit)


@pytest.mark.parametrize("vectors", ["frozen", "trained"])
def test_vectors_that_the_data_do_not_give_are_refused(
    tiny_data: MultiDomainData, vectors: str
) -> None:
    with pytest.raises(
        ParameterError, match=f"vectors = '{vectors}' .* generated gives no vectors"
    ):
        make_model(config(vectors=vectors), tiny_data, 1)
