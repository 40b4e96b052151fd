"""Tensors and a JSON header in one safetensors file, written whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from mlorakit.whole import whole_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> None:
    """Write a file; an interruption leaves the previous one as it was.

    Args:
        path: of the file; its folder is made.
        tensors: by name.
        header: anything that JSON can hold.
    """
    content = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file(content, temporary, {"header": json.dumps(header)})


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file, on a device, and its header."""
    with safe_open(path, framework="pt", device=device) as file:
        header = json.loads(file.metadata()["header"])
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def of_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those of the tensors that `with_prefix` named, under their own names."""
    start = prefix + "."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as tensors by parameter number and name."""
    tensors: dict[str, Tensor] = {}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= with_prefix(values, str(number))
    return tensors


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the state of `optimizer_tensors` into an optimizer made as that one was."""
    content = optimizer.state_dict()
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        content["state"].setdefault(int(number), {})[key] = value
    optimizer.load_state_dict(content)
