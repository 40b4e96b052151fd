"""A cell of the baselines: its settings, and that it is trained, resumed and written as others."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mlorakit.baseline_cells import make_baseline, run_seed, settings_of
from mlorakit.baseline_config import BaselineConfig
from mlorakit.cell_results import count_parameters, summarize, write_cell
from mlorakit.config import ParameterError
from mlorakit.data.dataset import MultiDomainData
from mlorakit.layers.given_embedding import GivenEmbedding
from mlorakit.models.baselines import BASELINE_SETTINGS, BASELINES
from mlorakit.training import EpochRecord, Pace, evaluate

SETTINGS: dict = {
    "dataset": "generated",
    "baseline": "mmoe",
    "learning_rate": 0.01,
    "batch_size": 128,
    "max_epochs": 2,
    "device": "cpu",
    "threads": 1,
    "into": "reports",
}

pytestmark = pytest.mark.usefixtures("project")


def config(**changes: object) -> BaselineConfig:
    return BaselineConfig(**SETTINGS | changes)


def kill(record: EpochRecord, pace: Pace) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("description", "sizes"),
    [
        ({"source": "movielens", "domain": "gender", "fields": "user,movie"}, "amazon"),
        ({"source": "amazon", "categories": "amazon_13"}, "amazon"),
        ({"source": "taobao", "themes": 10}, "taobao_10"),
        ({"source": "taobao", "themes": 20}, "taobao_20"),
        ({"source": "taobao", "themes": 11}, "taobao_20"),
        ({"source": "taobao", "themes": 30}, "taobao_30"),
        ({"source": "taobao", "themes": "all"}, "taobao_30"),
        ({"source": "generated_taobao"}, "taobao_30"),
    ],
)
def test_sizes_are_those_of_the_data_set(
    set_params: Callable[..., None], description: dict, sizes: str
) -> None:
    set_params(datasets={"chosen": description})
    found = settings_of(config(dataset="chosen", learning_rate="mamdr"))
    assert found == BASELINE_SETTINGS[sizes]["mmoe"]


def test_sizes_dropout_and_learning_rate_may_be_chosen() -> None:
    own = settings_of(config(sizes="taobao_10", learning_rate="mamdr"))
    assert own.hidden == (512, 256, 128)
    assert (own.dropout, own.learning_rate) == (0.5, 1e-4)
    assert settings_of(config(baseline="star")).dropout == 0
    chosen = settings_of(config(baseline="star", dropout=0.25, learning_rate=0.1))
    assert (chosen.dropout, chosen.learning_rate) == (0.25, 0.1)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_trained_at_its_learning_rate(
    tiny_data: MultiDomainData, name: str
) -> None:
    one_batch = {"baseline": name, "batch_size": 1000, "max_epochs": 1, "dropout": 0.0, "l2": 0.0}
    for rate in ("mamdr", 0.02):
        cell = config(**one_batch, learning_rate=rate)
        before = make_baseline(cell, tiny_data, 1).embedding.weight
        after = run_seed(cell, tiny_data, 1).model.embedding.weight
        # The first step of Adam moves every weight that has a gradient by the learning rate.
        step = (after - before).abs().max().item()
        expected = BASELINE_SETTINGS["amazon"][name].learning_rate if rate == "mamdr" else rate
        assert step == pytest.approx(expected, rel=0.01)


def test_a_killed_seed_goes_on_to_the_same_bits(project: Path, tiny_data: MultiDomainData) -> None:
    whole = run_seed(config(), tiny_data, 1)
    with pytest.raises(KeyboardInterrupt):
        run_seed(config(), tiny_data, 1, on_epoch=kill)
    (path,) = project.glob(".checkpoints/*/*")
    assert path.parent.name.startswith("generated-baseline-mmoe-mixed-")
    epochs: list[int] = []
    resumed = run_seed(config(), tiny_data, 1, lambda record, pace: epochs.append(record.epoch))
    assert epochs == [2]
    assert resumed.history == whole.history
    assert torch.equal(resumed.test.logit, whole.test.logit)
    assert list((project / ".checkpoints").iterdir()) == []


@pytest.mark.parametrize("change", [{"dropout": 0.1}, {"sizes": "taobao_30"}, {"baseline": "ple"}])
def test_another_setting_does_not_go_on_from_the_checkpoint(
    project: Path, tiny_data: MultiDomainData, change: dict
) -> None:
    for settings in (config(), config(**change)):
        with pytest.raises(KeyboardInterrupt):
            run_seed(settings, tiny_data, 1, on_epoch=kill)
    assert len(list(project.glob(".checkpoints/*/*"))) == 2


def test_a_cell_is_written_beside_those_of_the_backbones(
    project: Path, tiny_data: MultiDomainData
) -> None:
    alternate = config(baseline="separate", batch_order="alternate", seeds=(1, 2))
    results = [run_seed(alternate, tiny_data, seed) for seed in alternate.seeds]
    written = write_cell(results, alternate)
    cell = "baseline-separate-alternate-batch_128-lr_0.01-epochs_2"
    assert [path.relative_to(project).as_posix() for path in written] == [
        f"reports/metrics/generated/{cell}.json",
        f"reports/history/generated/{cell}.csv",
        f"reports/cells/generated/{cell}/predictions.parquet",
        f"reports/cells/generated/{cell}/weights-seed-1.safetensors",
        f"reports/cells/generated/{cell}/weights-seed-2.safetensors",
    ]
    metrics = json.loads(written[0].read_text())
    assert metrics == summarize(results)
    assert metrics["n_seeds"] == 2
    assert metrics["params_added"] == 0
    model = make_baseline(alternate, tiny_data, seed=9)
    model.load_state_dict(load_file(written[4]))
    assert torch.equal(evaluate(model, tiny_data.test).logit, results[1].test.logit)


@pytest.mark.parametrize("name", BASELINES)
def test_given_vectors_are_frozen_trained_or_left_out(taobao: MultiDomainData, name: str) -> None:
    *known, domains = taobao.field_sizes
    copies = 2 if name == "separate" else 1
    small: dict = {"dataset": "mine", "baseline": name, "max_epochs": 1}
    for vectors, size, trained in (
        ("auto", 128, domains),
        ("frozen", 128, domains),
        ("trained", 128, domains + sum(known)),
        ("none", 8, domains + sum(known)),
    ):
        cell = config(vectors=vectors, sizes="amazon", **small)
        result = run_seed(cell, taobao, 1)
        table = result.model.embedding
        assert table.weight.shape == (copies * trained, size)
        counted = count_parameters(result.model)["params_embedding"]
        assert counted == copies * trained * size
        assert not torch.equal(make_baseline(cell, taobao, 1).embedding.weight, table.weight)
        assert isinstance(table, GivenEmbedding) == (vectors in ("auto", "frozen"))
        if isinstance(table, GivenEmbedding):
            assert torch.equal(table.given[1 : known[0]], taobao.vectors[0])


@pytest.mark.parametrize("name", ["separate", "shared_lora", "star"])
def test_a_cell_with_given_vectors_is_read_back(taobao: MultiDomainData, name: str) -> None:
    cell = config(dataset="mine", baseline=name, max_epochs=1)
    result = run_seed(cell, taobao, 1)
    *_, weights = write_cell([result], cell)
    model = make_baseline(cell, taobao, seed=9)
    model.load_state_dict(load_file(weights))
    assert torch.equal(evaluate(model, taobao.test).logit, result.test.logit)


@pytest.mark.parametrize("vectors", ["frozen", "trained"])
def test_vectors_that_the_data_do_not_give_are_refused(
    tiny_data: MultiDomainData, vectors: str
) -> None:
    with pytest.raises(
        ParameterError, match=f"vectors = '{vectors}' .* generated gives no vectors"
    ):
        make_baseline(config(vectors=vectors), tiny_data, 1)
