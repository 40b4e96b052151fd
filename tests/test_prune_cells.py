"""A cell of tickets: found, resumed, summarised and written."""

import json
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mlorakit.data.tasks import TaskData
from mlorakit.prune_cells import (
    TicketResult,
    prune_seed,
    prune_seeds,
    run_prune,
    summarize_tickets,
    ticket_intervals,
    write_tickets,
)
from mlorakit.released_masks import read_released_mask
from mlorakit.task_cells import theta_0
from mlorakit.task_config import PruneConfig
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
    "bootstrap": 50,
    "device": "cpu",
    "threads": 1,
    "into": "reports/lt4rec",
}
TOTAL = 32 * 16 + 16 * 8  # 4 fields of size 4: 16 products and 16 values


def config(**changes: object) -> PruneConfig:
    return PruneConfig(**TINY | {"rounds": 2, "final_rate": 0.25} | changes)


@pytest.fixture
def results(two_tasks: TaskData) -> list[TicketResult]:
    return prune_seeds(config(), two_tasks)


def test_both_tasks_of_a_seed_start_from_the_same_weights(two_tasks: TaskData) -> None:
    ctr, cvr, other = (
        prune_seed(config(task=task, rounds=1), two_tasks, seed).theta_0
        for task, seed in (("ctr", 1), ("cvr", 1), ("ctr", 2))
    )
    expected = theta_0(config(), two_tasks, 1).state_dict()
    for name, value in expected.items():
        assert torch.equal(ctr[name], value)
        assert torch.equal(cvr[name], value)
    assert not torch.equal(ctr["trunk.0.weight"], other["trunk.0.weight"])


def test_the_summary_is_by_round_over_seeds_and_per_seed(
    results: list[TicketResult], two_tasks: TaskData
) -> None:
    summary = summarize_tickets(results, ticket_intervals(results, config()), config())
    assert (summary["n_seeds"], summary["total"]) == (2, TOTAL)
    assert {k: r["kept"] for k, r in summary["rounds"].items()} == {
        "0": TOTAL,
        "1": TOTAL // 2,
        "2": TOTAL // 4,
    }
    last = summary["rounds"]["2"]
    assert (last["kept_share"], last["multiply_adds"]) == (0.25, TOTAL // 4 + 8)
    click = two_tasks.test.click.numpy()
    aucs = [roc_auc_score(click, r.rounds[2].test.logits["ctr"].numpy()) for r in results]
    assert last["ctr_auc"]["value"] == pytest.approx(statistics.fmean(aucs))
    assert last["ctr_auc"]["std"] == pytest.approx(statistics.stdev(aucs))
    assert last["ctr_auc"]["low"] < last["ctr_auc"]["value"] < last["ctr_auc"]["high"]
    losses = [r.rounds[2].validation_loss for r in results]
    assert last["validation_loss"] == pytest.approx(statistics.fmean(losses))
    assert last["seeds"]["2"] == {
        "validation_loss": losses[1],
        "ctr_auc": pytest.approx(aucs[1]),
    }
    assert not {"cvr_mse", "cvr_auc"} & set(last)


def test_a_cell_of_the_second_task_has_its_metrics_alone(two_tasks: TaskData) -> None:
    results = [prune_seed(config(task="cvr"), two_tasks, 1)]
    summary = summarize_tickets(results, ticket_intervals(results, config()), config(task="cvr"))
    assert {"cvr_mse"} == {"ctr_auc", "cvr_mse", "cvr_auc"} & set(summary["rounds"]["1"])
    assert summary["rounds"]["1"]["cvr_mse"]["std"] is None  # one seed has no spread


def test_a_cell_is_written_and_read_back(
    project: Path, results: list[TicketResult], two_tasks: TaskData
) -> None:
    intervals = ticket_intervals(results, config())
    written = write_tickets(results, intervals, config())
    folder = "reports/lt4rec/cells/movielens/prune-ctr"
    assert [path.relative_to(project).as_posix() for path in written] == [
        "reports/lt4rec/metrics/movielens/prune-ctr.json",
        "reports/lt4rec/history/movielens/prune-ctr.csv",
        f"{folder}/replicates.parquet",
        *(
            f"{folder}/seed-{seed}-{what}.safetensors"
            for seed in (1, 2)
            for what in ("round-0", "round-1", "round-2", "weights")
        ),
    ]
    assert json.loads(written[0].read_text()) == summarize_tickets(results, intervals, config())
    history = pd.read_csv(written[1])
    assert list(history.columns) == ["seed", "round", "epoch", "train_loss"]
    assert history["train_loss"].tolist() == [
        loss for r in results for found in r.rounds for loss in found.losses
    ]
    mask, header = read_tensors(written[4])
    assert header == {"round": 1, "kept": TOTAL // 2, "total": TOTAL}
    for name, part in mask.items():
        assert part.dtype == torch.uint8
        assert torch.equal(part.float(), results[0].rounds[1].mask[name])
    start, _ = read_tensors(written[6])
    assert all(torch.equal(value, results[0].theta_0[name]) for name, value in start.items())
    replicates = pl.read_parquet(written[2])
    assert replicates.schema == {
        "round": pl.Int32,
        "metric": pl.String,
        "replicate": pl.Int32,
        "value": pl.Float64,
    }
    assert replicates.height == 3 * 50
    second = replicates.filter(pl.col("round") == 2)["value"].to_numpy()
    assert second.tolist() == intervals[2]["ctr_auc"].replicates.tolist()
    low, high = np.percentile(second, (2.5, 97.5))
    summary = json.loads(written[0].read_text())["rounds"]["2"]["ctr_auc"]
    assert (summary["low"], summary["high"]) == (low, high)


def test_files_of_an_earlier_run_do_not_stay(project: Path, two_tasks: TaskData) -> None:
    for settings in (config(bootstrap=2), config(bootstrap=2, seeds=(2,), rounds=1)):
        run_prune(settings, two_tasks)
    folder = project / "reports/lt4rec/cells/movielens/prune-ctr"
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        f"seed-2-{what}.safetensors" for what in ("round-0", "round-1", "weights")
    ]


@pytest.mark.parametrize("at", [(1, 0, 1), (2, 1, 2)])
def test_a_killed_cell_goes_on_and_ends_with_the_same_bytes(
    at: tuple[int, int, int],
    project: Path,
    two_tasks: TaskData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = config(bootstrap=5)

    def content() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in run_prune(settings, two_tasks)}

    expected = content()
    assert list((project / ".checkpoints").iterdir()) == []

    def kill(number: int, epoch: TaskEpoch) -> None:
        if (seed, number, epoch.number) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the seed that is killed is one of two
        for seed in settings.seeds:
            prune_seed(settings, two_tasks, seed, kill)
    events = []
    for seed in settings.seeds:
        prune_seed(
            settings,
            two_tasks,
            seed,
            lambda number, epoch, seed=seed: events.append((seed, number, epoch.number)),
        )
    every = [(seed, number, epoch) for seed in (1, 2) for number in (0, 1, 2) for epoch in (1, 2)]
    assert events == every[every.index(at) + 1 :]
    assert content() == expected
    assert list((project / ".checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"task": "cvr"}, False),
        ({"final_rate": 0.5}, False),
        ({"learning_rate": 1e-3}, False),
        ({"protocol": "released"}, False),
        ({"seeds": (1,), "into": "reports/other", "bootstrap": 9}, True),
    ],
)
def test_what_a_run_goes_on_from_depends_on_all_that_decides_it(
    change: dict, same: bool, two_tasks: TaskData
) -> None:
    first, second = (prune_seed(c, two_tasks, 1).unfinished for c in (config(), config(**change)))
    assert (first == second) == same
    assert first.is_dir()


def test_the_released_protocol_trains_and_scores_on_all_rows(two_tasks: TaskData) -> None:
    result = prune_seed(config(protocol="released", rounds=1), two_tasks, 1)
    rows = [len(two_tasks.train), len(two_tasks.validation), len(two_tasks.test)]
    for part in (result.data.train, result.data.validation, result.data.test):
        assert len(part) == sum(rows)
        assert torch.equal(part.ids[: rows[0]], two_tasks.train.ids)
        assert torch.equal(part.click[-rows[2] :], two_tasks.test.click)
    assert len(result.rounds[0].test.logits["ctr"]) == sum(rows)
    described = prune_seed(config(rounds=1), two_tasks, 1)
    assert torch.equal(result.theta_0["trunk.0.weight"], described.theta_0["trunk.0.weight"])


def test_masks_are_written_in_the_released_layout_too(project: Path, two_tasks: TaskData) -> None:
    settings = config(released_layout="build/masks", seeds=(2,), bootstrap=2)
    results = prune_seeds(settings, two_tasks)
    write_tickets(results, ticket_intervals(results, settings), settings)
    folder = project / "build/masks/seed-2/single/chk_points/ctr/mask"
    assert sorted(path.name for path in folder.iterdir()) == ["1_50.00%.pkl", "2_25.00%.pkl"]
    mask = results[0].rounds[2].mask
    shapes = {name: (part.shape[0], part.shape[1]) for name, part in mask.items()}
    read, number = read_released_mask(folder / "2_25.00%.pkl", shapes)
    assert number == 2
    assert all(torch.equal(read[name], part) for name, part in mask.items())


def test_progress_tells_every_epoch(
    two_tasks: TaskData, capsys: pytest.CaptureFixture[str]
) -> None:
    prune_seeds(config(), two_tasks)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 * 3 * 2
    assert lines[0].startswith("movielens prune-ctr seed 1, round 0, epoch 1: loss 0.")
    assert lines[-1].startswith("movielens prune-ctr seed 2, round 2, epoch 2: loss 0.")
    assert "6 of 6 epochs, 0 s left" in lines[-1]
