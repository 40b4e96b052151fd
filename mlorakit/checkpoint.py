"""State of an unfinished training run, one safetensors file written whole or not at all."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mlorakit.tensor_files import (
    of_prefix,
    optimizer_tensors,
    read_tensors,
    restore_optimizer,
    with_prefix,
    write_tensors,
)

if TYPE_CHECKING:
    from mlorakit.training import EpochRecord


@dataclass
class Checkpoint:
    """Where a run stands after an epoch.

    Args:
        history: a record per epoch.
        best_score: highest validation score so far.
        best_epoch: its epoch, 0 before the first.
        best_weights: the model's state then.
    """

    history: "list[EpochRecord]"
    best_score: float
    best_epoch: int
    best_weights: dict[str, Tensor]


def save_checkpoint(
    path: Path, state: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Write a run's state; an interruption leaves the previous file as it was."""
    tensors = (
        with_prefix(model.state_dict(), "model")
        | with_prefix(state.best_weights, "best")
        | with_prefix(optimizer_tensors(optimizer), "optimizer")
    )
    header = {
        "history": [dataclasses.asdict(record) for record in state.history],
        "best_score": state.best_score,
        "best_epoch": state.best_epoch,
    }
    write_tensors(path, tensors, header)


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Checkpoint:
    """Put a run's state back into a model and optimizer built as they were then."""
    from mlorakit.training import EpochRecord

    tensors, header = read_tensors(path, str(next(model.parameters()).device))
    model.load_state_dict(of_prefix(tensors, "model"))
    restore_optimizer(optimizer, of_prefix(tensors, "optimizer"))
    return Checkpoint(
        history=[EpochRecord(**record) for record in header["history"]],
        best_score=header["best_score"],
        best_epoch=header["best_epoch"],
        best_weights=of_prefix(tensors, "best"),
    )
