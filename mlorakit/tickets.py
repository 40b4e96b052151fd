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
from mlorakit.task_scores import TaskScores, evaluate_tasks
from mlorakit.task_training import TaskEpoch, TaskFitSettings, fit_tasks
from mlorakit.tensor_files import of_prefix, read_tensors, with_prefix, write_tensors

OnEpoch = Callable[[int, TaskEpoch], None]
"""Told after each epoch: the round and the epoch."""


@dataclass(frozen=True)
class Round:
    """A round of pruning: a mask, and what theta_0 reaches once trained with it.

    Args:
        number: 0 for the dense network.
        mask: of the round.
        losses: mean training loss of each epoch.
        validation_loss: see `TaskScores.loss_of`.
        test: scores of the ticket's task.
        next_mask: of the round after it, from this round's trained weights; None after the last.
    """

    number: int
    mask: Mask
    losses: list[float]
    validation_loss: float
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


def packed(mask: Mask) -> Mask:
    """A mask of one byte per weight, for a file."""
    return {name: part.to(torch.uint8) for name, part in mask.items()}


def unpacked(mask: Mask, device: str = "cpu") -> Mask:
    """A mask from what `packed` made of it."""
    return {name: part.float().to(device) for name, part in mask.items()}


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
    on_epoch: OnEpoch = lambda *event: None,
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
    found: list[Round] = []
    for number in range(n_rounds + 1):
        saved = None if folder is None else folder / f"round-{number}.safetensors"
        if saved is not None and saved.is_file():
            found.append(_load_round(saved, str(data.train.click.device)))
            continue
        network = make_network()
        mask = (found[-1].next_mask if found else None) or full_mask(network)
        training = None if folder is None else folder / f"training-{number}.safetensors"
        history = fit_tasks(
            network,
            data.train,
            {task: mask},
            settings,
            checkpoint=training,
            on_epoch=partial(on_epoch, number),
        )
        validation, test = (
            evaluate_tasks(network, rows, {task: mask}, settings, data.binary)
            for rows in (data.validation, data.test)
        )
        next_mask = None
        if number < n_rounds:
            total = sum(weight.numel() for weight in network.prunable().values())
            next_mask = prune(network, mask, rounds(total, final_rate, n_rounds)[number])
        found.append(
            Round(
                number=number,
                mask=mask,
                losses=[epoch.train_loss[task] for epoch in history],
                validation_loss=validation.loss_of(task),
                test=test,
                next_mask=next_mask,
            )
        )
        if saved is not None and training is not None:
            _save_round(saved, found[-1])
            training.unlink(missing_ok=True)
    return found


def _save_round(path: Path, result: Round) -> None:
    tensors = with_prefix(packed(result.mask), "mask")
    if result.next_mask is not None:
        tensors |= with_prefix(packed(result.next_mask), "next")
    tensors |= with_prefix(result.test.logits, "logits") | with_prefix(result.test.rows, "rows")
    header = {
        "number": result.number,
        "losses": result.losses,
        "validation_loss": result.validation_loss,
        "test": [result.test.ctr_auc, result.test.cvr_mse, result.test.cvr_auc],
    }
    write_tensors(path, tensors, header)


def _load_round(path: Path, device: str) -> Round:
    tensors, header = read_tensors(path)
    return Round(
        number=header["number"],
        mask=unpacked(of_prefix(tensors, "mask"), device),
        losses=header["losses"],
        validation_loss=header["validation_loss"],
        test=TaskScores(of_prefix(tensors, "logits"), of_prefix(tensors, "rows"), *header["test"]),
        next_mask=unpacked(of_prefix(tensors, "next"), device) or None,
    )
