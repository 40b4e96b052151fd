"""A cell of two tasks trained together: where it starts, what it counts, what it writes."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
import torch
from torch import nn

from mlorakit.data.tasks import TASKS, TaskData, TaskRows
from mlorakit.models.multitask import PLE, MMoE
from mlorakit.multitask_cells import (
    count_weights,
    multitask_intervals,
    multitask_seed,
    multitask_seeds,
    summarize_multitask,
    write_multitask,
)
from mlorakit.multitask_start import make_start, prepare_tickets
from mlorakit.prune_cells import run_prune
from mlorakit.selection import (
    MissingTicketsError,
    read_ticket,
    select,
    selection_path,
    write_selection,
)
from mlorakit.task_cells import cell_files, fit_settings, theta_0
from mlorakit.task_config import METHODS, MultitaskConfig, PruneConfig, SelectConfig
from mlorakit.task_scores import evaluate_tasks
from mlorakit.task_training import TaskEpoch
from mlorakit.tensor_files import read_tensors

pytestmark = pytest.mark.usefixtures("project")

TINY: dict = {
    "dataset": "movielens",
    "seeds": (1, 2),
    "embedding_size": 4,
    "hidden": (16, 8),
    "epochs": 2,
    "batch_size": 100,
    "learning_rate": 1e-2,
    "bootstrap": 20,
    "device": "cpu",
    "threads": 1,
    "into": "reports/lt4rec",
}
AT = ("movielens", "reports/lt4rec")
TOTAL = 32 * 16 + 16 * 8


def config(method: str = "sparse", **changes: object) -> MultitaskConfig:
    return MultitaskConfig(**TINY | {"method": method, "expert_hidden": (6, 5)} | changes)


def find_tickets(data: TaskData, **changes: object) -> None:
    """Both tasks' tickets of a half and of a quarter of the weights, the latter chosen."""
    for task in TASKS:
        settings = {"task": task, "rounds": 2, "final_rate": 0.25, "epochs": 1}
        run_prune(PruneConfig(**TINY | settings | changes), data)
    chosen = select(*AT)
    for task in TASKS:
        chosen[task]["round"] = 2
    write_selection(chosen, SelectConfig(dataset=AT[0], into=AT[1]))


def same(model: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(v, other.state_dict()[k]) for k, v in model.state_dict().items())


def test_sparse_sharing_starts_from_the_weights_and_masks_of_its_tickets(
    two_tasks: TaskData,
) -> None:
    find_tickets(two_tasks)
    for seed in (1, 2):
        model, masks = make_start(config(), two_tasks, seed)
        assert same(model, theta_0(config(), two_tasks, seed))
        for task in TASKS:
            mask = masks[task]
            assert mask is not None
            expected = read_ticket(*AT, task, seed, 2)
            assert all(torch.equal(part, expected[name]) for name, part in mask.items())


def test_hard_sharing_starts_from_the_same_without_masks(two_tasks: TaskData) -> None:
    model, masks = make_start(config("hard"), two_tasks, 2)
    assert same(model, theta_0(config(), two_tasks, 2))
    assert masks == {"ctr": None, "cvr": None}


@pytest.mark.parametrize(("method", "cls"), [("mmoe", MMoE), ("ple", PLE)])
def test_the_other_methods_start_from_the_same_embeddings(
    method: str, cls: type, two_tasks: TaskData
) -> None:
    model, masks = make_start(config(method), two_tasks, 2)
    assert isinstance(model, cls)
    assert masks == {"ctr": None, "cvr": None}
    name = "input.embedding.weight"
    expected = theta_0(config(), two_tasks, 2).state_dict()[name]
    assert torch.equal(model.state_dict()[name], expected)


@pytest.mark.parametrize("method", METHODS)
def test_as_released_every_method_starts_from_fresh_weights(
    method: str, two_tasks: TaskData
) -> None:
    find_tickets(two_tasks, protocol="released")
    model, _ = make_start(config(method, protocol="released"), two_tasks, 1)
    again, _ = make_start(config(method, protocol="released"), two_tasks, 1)
    described, _ = make_start(config(method), two_tasks, 1)
    assert same(model, again)
    name = "input.embedding.weight"
    assert not torch.equal(model.state_dict()[name], described.state_dict()[name])
    padded = [m.average_padding for m in model.modules() if hasattr(m, "average_padding")]
    assert padded == [True]


def test_sparse_sharing_alone_finds_and_chooses_its_tickets(two_tasks: TaskData) -> None:
    settings = config(seeds=(3,), epochs=1, bootstrap=2)
    prepare_tickets(settings, two_tasks)
    chosen = json.loads(selection_path(*AT).read_text())
    for task in TASKS:
        metrics = json.loads(cell_files(*reversed(AT), f"prune-{task}").metrics.read_text())
        assert list(metrics["rounds"]) == ["0", "1", "2", "3", "4"]
        assert list(metrics["rounds"]["0"]["seeds"]) == ["3"]
        assert chosen[task]["round"] in (1, 2, 3, 4)
    before = selection_path(*AT).stat().st_mtime_ns
    prepare_tickets(config(seeds=(4,)), two_tasks)  # a choice is there: nothing is found anew
    assert selection_path(*AT).stat().st_mtime_ns == before


@pytest.mark.parametrize("settings", [config("hard"), config(masks="somewhere")])
def test_nothing_is_found_for_runs_that_take_no_tickets(
    settings: MultitaskConfig, two_tasks: TaskData
) -> None:
    prepare_tickets(settings, two_tasks)
    assert not selection_path(*AT).exists()


def test_tickets_of_another_network_are_refused(two_tasks: TaskData) -> None:
    find_tickets(two_tasks)
    with pytest.raises(MissingTicketsError, match=r"another network than movielens's with embedd"):
        make_start(config(hidden=(16, 9)), two_tasks, 1)
    with pytest.raises(MissingTicketsError, match=r"has no tickets of seed 7"):
        make_start(config(), two_tasks, 7)


def test_tickets_that_start_from_different_weights_are_refused(two_tasks: TaskData) -> None:
    find_tickets(two_tasks)
    folder = cell_files(*reversed(AT), "prune-cvr").folder
    (folder / "seed-1-weights.safetensors").write_bytes(
        (folder / "seed-2-weights.safetensors").read_bytes()
    )
    with pytest.raises(MissingTicketsError, match=r"seed 1 in .* start from different weights"):
        make_start(config(), two_tasks, 1)
    make_start(config(protocol="released"), two_tasks, 1)  # which does not take them


def test_masks_of_the_released_layout_are_taken_in_place_of_tickets(
    project: Path, two_tasks: TaskData
) -> None:
    find_tickets(two_tasks)
    layout = SelectConfig(dataset=AT[0], into=AT[1], released_layout="build/masks")
    write_selection(json.loads(selection_path(*AT).read_text()), layout)
    expected = multitask_seed(config(), two_tasks, 2)
    selection_path(*AT).unlink()
    found = multitask_seed(config(masks="build/masks"), two_tasks, 2)
    assert found.history == expected.history
    assert same(found.model, expected.model)
    # A folder as the released code leaves it, without seeds, serves every seed.
    one = multitask_seed(config(masks="build/masks/seed-2"), two_tasks, 1)
    for task in TASKS:
        mask, other = one.masks[task], expected.masks[task]
        assert mask is not None
        assert other is not None
        assert all(torch.equal(part, other[name]) for name, part in mask.items())


def test_weights_and_products_by_hand(two_tasks: TaskData) -> None:
    def count(method: str) -> dict:
        return count_weights(*make_start(config(method), two_tasks, 1))

    assert count("hard") == {
        "kept": {"ctr": TOTAL, "cvr": TOTAL},
        "total": TOTAL,
        "kept_share": 1,
        "multiply_adds": {"ctr": TOTAL + 8, "cvr": TOTAL + 8},
    }
    expert = 32 * 6 + 6 * 5
    of_mmoe = 4 * expert + 32 * 4  # and a gate
    products = of_mmoe + 4 * 5 + 5
    assert count("mmoe") == {
        "kept": {"ctr": of_mmoe, "cvr": of_mmoe},
        "total": 4 * expert + 2 * 32 * 4,
        "kept_share": 1,
        "multiply_adds": {"ctr": products, "cvr": products},
    }
    of_ple = 3 * expert + 32 * 3
    assert count("ple")["kept"] == {"ctr": of_ple, "cvr": of_ple}
    assert count("ple")["total"] == 4 * expert + 2 * 32 * 3
    assert count("ple")["multiply_adds"]["cvr"] == of_ple + 3 * 5 + 5


def test_the_share_that_is_kept_is_what_some_task_uses(two_tasks: TaskData) -> None:
    model, _ = make_start(config("hard"), two_tasks, 1)
    masks = {
        task: {name: torch.zeros_like(w) for name, w in model.prunable().items()} for task in TASKS
    }
    masks["ctr"]["trunk.0.weight"][0, :3] = 1
    masks["cvr"]["trunk.0.weight"][0, 2:7] = 1
    counted = count_weights(model, masks)
    assert counted["kept"] == {"ctr": 3, "cvr": 5}
    assert counted["kept_share"] == 7 / TOTAL
    assert counted["multiply_adds"] == {"ctr": 3 + 8, "cvr": 5 + 8}


def test_weights_that_no_ticket_has_stay_as_they_were(two_tasks: TaskData) -> None:
    find_tickets(two_tasks)
    result = multitask_seed(config(), two_tasks, 1)
    before = theta_0(config(), two_tasks, 1).state_dict()
    moved = 0
    for name in ("trunk.0.weight", "trunk.1.weight"):
        used = sum(mask[name] for mask in result.masks.values() if mask) > 0
        changed = result.model.state_dict()[name] != before[name]
        assert not changed[~used].any()
        moved += int(changed.sum())
    assert moved > TOTAL / 5


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_is_written_and_read_back(method: str, project: Path, two_tasks: TaskData) -> None:
    if method == "sparse":
        find_tickets(two_tasks)
    settings = config(method)
    results = multitask_seeds(settings, two_tasks)
    intervals = multitask_intervals(results, settings)
    written = write_multitask(results, intervals, settings)
    folder = f"reports/lt4rec/cells/movielens/multitask-{method}"
    assert [path.relative_to(project).as_posix() for path in written] == [
        f"reports/lt4rec/metrics/movielens/multitask-{method}.json",
        f"reports/lt4rec/history/movielens/multitask-{method}.csv",
        f"{folder}/replicates.parquet",
        f"{folder}/weights-seed-1.safetensors",
        f"{folder}/weights-seed-2.safetensors",
    ]
    summary = json.loads(written[0].read_text())
    assert summary == summarize_multitask(results, intervals)
    assert summary["n_seeds"] == 2
    assert ("cvr_auc" in summary) == two_tasks.binary
    first = results[0]
    assert summary["seeds"]["1"] == {
        "validation_loss": first.history[-1].validation_loss,
        "ctr_auc": first.test.ctr_auc,
        "cvr_mse": first.test.cvr_mse,
    }
    history = pd.read_csv(written[1])
    assert list(history.columns) == ["seed", "epoch", "task", "train_loss", "validation_loss"]
    of_epochs = history.dropna()  # where an epoch ends
    assert of_epochs[["seed", "epoch", "task"]].to_numpy().tolist() == [
        [seed, epoch, task] for seed in (1, 2) for epoch in (1, 2) for task in TASKS
    ]
    for seed, result in enumerate(results, 1):
        for task in TASKS:
            ours = history[(history["seed"] == seed) & (history["task"] == task)]
            assert ours["epoch"].is_monotonic_increasing
            curve = [loss for epoch in result.history for loss in epoch.curve[task]]
            assert ours["train_loss"].tolist() == pytest.approx(curve)
    replicates = pl.read_parquet(written[2])
    assert replicates.schema["round"] == replicates.schema["replicate"] == pl.Int32
    assert replicates["round"].unique().to_list() == [-1]
    assert replicates.height == 2 * 20
    model, _ = make_start(settings, two_tasks, 1)
    model.load_state_dict(read_tensors(written[3])[0])
    scores = evaluate_tasks(
        model, two_tasks.test, first.masks, fit_settings(settings, 1), two_tasks.binary
    )
    assert scores.losses == first.test.losses


def test_replicates_of_two_cells_are_paired(two_tasks: TaskData) -> None:
    """Equal models have equal replicates; cells of another method draw the same clusters."""
    first = multitask_seeds(config("hard"), two_tasks)
    again = multitask_seeds(config("hard", epochs=3), two_tasks)
    one, other = (multitask_intervals(r, config("hard")) for r in (first, again))
    difference = one["ctr_auc"].minus(other["ctr_auc"])
    unpaired = one["ctr_auc"].replicates - other["ctr_auc"].replicates[::-1]
    assert difference.replicates.std() < unpaired.std() / 2


def test_a_binary_second_task_has_an_auc_too(two_tasks: TaskData) -> None:
    def binary(part: str) -> TaskRows:
        rows = getattr(two_tasks, part)
        return replace(rows, conversion=(rows.conversion > 0.5).float())

    data = replace(
        two_tasks, binary=True, **{p: binary(p) for p in ("train", "validation", "test")}
    )
    results = [multitask_seed(config("hard"), data, 1)]
    summary = summarize_multitask(results, multitask_intervals(results, config("hard")))
    assert 0 < summary["cvr_auc"]["low"] < summary["cvr_auc"]["value"] < 1
    assert summary["seeds"]["1"]["cvr_auc"] == summary["cvr_auc"]["value"]


def test_a_killed_cell_goes_on_and_ends_with_the_same_bytes(
    project: Path, two_tasks: TaskData
) -> None:
    settings = config("hard")

    def content() -> dict[str, bytes]:
        results = multitask_seeds(settings, two_tasks)
        written = write_multitask(results, multitask_intervals(results, settings), settings)
        return {path.name: path.read_bytes() for path in written}

    expected = content()
    assert list((project / ".checkpoints").iterdir()) == []

    def kill(epoch: TaskEpoch) -> None:
        raise KeyboardInterrupt

    multitask_seed(settings, two_tasks, 1)
    with pytest.raises(KeyboardInterrupt):
        multitask_seed(settings, two_tasks, 2, kill)
    epochs: list[int] = []
    for seed in (1, 2):
        multitask_seed(settings, two_tasks, seed, lambda epoch: epochs.append(epoch.number))
    assert epochs == [2]  # seed 1 was done, seed 2 had one epoch
    assert content() == expected
    assert list((project / ".checkpoints").iterdir()) == []


def test_other_tickets_do_not_go_on_from_the_checkpoint(two_tasks: TaskData) -> None:
    find_tickets(two_tasks)
    first = multitask_seed(config(), two_tasks, 1).unfinished
    chosen = json.loads(selection_path(*AT).read_text())
    chosen["ctr"]["round"] = 1
    write_selection(chosen, SelectConfig(dataset=AT[0], into=AT[1]))
    assert multitask_seed(config(), two_tasks, 1).unfinished != first


@pytest.mark.parametrize("method", METHODS)
def test_the_released_protocol_runs_whole(method: str, two_tasks: TaskData) -> None:
    settings = config(method, protocol="released", seeds=(1,))
    find_tickets(two_tasks, protocol="released", seeds=(1,), bootstrap=2)
    (result,) = multitask_seeds(settings, two_tasks)
    rows = sum(len(getattr(two_tasks, part)) for part in ("train", "validation", "test"))
    batch = torch.arange(rows) // 100
    assert torch.equal(result.test.rows["ctr"], (batch % 2 == 0).nonzero()[:, 0])
    assert (batch[result.test.rows["cvr"]] % 2 == 1).all()
    assert multitask_intervals([result], settings)["cvr_mse"].low > 0
