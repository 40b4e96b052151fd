"""What tables say of MLoRA's claims: numbers by hand, by way of the tables' own functions."""

import math

import pandas as pd
import pytest

from mlorakit.report.claim_mlora import (
    mlora_minus,
    mlora_minus_baselines,
    new_domain,
    overhead,
    two_stage_minus_joint,
)
from mlorakit.report.claim_numbers import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Numbers
from mlorakit.report.new_domain_tables import new_domains
from mlorakit.report.tables import comparison
from mlorakit.report.two_stage import two_stage

from .conftest import Cell


def numbers(cells: list[dict]) -> Numbers:
    return Numbers({"mlora_comparison": comparison(cells)}, sparse=None, files=())


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.01, 0.0101, 0.0099], SUPPORTED),
        ([-0.01, -0.0101, -0.0099], NOT_SUPPORTED),
        ([0.01, -0.01, 0.02], UNDECIDED),
        ([0.3], UNDECIDED),  # one seed, however large the gain
    ],
)
@pytest.mark.parametrize("other", ["base", "control"])
def test_seeds_decide(other: str, gains: list[float], verdict: str, cell: Cell) -> None:
    plain = {str(seed): 0.6 for seed in range(len(gains))}
    better = {str(seed): 0.6 + gain for seed, gain in enumerate(gains)}
    cells = [cell("mlp", other, plain), cell("mlp", "mlora", better)]
    (found,) = mlora_minus(other, numbers(cells))
    assert (found.dataset, found.subject) == ("generated", "MLP, mixed batches")
    assert found.value == pytest.approx(sum(gains) / len(gains))
    assert (found.n_seeds, found.verdict) == (len(gains), verdict)
    assert math.isnan(found.p) == (len(gains) == 1)


def test_more_backbones_ask_for_a_smaller_p(cell: Cell) -> None:
    # t = 0.01 / (0.003 / sqrt 3) = 5.77: p = 0.0287 alone, twice that of two.
    plain = {"1": 0.6, "2": 0.6, "3": 0.6}
    better = {"1": 0.607, "2": 0.61, "3": 0.613}
    cells = [
        cell(backbone, variant, waucs)
        for backbone in ("mlp", "wdl")
        for variant, waucs in (("base", plain), ("mlora", better))
    ]
    assert [f.verdict for f in mlora_minus("base", numbers(cells[:2]))] == [SUPPORTED]
    assert [f.verdict for f in mlora_minus("base", numbers(cells))] == [UNDECIDED] * 2


def test_a_comparison_that_was_not_made_finds_nothing(cell: Cell) -> None:
    cells = [cell("mlp", "base", {"1": 0.6}), cell("mlp", "mlora", {"1": 0.6})]
    assert mlora_minus("control", numbers(cells)) == []
    # WDL alone has a control.
    cells += [cell("wdl", v, {"1": 0.6}) for v in ("base", "control", "mlora")]
    assert [f.subject for f in mlora_minus("control", numbers(cells))] == ["WDL, mixed batches"]


@pytest.mark.parametrize("share", ["share", "share_of_layers", "share_of_multiply_adds"])
def test_overhead_is_compared_with_the_bound_on_every_data_set(share: str) -> None:
    shares = {"share": 0.5, "share_of_layers": 0.5, "share_of_multiply_adds": 0.5}
    table = pd.DataFrame(
        [
            {"dataset": "generated", "n_domains": 2, "backbone": "mlp"} | shares | {share: 0.0999},
            {"dataset": "movielens_age", "n_domains": 7, "backbone": "wdl"} | shares | {share: 0.1},
        ]
    )
    found = overhead(share, Numbers({"mlora_overhead": table}, sparse=None, files=()))
    assert [(f.dataset, f.subject, f.value, f.verdict) for f in found] == [
        ("generated", "MLP, 2 domains", 0.0999, SUPPORTED),
        ("movielens_age", "WDL, 7 domains", 0.1, NOT_SUPPORTED),
    ]


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.01, 0.0101, 0.0099], SUPPORTED),
        ([-0.01, -0.0101, -0.0099], NOT_SUPPORTED),
        ([0.01], UNDECIDED),
    ],
)
def test_seeds_decide_on_two_stages(gains: list[float], verdict: str, cell: Cell) -> None:
    joint = cell("mlp", "mlora", {str(seed): 0.6 for seed in range(len(gains))})
    staged = cell("mlp", "mlora", {str(seed): 0.6 + gain for seed, gain in enumerate(gains)})
    for seed in staged["seeds"].values():
        seed["best_stage"] = 2
    # The grid lacks WDL, so there is no joint training to compare with.
    table = two_stage([joint], [staged, staged | {"backbone": "wdl"}])
    (found,) = two_stage_minus_joint(Numbers({"mlora_two_stage": table}, sparse=None, files=()))
    assert found.value == pytest.approx(sum(gains) / len(gains))
    assert (found.subject, found.n_seeds) == ("MLP, mixed batches", len(gains))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.25, 0.2501, 0.2499], SUPPORTED),
        ([-0.25, -0.2501, -0.2499], NOT_SUPPORTED),
        ([0.25, -0.25, 0.5], UNDECIDED),
        ([0.25], UNDECIDED),
    ],
)
def test_seeds_decide_on_adapters_of_all_rows(
    gains: list[float], verdict: str, new_domain_cell: Cell
) -> None:
    # With a tenth of the rows an adapter loses, which is not the question.
    waucs = {str(seed): (0.5, 0.4, 0.5 + gain, 0.9) for seed, gain in enumerate(gains)}
    table = new_domains([new_domain_cell(waucs)])
    (found,) = new_domain(Numbers({"mlora_new_domain": table}, sparse=None, files=()))
    assert found.value == pytest.approx(sum(gains) / len(gains))
    assert (found.n_seeds, found.verdict) == (len(gains), verdict)


def test_new_domains_without_both_classes_decide_nothing(new_domain_cell: Cell) -> None:
    table = new_domains([new_domain_cell({"1": (None, None, None, None)})])
    assert new_domain(Numbers({"mlora_new_domain": table}, sparse=None, files=())) == []


def test_what_was_not_run_finds_nothing() -> None:
    nothing = Numbers({}, sparse=None, files=())
    assert mlora_minus("base", nothing) == new_domain(nothing) == []
    assert overhead("share", nothing) == two_stage_minus_joint(nothing) == []
    assert mlora_minus_baselines(("star",), nothing) == []
