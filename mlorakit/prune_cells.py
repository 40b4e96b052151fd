"""A cell of tickets: a data set and a task, pruned round by round, over several seeds."""

import shutil
import statistics
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from mlorakit import paths
from mlorakit.bootstrap import Interval
from mlorakit.data.tasks import TaskData
from mlorakit.progress import StepProgress
from mlorakit.released_masks import round_path, write_released_mask
from mlorakit.seeds import each_seed
from mlorakit.task_cells import (
    cell_files,
    fit_settings,
    json_number,
    metric_intervals,
    metric_summary,
    protocol_data,
    replicates_frame,
    theta_0,
    unfinished_folder,
    write_json,
)
from mlorakit.task_config import PruneConfig
from mlorakit.task_training import TaskEpoch
from mlorakit.tensor_files import write_tensors
from mlorakit.tickets import Round, find_tickets, packed
from mlorakit.whole import whole_folder


@dataclass(frozen=True)
class TicketResult:
    """What one seed of a cell gave.

    Args:
        seed: of weights and batches.
        theta_0: the weights that every round starts from, by name.
        rounds: 0, the dense network, to n.
        data: what it was trained on, on the device.
        unfinished: folder of the seed's state, for a killed run to go on from.
    """

    seed: int
    theta_0: dict[str, Tensor]
    rounds: list[Round]
    data: TaskData
    unfinished: Path

    @property
    def total(self) -> int:
        """Weights of the trunk."""
        return self.rounds[0].kept


def prune_seed(
    config: PruneConfig,
    data: TaskData,
    seed: int,
    on_epoch: Callable[[int, TaskEpoch], None] = lambda *event: None,
) -> TicketResult:
    """Find the tickets of a seed; continues where an earlier, killed run of it stopped.

    Args:
        config: of the cell.
        data: as `open_tasks` gives it.
        seed: one of the config's.
        on_epoch: told after each epoch of the round and the epoch.
    """
    data = protocol_data(config, data)
    folder = unfinished_folder(config, data, seed)
    network = theta_0(config, data, seed)
    rounds = find_tickets(
        partial(deepcopy, network),
        data,
        config.task,
        fit_settings(config, seed),
        n_rounds=config.rounds,
        final_rate=config.final_rate,
        folder=folder,
        on_epoch=on_epoch,
    )
    start = {name: value.cpu() for name, value in network.state_dict().items()}
    return TicketResult(seed, start, rounds, data, folder)


def prune_seeds(config: PruneConfig, data: TaskData) -> list[TicketResult]:
    """`prune_seed` for every seed of a cell, its progress shown by epoch; see `each_seed`."""
    return each_seed(_shown, config, data)


def _shown(config: PruneConfig, data: TaskData, seed: int, keep: bool) -> TicketResult:
    """`prune_seed`, whose state stays until the cell is written in any case."""
    total = (config.rounds + 1) * config.epochs
    progress = StepProgress(f"{config.dataset} {config.cell} seed {seed}", total)

    def show(round_: int, epoch: TaskEpoch) -> None:
        done = round_ * config.epochs + epoch.number
        loss = epoch.train_loss[config.task]
        progress(done, f"round {round_}, epoch {epoch.number}: loss {loss:.4f}")

    try:
        return prune_seed(config, data, seed, show)
    finally:
        progress.close()


def ticket_intervals(
    results: list[TicketResult], config: PruneConfig
) -> dict[int, dict[str, Interval]]:
    """Each round's metrics, means over seeds, with their bootstrap intervals."""
    data = results[0].data
    return {
        k: metric_intervals(
            [r.rounds[k].test for r in results], data.test, data.binary, config.bootstrap
        )
        for k in range(config.rounds + 1)
    }


def summarize_tickets(
    results: list[TicketResult], intervals: dict[int, dict[str, Interval]], config: PruneConfig
) -> dict[str, Any]:
    """The cell's metrics: numbers only, by round, per seed and over seeds."""
    total = results[0].total
    rounds = {}
    for k, metrics in intervals.items():
        of_seeds = {str(r.seed): r.rounds[k] for r in results}
        kept = results[0].rounds[k].kept
        rounds[str(k)] = {
            "kept": kept,
            "kept_share": kept / total,
            "multiply_adds": kept + config.hidden[-1],  # and the head's
            "validation_loss": json_number(
                statistics.fmean(found.validation_loss for found in of_seeds.values())
            ),
            **metric_summary([found.test for found in of_seeds.values()], metrics),
            "seeds": {
                seed: {"validation_loss": json_number(found.validation_loss)}
                | {metric: json_number(getattr(found.test, metric)) for metric in metrics}
                for seed, found in of_seeds.items()
            },
        }
    return {"n_seeds": len(results), "total": total, "rounds": rounds}


def ticket_history(results: list[TicketResult]) -> pd.DataFrame:
    """A row per seed, round and epoch."""
    return pd.DataFrame(
        [
            {"seed": r.seed, "round": found.number, "epoch": epoch, "train_loss": loss}
            for r in results
            for found in r.rounds
            for epoch, loss in enumerate(found.losses, 1)
        ]
    )


def write_tickets(
    results: list[TicketResult], intervals: dict[int, dict[str, Interval]], config: PruneConfig
) -> list[Path]:
    """Write metrics, history, initial weights, masks and replicates; the unfinished state goes.

    Returns:
        The files written, below `config.into` of the project, and those of the released layout.
    """
    files = cell_files(config.into, config.dataset, config.cell)
    with whole_folder(files.folder) as folder:
        replicates_frame(intervals).write_parquet(folder / "replicates.parquet")
        for r in results:
            write_tensors(folder / f"seed-{r.seed}-weights.safetensors", r.theta_0, {})
            for found in r.rounds:
                header = {"round": found.number, "kept": found.kept, "total": r.total}
                path = folder / f"seed-{r.seed}-round-{found.number}.safetensors"
                write_tensors(path, packed(found.mask), header)
    files.history.parent.mkdir(parents=True, exist_ok=True)
    ticket_history(results).to_csv(files.history, index=False, lineterminator="\n")
    # Last: where the metrics are, the cell is whole.
    write_json(files.metrics, summarize_tickets(results, intervals, config))
    released = _write_released(results, config) if config.released_layout else []
    for r in results:
        shutil.rmtree(r.unfinished, ignore_errors=True)
    return [files.metrics, files.history, *sorted(files.folder.iterdir()), *released]


def _write_released(results: list[TicketResult], config: PruneConfig) -> list[Path]:
    written = []
    for r in results:
        folder = paths.root() / config.released_layout / f"seed-{r.seed}"
        for found in r.rounds[1:]:
            share = found.kept / r.total
            written.append(round_path(folder, config.task, found.number, share))
            write_released_mask(written[-1], found.mask, found.number)
    return written


def run_prune(config: PruneConfig, data: TaskData) -> list[Path]:
    """A cell from beginning to end; returns the files written."""
    results = prune_seeds(config, data)
    return write_tickets(results, ticket_intervals(results, config), config)
