"""What tables and the benchmark say of LT4REC's claims: numbers by hand."""

import math

import pandas as pd
import pytest

from mlorakit.report.claim_lt4rec import (
    memory,
    multiply_adds,
    reads_its_own_fields,
    shared_beyond_chance,
    sparse_beats,
    speedup,
)
from mlorakit.report.claim_numbers import (
    NOT_SUPPORTED,
    SUPPORTED,
    TABLES,
    UNDECIDED,
    Numbers,
    read_numbers,
)
from mlorakit.report.task_masks import field_use, overlap
from mlorakit.report.task_results import read_masks, read_scores, read_selection
from mlorakit.report.task_tables import differences, floors, tasks

from .task_tree import Tree


def numbers(sparse: dict | None = None, **tables: list[dict]) -> Numbers:
    frames = {name: pd.DataFrame(tables.get(name, [])) for name in TABLES}
    return Numbers(frames, sparse, files=())


def difference(metric: str, other: str, verdict: str, dataset: str = "census") -> dict:
    return {
        "dataset": dataset,
        "metric": metric,
        "other": other,
        "difference": -0.01,
        "p_holm": 0.02,
        "n_seeds": 3,
        "verdict": verdict,
    }


def test_the_differences_of_cvr_alone_count() -> None:
    rows = [
        difference("ctr_auc", "hard", "worse"),
        difference("cvr_mse", "single", "worse"),
        difference("cvr_mse", "hard", "better"),
        difference("cvr_auc", "hard", "worse"),
        difference("cvr_mse", "hard", "undecided", "movielens"),
        difference("cvr_mse", "hard", "below floor", "tencent"),
    ]
    found = sparse_beats("hard", numbers(lt4rec_differences=rows))
    assert [(f.dataset, f.subject, f.verdict) for f in found] == [
        ("census", "CVR MSE, minus hard sharing", SUPPORTED),
        ("census", "CVR AUC, minus hard sharing", NOT_SUPPORTED),
        ("movielens", "CVR MSE, minus hard sharing", UNDECIDED),
        ("tencent", "CVR MSE, minus hard sharing", UNDECIDED),
    ]
    assert (found[0].value, found[0].p, found[0].n_seeds) == (-0.01, 0.02, 3)


def shares(
    shared: float, by_chance: float, n_seeds: int = 2, kept: tuple[int, int] = (50, 40)
) -> list[dict]:
    """A layer of 100 weights, of which the tickets keep 50 and 40, and the trunk beside it."""
    row = {
        "dataset": "census",
        "n_seeds": n_seeds,
        "weights": 100,
        "shared": shared,
        "private_ctr": kept[0] - shared,
        "private_cvr": kept[1] - shared,
        "shared_by_chance": by_chance,
    }
    return [row | {"layer": "1: 10 to 10"}, row | {"layer": "trunk"}]


def test_sharing_is_measured_in_deviations_of_chance() -> None:
    # Variance 50 x 40 x 50 x 60 / (100^2 x 99) = 6.0606; of a mean over 2 seeds half of it.
    (found,) = shared_beyond_chance(numbers(lt4rec_overlap=shares(24, 20)))
    assert found.value == pytest.approx(0.04)
    deviation = math.sqrt(50 * 40 * 50 * 60 / (100**2 * 99) / 2)
    assert found.p == pytest.approx(math.erfc(4 / deviation / math.sqrt(2)))
    assert (found.subject, found.n_seeds) == ("trunk of 100 weights", 2)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (shares(16, 20), NOT_SUPPORTED),
        (shares(24, 20), UNDECIDED),  # the tickets have their initial weights in common
        (shares(21, 20), UNDECIDED),
        (shares(24, 20, n_seeds=1), UNDECIDED),
        (shares(100, 100, kept=(100, 100)), UNDECIDED),  # full masks: hard sharing
    ],
)
def test_only_sharing_below_chance_decides(rows: list[dict], verdict: str) -> None:
    assert [f.verdict for f in shared_beyond_chance(numbers(lt4rec_overlap=rows))] == [verdict]


ROLES = ["both"] * 6 + ["ctr"] * 3 + ["cvr"] * 3 + ["neither"] * 8


def fields(more_of_clicks: dict[str, float], roles: list[str | None] = ROLES) -> list[dict]:
    """Fields of which the click ticket reads so much more, by role; with a little noise."""
    return [
        {
            "dataset": "video_logs",
            "field": f"field {i}",
            "role": role,
            "ctr": 1 + more_of_clicks.get(role or "", 0.0) + 0.01 * math.sin(i),
            "cvr": 1.0,
        }
        for i, role in enumerate(roles)
    ]


@pytest.mark.parametrize(
    ("more", "n_seeds", "verdict"),
    [
        ({"ctr": 0.2, "cvr": -0.2}, 2, SUPPORTED),
        ({"ctr": -0.2, "cvr": 0.2}, 2, NOT_SUPPORTED),
        ({}, 2, UNDECIDED),
        ({"ctr": 0.2, "cvr": -0.2}, 1, UNDECIDED),
    ],
)
def test_a_ticket_reads_what_decides_its_label(
    more: dict[str, float], n_seeds: int, verdict: str
) -> None:
    seeds = [{"dataset": "video_logs", "n_seeds": n_seeds}]
    (found,) = reads_its_own_fields(numbers(lt4rec_fields=fields(more), lt4rec_overlap=seeds))
    assert (found.dataset, found.subject, found.verdict) == ("video_logs", "20 fields", verdict)


def test_the_correlation_is_kendalls() -> None:
    # Of three pairs with different roles two agree with the order of reading: tau = 1/3.
    rows = fields({}, ["ctr", "neither", "cvr"])
    for row, read in zip(rows, (1.3, 1.0, 1.1), strict=True):
        row["ctr"] = read
    seeds = [{"dataset": "video_logs", "n_seeds": 2}]
    (found,) = reads_its_own_fields(numbers(lt4rec_fields=rows, lt4rec_overlap=seeds))
    assert found.value == pytest.approx(1 / 3)


@pytest.mark.parametrize("roles", [[None] * 3, ["both", "neither", "both"]])
def test_without_fields_of_one_label_alone_there_is_no_test(roles: list[str | None]) -> None:
    seeds = [{"dataset": "video_logs", "n_seeds": 2}]
    found = numbers(lt4rec_fields=fields({}, roles), lt4rec_overlap=seeds)
    assert reads_its_own_fields(found) == []


def cost(method: str, ctr: int, cvr: int, kept: int = 100) -> dict:
    row = {"dataset": "census", "method": method, "kept_ctr": kept}
    return row | {"multiply_adds_ctr": ctr, "multiply_adds_cvr": cvr}


def test_two_tickets_are_two_passes() -> None:
    rows = [cost("single", 102, 102), cost("hard", 1, 1), cost("sparse", 52, 92, kept=50)]
    found = multiply_adds(numbers(lt4rec_tasks=rows))
    assert [f.subject for f in found] == ["CTR score", "CVR score", "both scores"]
    # Dense, both scores take the trunk's 100 once and two heads of 2.
    assert [f.value for f in found] == pytest.approx([52 / 102, 92 / 102, 144 / 104])
    assert [f.verdict for f in found] == [SUPPORTED, SUPPORTED, NOT_SUPPORTED]
    assert multiply_adds(numbers(lt4rec_tasks=rows[:2])) == []


MEASURED = {
    "weights": 1000,
    "models": [
        {"side": "dense", "kept": 1000, "trunk_bytes": 4000},
        {"side": "masked", "kept": 1000, "trunk_bytes": 8000},
        {"side": "compact", "kept": 1000, "trunk_bytes": 8100},
        {"side": "masked", "kept": 600, "trunk_bytes": 8000},
        {"side": "compact", "kept": 590, "trunk_bytes": 4900},
        {"side": "masked", "kept": 200, "trunk_bytes": 8000},
        {"side": "compact", "kept": 200, "trunk_bytes": 1700},
    ],
    "seconds": {
        "whole": {
            "1": [[4, 6, 5], [], [9, 9, 9], [], [2, 5, 4], [], [2, 2, 1]],
            "4096": [[4, 6, 5], [], [9, 9, 9], [], [8, 8, 8], [], [3, 7, 5]],
        },
        "trunk": {"1": []},
    },
}


def test_a_call_is_faster_only_if_every_round_says_so() -> None:
    found = speedup(numbers(MEASURED))
    assert [(f.subject, f.value, f.verdict) for f in found] == [
        ("60.00% kept, a row at a time", 1.25, SUPPORTED),
        ("60.00% kept, 4,096 rows at a time", 0.625, NOT_SUPPORTED),
        ("20.00% kept, a row at a time", 3.0, SUPPORTED),
        ("20.00% kept, 4,096 rows at a time", 1.0, UNDECIDED),
    ]
    assert {f.n_seeds for f in found} == {None}


def test_memory_is_that_of_the_trunks_tensors() -> None:
    found = memory(numbers(MEASURED))
    assert [(f.subject, f.value, f.verdict) for f in found] == [
        ("60.00% kept", 1.225, NOT_SUPPORTED),
        ("20.00% kept", 0.425, SUPPORTED),
    ]


def test_without_numbers_nothing_is_found() -> None:
    nothing = numbers()
    assert sparse_beats("hard", nothing) == shared_beyond_chance(nothing) == []
    assert reads_its_own_fields(nothing) == multiply_adds(nothing) == []
    assert speedup(nothing) == memory(nothing) == []


def test_the_tables_of_a_run_can_be_read(tree: Tree) -> None:
    datasets = ("movielens", "census")
    selection, scores = read_selection(), read_scores()
    masks = {name: read_masks(name, selection) for name in datasets}
    made = {
        "lt4rec_differences": differences(scores, floors(datasets)),
        "lt4rec_overlap": overlap(masks),
        "lt4rec_fields": field_use(masks),
        "lt4rec_tasks": tasks(scores),
    }
    for name, frame in made.items():
        frame.to_csv(tree.root / f"{name}.csv", index=False)
    found = read_numbers(tree.root, tree.root)
    assert len(sparse_beats("single", found)) == 3  # CVR AUC is not that of a share
    assert [f.dataset for f in shared_beyond_chance(found)] == list(datasets)
    assert [f.value for f in shared_beyond_chance(found)] == [0, 0]
    assert reads_its_own_fields(found) == []  # census has one field alone
    assert [f.value for f in multiply_adds(found)] == pytest.approx(
        [52 / 102, 27 / 102, 79 / 104] * 2
    )
