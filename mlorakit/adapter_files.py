"""Single-domain adapters in safetensors files."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from mlorakit.adapters import Adapter, AdapterError, LayerAdapter
from mlorakit.tensor_files import read_tensors, write_tensors

_KIND = "mlorakit adapter 1"


def write_adapter(path: Path, adapter: Adapter) -> None:
    """Write an adapter.

    The file holds `layers.<i>.lora_a` of shape (R, n_in), if there is a low-rank term, and
    `layers.<i>.lora_b_bias` of shape (R + 1, n_out), with c as its last row. Its header names the
    backbone, the domain, the MLP's widths, the ranks, and the SHA-256 of the shared weights.
    """
    tensors: dict[str, Tensor] = {}
    for i, layer in enumerate(adapter.layers):
        if layer.a is not None:
            tensors[f"layers.{i}.lora_a"] = layer.a.cpu()
        tensors[f"layers.{i}.lora_b_bias"] = layer.b_bias.cpu()
    header = {
        "kind": _KIND,
        "backbone": adapter.backbone,
        "domain": adapter.domain,
        "widths": list(adapter.widths),
        "ranks": list(adapter.ranks),
        "shared": adapter.shared,
    }
    write_tensors(path, tensors, header)


def read_adapter(path: Path) -> Adapter:
    """The adapter of a file, on the CPU.

    Raises:
        AdapterError: the file is none of `write_adapter`, or its tensors are not those of its
            header.
    """
    try:
        tensors, header = read_tensors(path)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{path} cannot be read: {error}.") from None
    except (TypeError, KeyError, ValueError):  # a safetensors file without a header of ours
        tensors, header = {}, {}
    if not isinstance(header, dict) or header.get("kind") != _KIND:
        raise AdapterError(
            f"{path} holds no adapter of one domain; mlorakit.adapter_files.write_adapter makes "
            "such files."
        )
    expected = _shapes(header)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        raise AdapterError(
            f"{path} holds tensors {found}, and its header asks for {expected}; write it anew."
        )
    return Adapter(
        backbone=header["backbone"],
        domain=header["domain"],
        widths=tuple(header["widths"]),
        shared=header["shared"],
        layers=tuple(
            LayerAdapter(tensors.get(f"layers.{i}.lora_a"), tensors[f"layers.{i}.lora_b_bias"])
            for i in range(len(header["ranks"]))
        ),
    )


def _shapes(header: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Shapes of the tensors that a header describes."""
    shapes: dict[str, tuple[int, int]] = {}
    widths = zip(header["widths"], header["widths"][1:], header["ranks"], strict=False)
    for i, (n_in, n_out, rank) in enumerate(widths):
        if rank:
            shapes[f"layers.{i}.lora_a"] = (rank, n_in)
        shapes[f"layers.{i}.lora_b_bias"] = (rank + 1, n_out)
    return shapes
