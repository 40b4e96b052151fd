"""Masks in the released layout, and pickles that must not run."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mlorakit.data.rows import DataError
from mlorakit.released_masks import (
    chosen_path,
    read_released_mask,
    round_path,
    write_released_mask,
)

SHAPES = {"trunk.0.weight": (2, 3), "trunk.1.weight": (1, 2)}
MASK = {
    "trunk.0.weight": torch.tensor([[1.0, 0, 1], [0, 0, 1]]),
    "trunk.1.weight": torch.tensor([[0.0, 1]]),
}


def test_paths_are_those_of_the_released_code() -> None:
    assert round_path(Path("x"), "ctr", 1, 0.66874).as_posix() == (
        "x/single/chk_points/ctr/mask/1_66.87%.pkl"
    )
    assert chosen_path(Path("x"), "cvr").as_posix() == "x/mtl/mask/1.pkl"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = round_path(tmp_path, "ctr", 3, 0.2991)
    write_released_mask(path, MASK, 3)
    mask, number = read_released_mask(path, SHAPES)
    assert number == 3
    assert all(torch.equal(mask[name], MASK[name]) for name in MASK)


@pytest.mark.parametrize("protocol", range(6))
def test_names_and_protocols_of_the_released_code_are_read(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "0.pkl"
    arrays = {
        "dnn/kernel_1:0": np.array([[0], [1]], dtype="float32"),
        "dnn/kernel_0:0": np.array([[1, 0], [0, 0], [1, 1]], dtype="float64"),
    }
    path.write_bytes(pickle.dumps({"mask": arrays, "pruning_time": 2}, protocol=protocol))
    mask, number = read_released_mask(path, SHAPES)
    assert number == 2
    assert all(torch.equal(mask[name], MASK[name]) for name in MASK)


class Harmful:
    def __reduce__(self) -> tuple:
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mask": {"a": Harmful()}, "pruning_time": 1}, "it asks for builtins.exec"),
        ({"mask": {"a": Path("x")}}, "it asks for pathlib"),
        ([1, 2], "no dict with a dict 'mask'"),
        ({"mask": [1]}, "no dict with a dict 'mask'"),
        ({"mask": {}, "pruning_time": "1"}, "'pruning_time' is '1'"),
        ({"mask": {"a": np.ones((3, 2))}}, r"0 arrays of shape \(2, 1\) for trunk.1.weight"),
        (
            {"mask": {"a": np.ones((3, 2)), "b": np.ones((2, 1)), "c": np.ones(1)}},
            "variables that the network does not: c",
        ),
        ({"mask": {"a": np.full((3, 2), 0.5), "b": np.ones((2, 1))}}, "'a' holds values other"),
        (
            {"mask": {"a": np.full((3, 2), None), "b": np.ones((2, 1))}},
            "'a' holds values other than 0 and 1",
        ),
    ],
)
def test_anything_else_is_refused(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message):
        read_released_mask(path, SHAPES)


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"garbage", b"cos\nsystem\n(S'x'\ntR."])
def test_a_file_that_is_no_pickle_of_arrays_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a mask"):
        read_released_mask(path, SHAPES)
