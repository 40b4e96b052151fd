"""Scores, choices, masks and histories of LT4REC's cells, read from what the stages leave."""

import json
import math
from collections.abc import Callable

import pytest

from mlorakit.config import ParameterError
from mlorakit.report.results import MissingCellsError
from mlorakit.report.task_methods import Score, method_title, round_of, ticket
from mlorakit.report.task_results import (
    read_masks,
    read_scores,
    read_selection,
    read_task_histories,
    task_grid,
)
from mlorakit.selection import MissingTicketsError

from ..conftest import SetParams
from .task_tree import DRAWS, KEPT, Tree


def one(scores: list[Score], dataset: str, method: str, metric: str) -> Score:
    (found,) = (s for s in scores if (s.dataset, s.method, s.metric) == (dataset, method, metric))
    return found


def test_methods_have_names_rounds_and_titles() -> None:
    assert [ticket(number) for number in range(3)] == ["single", "ticket-1", "ticket-2"]
    assert [round_of(m) for m in ("single", "ticket-2", "ticket-10", "sparse")] == [0, 2, 10, None]
    assert [method_title(m) for m in ("single", "ticket-2", "mmoe", "sparse")] == [
        "single task, dense",
        "single task, ticket 2",
        "MMoE",
        "sparse sharing",
    ]


@pytest.mark.usefixtures("tree")
def test_the_grid_is_that_of_the_parameters(set_params: SetParams) -> None:
    assert task_grid().datasets == ("movielens", "census")
    set_params(lt4rec={"methods": ["spares"]})
    with pytest.raises(ParameterError, match="'spares' is not known; it is one of sparse"):
        task_grid()


@pytest.mark.usefixtures("tree")
def test_scores_come_in_the_order_of_data_sets_and_methods() -> None:
    scores = read_scores()
    order = list(dict.fromkeys((s.dataset, s.method) for s in scores))
    assert order == [
        (dataset, method)
        for dataset in ("movielens", "census")
        for method in ("single", "ticket-1", "ticket-2", "hard", "sparse")
    ]
    binary = {s.dataset for s in scores if s.metric == "cvr_auc"}
    assert binary == {"movielens"}


@pytest.mark.usefixtures("tree")
def test_a_ticket_has_the_scores_of_its_round_and_task() -> None:
    score = one(read_scores(), "census", "ticket-1", "cvr_mse")
    assert (score.interval.value, score.task) == (0.19, "cvr")
    assert (score.interval.low, score.interval.high) == pytest.approx((0.171, 0.209))
    assert score.seeds == pytest.approx({"1": 0.18, "2": 0.2})
    assert (score.kept, score.total, score.kept_share) == (50, 100, 0.5)
    assert score.multiply_adds == 52
    # In the order of the replicates' numbers, though the file has them backwards.
    assert score.interval.replicates.tolist() == pytest.approx((0.19 + DRAWS).tolist())


@pytest.mark.usefixtures("tree")
def test_a_multitask_model_has_the_costs_of_each_task() -> None:
    scores = read_scores()
    ctr = one(scores, "movielens", "sparse", "ctr_auc")
    cvr = one(scores, "movielens", "sparse", "cvr_mse")
    assert (ctr.kept, ctr.multiply_adds, ctr.kept_share) == (50, 52, 0.6)
    assert (cvr.kept, cvr.multiply_adds, cvr.kept_share) == (25, 27, 0.6)
    assert ctr.interval.replicates.tolist() == pytest.approx((0.75 + DRAWS).tolist())


def test_null_is_nan(tree: Tree) -> None:
    path = tree.folder / "metrics" / "census" / "multitask-hard.json"
    content = json.loads(path.read_text())
    content["ctr_auc"] = dict.fromkeys(("value", "low", "high", "std"))
    content["seeds"]["1"]["ctr_auc"] = None
    path.write_text(json.dumps(content))
    score = one(read_scores(), "census", "hard", "ctr_auc")
    assert math.isnan(score.interval.value)
    assert math.isnan(score.interval.low)
    assert math.isnan(score.seeds["1"])
    assert score.std is None


@pytest.mark.usefixtures("tree")
def test_the_choice_stands_beside_the_other_rounds() -> None:
    frame = read_selection()
    assert frame["dataset"].tolist() == ["movielens"] * 6 + ["census"] * 6
    ctr = frame[(frame["dataset"] == "movielens") & (frame["task"] == "ctr")]
    assert ctr["validation_loss"].tolist() == [0.31, 0.28, 0.29]
    assert ctr["chosen"].tolist() == [False, True, False]
    assert ctr["kept"].tolist() == list(KEPT)
    cvr = frame[(frame["dataset"] == "census") & (frame["task"] == "cvr")]
    assert cvr["chosen"].tolist() == [False, False, True]


@pytest.mark.usefixtures("tree")
def test_masks_are_those_of_the_chosen_rounds_per_seed() -> None:
    first, second = read_masks("movielens", read_selection())
    kept = {task: int(sum(part.sum() for part in mask.values())) for task, mask in first.items()}
    assert kept == {"ctr": 50, "cvr": 25}
    # Seed 1's click mask holds the first weights, seed 2's the last.
    assert first["ctr"]["trunk.0.weight"].flatten()[0] == 1
    assert second["ctr"]["trunk.0.weight"].flatten()[0] == 0


def test_a_mask_that_is_not_there_is_named(tree: Tree) -> None:
    (tree.folder / "cells/movielens/prune-cvr/seed-2-round-2.safetensors").unlink()
    with pytest.raises(MissingTicketsError, match="no tickets of seed 2"):
        read_masks("movielens", read_selection())


@pytest.mark.usefixtures("tree")
def test_histories_are_one_frame() -> None:
    frame = read_task_histories()
    assert len(frame) == 2 * 2 * 2 * 4 * 2
    assert set(frame["method"]) == {"hard", "sparse"}
    row = frame[(frame["dataset"] == "census") & (frame["method"] == "hard")].dropna().iloc[0]
    assert (row["seed"], row["epoch"], row["task"]) == (1, 1, "ctr")
    assert (row["train_loss"], row["validation_loss"]) == pytest.approx((0.51, 0.41))


@pytest.mark.parametrize(
    ("read", "path"),
    [
        (read_scores, "metrics/census/prune-cvr.json"),
        (read_scores, "cells/census/multitask-hard/replicates.parquet"),
        (read_selection, "metrics/census/select.json"),
        (read_task_histories, "history/census/multitask-sparse.csv"),
    ],
)
def test_what_is_missing_is_named(tree: Tree, read: Callable[[], object], path: str) -> None:
    (tree.folder / path).unlink()
    with pytest.raises(MissingCellsError, match=rf"^1 of \d+ files .*: {path}\. `dvc repro`"):
        read()


@pytest.mark.usefixtures("tree")
def test_an_empty_grid_has_no_results(set_params: SetParams) -> None:
    set_params(lt4rec={"datasets": []})
    assert read_scores() == []
    assert read_selection().empty
    assert read_task_histories().empty
