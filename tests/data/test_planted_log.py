"""A log of a planted truth: what it holds, the best AUC, domains that are alike without a shift."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mlorakit.data.planted_log import (
    LOG,
    PlantedLogSpec,
    best_auc,
    generate_log,
    true_probability,
)
from mlorakit.data.prepare import GENERATORS, prepare_dataset
from mlorakit.data.truth import read_truth

SPEC = PlantedLogSpec(
    domains=3, users=6, items=5, rows=60_000, rank=1, signal=2.0, shift=1.5, seed=3
)


def changed(**changes: float) -> PlantedLogSpec:
    return PlantedLogSpec(**asdict(SPEC) | changes)


def probability(spec: PlantedLogSpec) -> np.ndarray:
    return true_probability(spec, np.random.default_rng(spec.seed))


def test_the_best_auc_by_hand() -> None:
    # Two pairs with p of 0.8 and 0.2: a positive and a negative that differ are ranked by p.
    by_hand = 0.8 * 0.8 + (0.8 * 0.2 + 0.2 * 0.8) / 2
    assert best_auc(np.array([[0.8], [0.2]])) == pytest.approx(by_hand)
    assert best_auc(np.full((4, 4), 0.3)) == pytest.approx(0.5)


def test_logits_have_the_mean_and_the_deviation_asked_for() -> None:
    p = probability(SPEC)
    logit = np.log(p / (1 - p)).reshape(3, -1)
    assert logit.mean(1) == pytest.approx(np.zeros(3), abs=1e-9)
    assert logit.std(1) == pytest.approx(np.full(3, 2.0))


def test_a_row_is_clicked_with_the_probability_of_its_pair(tmp_path: Path) -> None:
    generate_log(SPEC, tmp_path)
    log = pl.read_csv(tmp_path / LOG)
    assert log.columns == ["clicked", "site", "user", "item"]
    assert log.height == 60_000
    shares = log.group_by("site", "user", "item").agg(pl.col("clicked").mean(), pl.len())
    assert shares.height == 3 * 6 * 5
    shares = shares.sort("site", "user", "item")
    p = probability(SPEC).ravel()
    spread = np.sqrt(p * (1 - p) / shares["len"].to_numpy())
    deviation = (shares["clicked"].to_numpy() - p) / spread
    assert np.abs(deviation).max() < 4
    assert deviation.std() == pytest.approx(1, abs=0.25)


def test_the_truth_is_what_the_true_probability_scores_on_the_rows(tmp_path: Path) -> None:
    generate_log(SPEC, tmp_path)
    best = read_truth(tmp_path)["bayes_auc"]
    assert list(best) == ["S1", "S2", "S3"]
    log, p = pl.read_csv(tmp_path / LOG), probability(SPEC)
    for number, (site, auc) in enumerate(best.items()):
        rows = log.filter(site=site)
        score = p[number, rows["user"].to_numpy() - 1, rows["item"].to_numpy() - 1]
        assert roc_auc_score(rows["clicked"], score) == pytest.approx(auc, abs=0.01)


def test_domains_are_alike_without_a_shift_and_differ_by_its_rank() -> None:
    alike = probability(changed(shift=0))
    assert alike[1] == pytest.approx(alike[0])
    shifted = probability(SPEC)
    other = best_auc(shifted[0])
    mixed = roc_auc_score(
        np.repeat([1, 0], 30), np.tile(shifted[1].ravel(), 2),
        sample_weight=np.append(shifted[0].ravel(), 1 - shifted[0].ravel()),
    )  # fmt: skip
    assert mixed < other - 0.02  # what is true of one domain is not of another


def test_a_seed_decides_every_byte(tmp_path: Path) -> None:
    small = changed(rows=200)
    for name, spec in (("a", small), ("b", small), ("c", changed(rows=200, seed=4))):
        generate_log(spec, tmp_path / name)
    assert (tmp_path / "a" / LOG).read_bytes() == (tmp_path / "b" / LOG).read_bytes()
    assert (tmp_path / "a" / LOG).read_bytes() != (tmp_path / "c" / LOG).read_bytes()


@pytest.mark.usefixtures("project")
def test_it_becomes_a_data_set_with_the_best_auc_of_every_domain(
    set_params: Callable[..., None],
) -> None:
    set_params(generated_log={"rows": 2000, "domains": 3})
    described = prepare_dataset("generated_log", strict=True)
    assert [field["name"] for field in described["fields"]] == ["user", "item", "site"]
    assert list(described["bayes_auc"]) == [d["value"] for d in described["domains"]]
    assert sum(account["kept"] for account in described["rows"]) == 2000
    assert GENERATORS["generated_log"] == (PlantedLogSpec, generate_log)


@pytest.mark.parametrize("change", [{"users": 1}, {"rank": 0}, {"signal": 0}, {"shift": -1}])
def test_a_spec_that_cannot_be_drawn_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        changed(**change)
