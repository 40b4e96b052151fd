"""The ticket of each task that sparse sharing takes: a written rule on validation scores."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from mlorakit import paths
from mlorakit.data.tasks import TASKS
from mlorakit.models.lt4rec import Mask
from mlorakit.released_masks import chosen_path, write_released_mask
from mlorakit.task_cells import cell_files, write_json
from mlorakit.task_config import SelectConfig
from mlorakit.tensor_files import read_tensors
from mlorakit.tickets import unpacked


class MissingTicketsError(FileNotFoundError):
    """Tickets that have not been found, or not for a seed."""


def choose_round(rounds: dict[str, dict[str, Any]]) -> int:
    """The round whose ticket is taken.

    Among rounds 1 to n the one with the smallest validation loss, averaged over seeds; of equal
    ones the later, which is sparser. Round 0, the dense network, is no ticket.

    Args:
        rounds: by number, as text; each with its `validation_loss`, None where it is undefined.

    Raises:
        ValueError: no ticket has a loss.
    """
    losses = {
        int(k): found["validation_loss"]
        for k, found in rounds.items()
        if k != "0" and found["validation_loss"] is not None
    }
    if not losses:
        raise ValueError(
            f"None of the rounds {', '.join(rounds)} has a validation loss to choose by; do the "
            "validation rows hold both classes and a converting row?"
        )
    return min(losses, key=lambda k: (losses[k], -k))


def missing_tickets(dataset: str, into: str) -> list[str]:
    """The tasks whose tickets have not been found."""
    return [t for t in TASKS if not cell_files(into, dataset, f"prune-{t}").metrics.is_file()]


def select(dataset: str, into: str) -> dict[str, Any]:
    """Each task's chosen round, with the losses that it was chosen by.

    Raises:
        MissingTicketsError: a task's tickets have not been found.
    """
    missing = missing_tickets(dataset, into)
    if missing:
        raise MissingTicketsError(
            f"{into} has no tickets of {dataset} for {', '.join(missing)}; run prune.ipynb with "
            f"dataset {dataset} and that task, or `dvc repro select`."
        )
    chosen = {}
    for task in TASKS:
        rounds = json.loads(cell_files(into, dataset, f"prune-{task}").metrics.read_text())[
            "rounds"
        ]
        k = choose_round(rounds)
        chosen[task] = {
            "round": k,
            "kept": rounds[str(k)]["kept"],
            "kept_share": rounds[str(k)]["kept_share"],
            "validation_loss": {
                name: found["validation_loss"] for name, found in rounds.items() if name != "0"
            },
        }
    return chosen


def selection_path(dataset: str, into: str) -> Path:
    """The file of a data set's chosen rounds."""
    return cell_files(into, dataset, "select").metrics


def read_selection(dataset: str, into: str) -> dict[str, Any]:
    """What `select` chose.

    Raises:
        MissingTicketsError: nothing has been chosen.
    """
    path = selection_path(dataset, into)
    if not path.is_file():
        raise MissingTicketsError(
            f"{path} is not there: no tickets of {dataset} have been chosen; run select.ipynb."
        )
    return json.loads(path.read_text())


def write_selection(chosen: dict[str, Any], config: SelectConfig) -> list[Path]:
    """Write the chosen rounds and, if asked for, their masks in the released layout.

    Returns:
        The files written.
    """
    written = [selection_path(config.dataset, config.into)]
    write_json(written[0], chosen)
    if config.released_layout:
        for task in TASKS:
            files = cell_files(config.into, config.dataset, f"prune-{task}")
            for seed in json.loads(files.metrics.read_text())["rounds"]["0"]["seeds"]:
                k = chosen[task]["round"]
                folder = paths.root() / config.released_layout / f"seed-{seed}"
                written.append(chosen_path(folder, task))
                mask = read_ticket(config.dataset, config.into, task, int(seed), k)
                write_released_mask(written[-1], mask, k)
    return written


def read_ticket(dataset: str, into: str, task: str, seed: int, number: int) -> Mask:
    """The mask of a round.

    Raises:
        MissingTicketsError: the seed has none.
    """
    return unpacked(_read(dataset, into, task, seed, f"round-{number}"))


def read_theta_0(dataset: str, into: str, task: str, seed: int) -> dict[str, Tensor]:
    """The initial weights that a seed's tickets are for.

    Raises:
        MissingTicketsError: the seed has none.
    """
    return _read(dataset, into, task, seed, "weights")


def _read(dataset: str, into: str, task: str, seed: int, name: str) -> dict[str, Tensor]:
    folder = cell_files(into, dataset, f"prune-{task}").folder
    path = folder / f"seed-{seed}-{name}.safetensors"
    if not path.is_file():
        raise MissingTicketsError(
            f"{folder} has no tickets of seed {seed} ({path.name} is not there); run prune.ipynb "
            f"for {dataset} and {task} with that seed among `seeds`."
        )
    return read_tensors(path)[0]
