"""Lottery tickets: a mask per task by iterative magnitude pruning (LT4REC, arXiv 2008.09872).

From the initial weights theta_0: train, prune the trunk's smallest weights of all layers together,
set everything back to theta_0, and again. A ticket is theta_0 with one of the masks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from mlorakit.data.tasks import TaskData
from mlorakit.kernels.magnitude import keep_largest, rounds
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.task_training import (
    TaskFitSettings,
    TaskScores,
    evaluate_tasks,
    fit_tasks,
)
from mlorakit.tensor_files import of_prefix, read_tensors, with_prefix, write_tensors

OnEpoch = Callable[[int, int, float], None]
"""Told after each epoch: the round, the epoch, and the mean loss."""


@dataclass(frozen=True)
class Round:
    """A round of pruning: a mask, and what theta_0 reaches once trained with it.

    Args:
        number: 0 for the dense network.
        mask: of the round.
        losses: mean training loss of each epoch.
        validation, test: scores; of the two tasks only the ticket's own is trained.
        next_mask: of the round after it, from this round's trained weights; None after the last.
    """

    number: int
    mask: Mask
    losses: list[float]
    validation: TaskScores
    test: TaskScores
    next_mask: Mask | None

    @property
    def kept(self) -> int:
        """Weights that the mask keeps."""
        return kept(self.mask)


def full_mask(network: LT4REC) -> Mask:
    """The mask that keeps every weight."""
    return {name: torch.ones_like(weight) for name, weight in network.prunable().items()}


def kept(mask: Mask) -> int:
    """Weights that a mask keeps."""
    return sum(int(part.sum().item()) for part in mask.values())


def prune(network: LT4REC, mask: Mask, keep: int) -> Mask:
    """The mask of the `keep` largest magnitudes among the weights that a mask keeps.

    Ranked over all layers together; of equal magnitudes the earlier weight stays.
    """
    weights = network.prunable()
    alive = [mask[name].bool() for name in weights]
    chosen = keep_largest([weight.detach() for weight in weights.values()], keep, alive)
    return {
        name: part.to(weight.dtype)
        for (name, weight), part in zip(weights.items(), chosen, strict=True)
    }


def find_tickets(
    make_network: Callable[[], LT4REC],
    data: TaskData,
    task: str,
    settings: TaskFitSettings,
    *,
    n_rounds: int = 4,
    final_rate: float = 0.2,
    folder: Path | None = None,
    on_epoch: OnEpoch = lambda number, epoch, loss: None,
) -> list[Round]:
    """Iterative magnitude pruning for one task.

    Every round starts from theta_0 in everything: weights, embeddings, heads, optimizer, and the
    order of the batches.

    Args:
        make_network: builds the network with theta_0, the same at every call, on the data's device.
        data: of two tasks.
        task: `ctr` or `cvr`.
        settings: of each round's training.
        n_rounds: how often to prune, n.
        final_rate: share of weights left after the last round, s; round k leaves s^(k/n).
        folder: where finished rounds and the unfinished one's last epoch are kept; a killed search
            continues from there to the same bits. The caller removes it.
        on_epoch: told after each epoch.

    Returns:
        Rounds 0, the dense network, to n.
    """
    mask = full_mask(make_network())
    goals = rounds(kept(mask), final_rate, n_rounds)
    found = []
    for number in range(n_rounds + 1):
        path = None if folder is None else folder / f"round-{number}.safetensors"
        if path is not None and path.is_file():
            result = _load_round(path, str(data.train.click.device))
        else:
            network = make_network()
            losses = fit_tasks(
                network,
                data.train,
                {task: mask},
                settings,
                checkpoint=None if folder is None else folder / f"training-{number}.safetensors",
                on_epoch=partial(_tell, on_epoch, number, task),
            )
            masks: dict[str, Mask | None] = {"ctr": mask, "cvr": mask}
            goal = goals[number] if number < n_rounds else None
            result = Round(
                number=number,
                mask=mask,
                losses=[loss[task] for loss in losses],
                validation=evaluate_tasks(network, data.validation, masks, data.binary),
                test=evaluate_tasks(network, data.test, masks, data.binary),
                next_mask=None if goal is None else prune(network, mask, goal),
            )
            if path is not None:
                _save_round(path, result)
        found.append(result)
        if result.next_mask is not None:
            mask = result.next_mask
    return found


def _tell(on_epoch: OnEpoch, number: int, task: str, epoch: int, losses: dict[str, float]) -> None:
    on_epoch(number, epoch, losses[task])


def _save_round(path: Path, result: Round) -> None:
    tensors = with_prefix({k: v.to(torch.uint8) for k, v in result.mask.items()}, "mask")
    if result.next_mask is not None:
        small = {k: v.to(torch.uint8) for k, v in result.next_mask.items()}
        tensors |= with_prefix(small, "next")
    header = {"number": result.number, "losses": result.losses}
    for name, scores in (("validation", result.validation), ("test", result.test)):
        tensors |= with_prefix(scores.logits, name)
        header[name] = [scores.ctr_auc, scores.cvr_mse, scores.cvr_auc]
    write_tensors(path, tensors, header)


def _load_round(path: Path, device: str) -> Round:
    tensors, header = read_tensors(path)

    def mask_of(prefix: str) -> Mask:
        return {k: v.float().to(device) for k, v in of_prefix(tensors, prefix).items()}

    return Round(
        number=header["number"],
        mask=mask_of("mask"),
        losses=header["losses"],
        validation=TaskScores(of_prefix(tensors, "validation"), *header["validation"]),
        test=TaskScores(of_prefix(tensors, "test"), *header["test"]),
        next_mask=mask_of("next") or None,
    )
