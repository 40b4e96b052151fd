"""What a run of two tasks starts from: a method's model, its initial weights, and its masks."""

from dataclasses import fields
from pathlib import Path

import torch
from torch import nn

from mlorakit import paths
from mlorakit.data.tasks import TASKS, TaskData
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.models.multitask import PLE, MMoE
from mlorakit.prune_cells import run_prune
from mlorakit.released_masks import chosen_path, read_released_mask
from mlorakit.runtime import initial_draws
from mlorakit.selection import (
    MissingTicketsError,
    missing_tickets,
    read_selection,
    read_theta_0,
    read_ticket,
    select,
    selection_path,
    write_selection,
)
from mlorakit.task_cells import make_network
from mlorakit.task_config import MultitaskConfig, PruneConfig, SelectConfig, TaskTrainConfig

_EXPERTS = {"mmoe": MMoE, "ple": PLE}


def prepare_tickets(config: MultitaskConfig, data: TaskData) -> None:
    """Find and choose the tickets that sparse sharing takes, where no choice has been made.

    Args:
        config: of the run; tickets are found with its settings, in as many rounds and down to the
            same share of the weights as prune.ipynb does by default.
        data: as `open_tasks` gives it.
    """
    at = (config.dataset, config.into)
    if config.method != "sparse" or config.masks or selection_path(*at).is_file():
        return
    shared = {field.name: getattr(config, field.name) for field in fields(TaskTrainConfig)}
    for task in missing_tickets(*at):
        run_prune(PruneConfig.of(**shared, task=task), data)
    write_selection(select(*at), SelectConfig.of(dataset=config.dataset, into=config.into))


def make_start(
    config: MultitaskConfig, data: TaskData, seed: int
) -> tuple[nn.Module, dict[str, Mask | None]]:
    """The method's model with a seed's initial weights, and a mask per task.

    Sparse sharing as described starts from the weights that its tickets were found from, and hard
    sharing from the same; as released, every method starts from fresh ones.

    Args:
        config: of the run.
        data: on the device; the model gets there too.
        seed: one of the config's.

    Raises:
        MissingTicketsError: sparse sharing has no tickets of the seed, or none for this network.
        DataError: a mask in the released layout cannot be read.
    """
    # Far from every seed that tickets start from.
    with initial_draws(seed if config.protocol == "described" else seed + 1_000_000_007):
        if config.method in _EXPERTS:
            model = _EXPERTS[config.method](
                data.fields,
                data.tables,
                config.embedding_size,
                config.expert_hidden,
                average_padding=config.protocol == "released",
            )
            return model.to(data.train.click.device), dict.fromkeys(TASKS)
        network = make_network(config, data)
    if config.method == "hard":
        return network, dict.fromkeys(TASKS)
    if config.masks:
        return network, _released_masks(config, network, seed)
    return network, _tickets(config, network, seed)


def _tickets(config: MultitaskConfig, network: LT4REC, seed: int) -> dict[str, Mask | None]:
    """The chosen tickets' masks; as described, the network gets their initial weights."""
    chosen = read_selection(config.dataset, config.into)
    masks: dict[str, Mask | None] = {}
    own = network.state_dict()
    device = str(next(network.parameters()).device)
    for task in TASKS:
        start = read_theta_0(config.dataset, config.into, task, seed)
        shapes = {name: tuple(value.shape) for name, value in start.items()}
        if shapes != {name: tuple(value.shape) for name, value in own.items()}:
            raise MissingTicketsError(
                f"The tickets for {task} in {config.into} are of another network than "
                f"{config.dataset}'s with embedding_size {config.embedding_size} and hidden "
                f"{config.hidden}; find them anew with these settings."
            )
        if config.protocol == "described":
            if masks and any(not torch.equal(v.cpu(), start[k]) for k, v in own.items()):
                raise MissingTicketsError(
                    f"The two tasks' tickets of seed {seed} in {config.into} start from different "
                    "weights, so no network has both; find both anew, by the same settings."
                )
            network.load_state_dict(start)
        mask = read_ticket(config.dataset, config.into, task, seed, chosen[task]["round"])
        masks[task] = {name: part.to(device) for name, part in mask.items()}
    return masks


def _released_masks(config: MultitaskConfig, network: LT4REC, seed: int) -> dict[str, Mask | None]:
    folder = _folder_of(paths.root() / config.masks, seed)
    weights = network.prunable()
    shapes = {name: (weight.shape[0], weight.shape[1]) for name, weight in weights.items()}
    device = next(network.parameters()).device
    masks: dict[str, Mask | None] = {}
    for task in TASKS:
        mask, _ = read_released_mask(chosen_path(folder, task), shapes)
        masks[task] = {name: part.to(device) for name, part in mask.items()}
    return masks


def _folder_of(folder: Path, seed: int) -> Path:
    """A seed's folder where there is one, as prune.ipynb and select.ipynb write them."""
    own = folder / f"seed-{seed}"
    return own if own.is_dir() else folder
