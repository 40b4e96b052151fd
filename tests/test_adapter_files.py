"""Adapters in files."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mlorakit.adapter_files import read_adapter, write_adapter
from mlorakit.adapters import Adapter, AdapterError, LayerAdapter
from mlorakit.tensor_files import write_tensors

ADAPTER = Adapter(
    backbone="mlp",
    domain="women",
    widths=(3, 4, 2),
    shared="ab" * 32,
    layers=(
        LayerAdapter(torch.arange(6.0).view(2, 3), torch.ones(3, 4)),
        LayerAdapter(torch.arange(4.0).view(1, 4), torch.zeros(2, 2)),
    ),
)


def same(first: Adapter, second: Adapter) -> bool:
    tensors = [
        [t for layer in adapter.layers for t in (layer.a, layer.b_bias)]
        for adapter in (first, second)
    ]
    return all(
        (a is None and b is None) or torch.equal(a, b) for a, b in zip(*tensors, strict=True)
    ) and all(
        getattr(first, name) == getattr(second, name)
        for name in ("backbone", "domain", "widths", "shared", "ranks")
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "women.safetensors"
    write_adapter(path, ADAPTER)
    assert same(read_adapter(path), ADAPTER)


def test_an_adapter_without_a_low_rank_term(tmp_path: Path) -> None:
    control = Adapter("wdl", "x", (3, 2), "0", (LayerAdapter(None, torch.ones(1, 2)),))
    write_adapter(tmp_path / "x", control)
    assert same(read_adapter(tmp_path / "x"), control)


def test_other_programs_can_read_the_file(tmp_path: Path) -> None:
    write_adapter(tmp_path / "x", ADAPTER)
    with safe_open(tmp_path / "x", framework="pt") as file:
        header = json.loads(file.metadata()["header"])
        assert set(file.keys()) == {
            "layers.0.lora_a",
            "layers.0.lora_b_bias",
            "layers.1.lora_a",
            "layers.1.lora_b_bias",
        }
    assert (header["widths"], header["ranks"]) == ([3, 4, 2], [2, 1])
    assert (header["backbone"], header["domain"]) == ("mlp", "women")


def test_a_file_of_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"none cannot be read: "):
        read_adapter(tmp_path / "none")
    (tmp_path / "text").write_text("not safetensors")
    with pytest.raises(AdapterError, match=r"text cannot be read: "):
        read_adapter(tmp_path / "text")
    save_file({"a": torch.ones(1)}, tmp_path / "weights")
    with pytest.raises(AdapterError, match="weights holds no adapter of one domain"):
        read_adapter(tmp_path / "weights")
    write_tensors(tmp_path / "ticket", {"a": torch.ones(1)}, {"round": 1})
    with pytest.raises(AdapterError, match="ticket holds no adapter of one domain"):
        read_adapter(tmp_path / "ticket")


def test_tensors_that_the_header_does_not_describe_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_adapter(path, ADAPTER)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["header"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    write_tensors(path, tensors | {"layers.1.lora_a": torch.ones(2, 4)}, header)
    with pytest.raises(AdapterError, match=r"'layers.1.lora_a': \(2, 4\).* and its header asks"):
        read_adapter(path)
    del tensors["layers.0.lora_b_bias"]
    write_tensors(path, tensors, header)
    with pytest.raises(AdapterError, match="header asks for"):
        read_adapter(path)
