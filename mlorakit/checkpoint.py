"""State of an unfinished training run, one safetensors file written whole or not at all."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

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
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in state.best_weights.items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in values.items()}
    header = {
        "history": [dataclasses.asdict(record) for record in state.history],
        "best_score": state.best_score,
        "best_epoch": state.best_epoch,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".writing")
    save_file(
        {k: v.contiguous() for k, v in tensors.items()}, temporary, {"run": json.dumps(header)}
    )
    os.replace(temporary, path)


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Checkpoint:
    """Put a run's state back into a model and optimizer built as they were then."""
    from mlorakit.training import EpochRecord

    device = str(next(model.parameters()).device)
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    with safe_open(path, framework="pt", device=device) as file:
        header = json.loads(file.metadata()["run"])
        for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
            kind, _, rest = name.partition(".")
            groups[kind][rest] = file.get_tensor(name)
    model.load_state_dict(groups["model"])
    content = optimizer.state_dict()
    for name, value in groups["optimizer"].items():
        index, _, key = name.partition(".")
        content["state"].setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(content)
    return Checkpoint(
        history=[EpochRecord(**record) for record in header["history"]],
        best_score=header["best_score"],
        best_epoch=header["best_epoch"],
        best_weights=groups["best"],
    )
