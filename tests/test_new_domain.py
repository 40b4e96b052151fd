"""A new domain: what is held out, what is trained, and what it gives."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mlorakit.adapters import shared_hash
from mlorakit.cells import run_seed
from mlorakit.config import ParameterError
from mlorakit.data.dataset import MultiDomainData
from mlorakit.data.held_out import after_domains, draw_domains, only_domains
from mlorakit.new_domain import (
    NewDomainResult,
    _with_domains,
    new_domain_seed,
    write_new_domain,
)
from mlorakit.new_domain_config import NewDomainConfig
from mlorakit.training import evaluate

SETTINGS: dict = {
    "dataset": "generated",
    "backbone": "mlp",
    "alpha": 1,
    "hidden": "16,8",
    "shares": "0.1,1",
    "batch_size": 64,
    "learning_rate": 0.01,
    "dropout": 0.0,
    "patience": 5,
    "adapter_patience": 30,
    "threads": 1,
    "device": "cpu",
    "into": "reports/ablations/new_domain",
}
SIZES = (24 + 16) * 16 + 16 + (16 + 8) * 8 + 8
"""Weights of an adapter: ranks 16 and 8, and biases."""


def config(**changes: object) -> NewDomainConfig:
    return NewDomainConfig.of(**SETTINGS | changes)


@pytest.fixture(scope="module")
def turned(planted: MultiDomainData) -> MultiDomainData:
    """The data set `planted` under the name of one whose processed files are there."""
    return replace(planted, name="generated")


@pytest.fixture(scope="module")
def result(prepared: Path, turned: MultiDomainData) -> NewDomainResult:
    """Of a seed that holds the third domain out, whose likes are the others' turned round."""
    seed = next(s for s in range(1, 50) if draw_domains(3, 0.2, s) == (2,))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(prepared)
        return new_domain_seed(config(), turned, seed)


def way(result: NewDomainResult, name: str, share: float) -> dict:
    (found,) = (
        w for w in result.metrics["ways"] if w["way"] == name and w["share"] == pytest.approx(share)
    )
    return found


def test_every_way_is_scored_on_the_new_domains_rows(
    result: NewDomainResult, turned: MultiDomainData
) -> None:
    test = only_domains(turned, (2,)).test
    assert result.metrics["held_out"] == {"third": len(test)}
    ways = [(w["way"], w["share"]) for w in result.metrics["ways"]]
    assert ways == [("none", 0.0), ("adapter", 0.1), ("adapter", 1.0), ("full", 1.0)]
    for found in result.metrics["ways"]:
        assert found["auc"] == {"third": pytest.approx(found["wauc"])}


def test_an_adapter_turns_the_likes_round_and_no_adaptation_does_not(
    result: NewDomainResult,
) -> None:
    # Who knows the movies' likes and not that they are turned round is wrong nine times in ten.
    assert way(result, "none", 0)["wauc"] < 0.3
    assert way(result, "adapter", 1)["wauc"] > 0.75
    assert way(result, "full", 1)["wauc"] > 0.75


def test_rows_and_weights_are_counted(result: NewDomainResult, turned: MultiDomainData) -> None:
    rows = {
        part: len(getattr(only_domains(turned, (2,)), part)) for part in ("train", "validation")
    }
    none, few, every, full = result.metrics["ways"]
    assert (none["rows_train"], none["weights_trained"], none["weights_added"]) == (0, 0, 0)
    assert few["rows_train"] == round(0.1 * rows["train"])
    assert few["rows_validation"] == round(0.1 * rows["validation"])
    for found in (every, full):
        assert found["rows_train"] == rows["train"]
        assert found["rows_validation"] == rows["validation"]
    for found in (few, every):
        assert found["weights_trained"] == found["weights_added"] == SIZES
    # Embeddings of 38 ids, dense layers, head and bias, and the adapters of three domains.
    assert full["weights_trained"] == 38 * 8 + (24 + 1) * 16 + (16 + 1) * 8 + 8 + 1 + 3 * SIZES
    assert full["weights_added"] == SIZES


def test_what_was_known_before_is_counted_per_field(result: NewDomainResult) -> None:
    known = result.metrics["known"]
    assert list(known) == ["user", "movie", "gender"]
    assert known["user"] == known["movie"] == 1
    assert known["gender"] == 0  # the third field is the domain


def test_seconds_are_kept_apart_from_metrics(result: NewDomainResult) -> None:
    assert set(result.seconds) == {"before", "adapter 0.1", "adapter 1.0", "full"}
    assert "seconds" not in json.dumps(result.metrics)


@pytest.mark.usefixtures("prepared_project")
def test_the_same_seed_gives_the_same_numbers(turned: MultiDomainData) -> None:
    quick = config(max_epochs=2, shares="0.5")
    first, second = (new_domain_seed(quick, turned, 1).metrics for _ in range(2))
    assert first == second


@pytest.mark.usefixtures("prepared_project")
def test_without_adaptation_the_shared_weights_alone_score(turned: MultiDomainData) -> None:
    quick = config(max_epochs=2, shares="1")
    new = draw_domains(3, 0.2, 1)
    before = only_domains(turned, tuple(d for d in range(3) if d not in new))
    trained = run_seed(quick.train, before, 1).model
    bare = _with_domains(trained, new, 1)
    test = only_domains(turned, new).test
    expected = evaluate(bare, after_domains(test, 2)).auc[2:]
    assert shared_hash(bare) == shared_hash(trained)
    # B and c of the new domain are zero: the same as a model without its layer's own part.
    for layer in bare.adapted_layers():
        assert torch.count_nonzero(layer.lora_b_bias[2]) == 0
    none = new_domain_seed(quick, turned, 1).metrics["ways"][0]
    assert list(none["auc"].values()) == expected


@pytest.mark.usefixtures("prepared_project")
def test_the_rows_held_out_have_no_part_in_the_first_training(turned: MultiDomainData) -> None:
    quick = config(max_epochs=2, shares="1")
    (new,) = draw_domains(3, 0.2, 1)
    other = turned.train.groups.domain == new
    flipped = replace(
        turned,
        fingerprint="1" * 64,
        train=replace(
            turned.train, label=torch.where(other, 1 - turned.train.label, turned.train.label)
        ),
    )
    first, second = (new_domain_seed(quick, data, 1).metrics["ways"] for data in (turned, flipped))
    assert first[0] == second[0]
    assert first[1]["wauc"] != second[1]["wauc"]


@pytest.mark.usefixtures("prepared_project")
def test_more_domains_each_get_an_adapter(turned: MultiDomainData) -> None:
    found = new_domain_seed(config(held_out=0.6, max_epochs=1, shares="1"), turned, 1).metrics
    assert len(found["held_out"]) == 2
    adapter = next(w for w in found["ways"] if w["way"] == "adapter")
    assert adapter["weights_trained"] == 2 * SIZES
    assert list(adapter["auc"]) == list(found["held_out"])
    rows = found["held_out"]
    weighted = sum(rows[name] * auc for name, auc in adapter["auc"].items()) / sum(rows.values())
    assert adapter["wauc"] == pytest.approx(weighted)


def test_metrics_lie_where_the_stage_says(result: NewDomainResult, project: Path) -> None:
    path = write_new_domain([result, replace(result, seed=99)], config())
    assert path == project / "reports/ablations/new_domain/generated/mlp.json"
    content = json.loads(path.read_text())
    assert content["n_seeds"] == 2
    assert content["seeds"] == {str(result.seed): result.metrics, "99": result.metrics}


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ParameterError, match="'mlpp' is not known"):
        config(backbone="mlpp")
