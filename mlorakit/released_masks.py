"""Masks in the layout of LT4REC's released code: pickles of float arrays.

`single/chk_points/<task>/mask/<k>_<rate>%.pkl` holds round k of a task, `mtl/mask/<task>.pkl` the
chosen one, with the tasks named 0 (click) and 1 (conversion). A file is a pickle of
{"mask": {variable name: 0-or-1 float array of shape (n_in, n_out)}, "pruning_time": k}.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlorakit.data.rows import DataError
from mlorakit.data.tasks import TASKS
from mlorakit.models.lt4rec import Mask
from mlorakit.whole import whole_file

# All that a pickle of NumPy arrays, dicts, strings and numbers needs; nothing here runs code.
_ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),  # written by NumPy 1
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),  # protocol 5
    ("numpy.core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # bytes, written by Python 2 or with a low protocol
}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler of arrays and plain containers: any other class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def read_released_mask(path: Path, shapes: dict[str, tuple[int, int]]) -> tuple[Mask, int]:
    """A mask of the released layout.

    Variables are told apart by shape: the released names depend on TensorFlow's scopes.

    Args:
        path: of the pickle.
        shapes: (n_out, n_in) of each prunable weight by its name here.

    Returns:
        The mask, and the number of the round it comes from.

    Raises:
        DataError: the file is no such pickle, asks for anything but arrays and plain containers, or
            its arrays do not fit the network.
    """
    try:
        # Python 2's strings decode as latin-1, which NumPy needs for the bytes of an array.
        content = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as a mask of LT4REC's released layout: {error}. Only arrays, "
            "dicts, lists, strings and numbers are taken from a pickle."
        ) from None
    if not (isinstance(content, dict) and isinstance(content.get("mask"), dict)):
        raise DataError(
            f"{path} holds no dict with a dict 'mask'; write it as the released code does."
        )
    number = content.get("pruning_time", 0)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DataError(f"{path}: 'pruning_time' is {number!r}, not a whole number from 0.")
    left = dict(content["mask"])
    mask = {}
    for name, (n_out, n_in) in shapes.items():
        found = [key for key, array in left.items() if np.shape(array) == (n_in, n_out)]
        if len(found) != 1:
            raise DataError(
                f"{path} has {len(found)} arrays of shape {(n_in, n_out)} for {name}, not one; it "
                f"holds { ({key: np.shape(array) for key, array in content['mask'].items()}) }."
            )
        array = np.asarray(left.pop(found[0]))
        if array.dtype.kind not in "fiub" or not np.isin(array, (0, 1)).all():
            raise DataError(f"{path}: variable {found[0]!r} holds values other than 0 and 1.")
        mask[name] = torch.from_numpy(array.astype("float32").T.copy())
    if left:
        raise DataError(
            f"{path} has variables that the network does not: {', '.join(map(str, left))}."
        )
    return mask, number


def write_released_mask(path: Path, mask: Mask, number: int) -> None:
    """Write a mask as the released code does, under the names of its weights here."""
    arrays = {name: part.cpu().numpy().astype("float32").T.copy() for name, part in mask.items()}
    with whole_file(path) as temporary:
        temporary.write_bytes(pickle.dumps({"mask": arrays, "pruning_time": number}, protocol=2))


def round_path(folder: Path, task: str, number: int, share: float) -> Path:
    """Where the released code puts round `number` of a task, which keeps `share` of the weights."""
    return folder / "single/chk_points" / task / "mask" / f"{number}_{100 * share:.2f}%.pkl"


def chosen_path(folder: Path, task: str) -> Path:
    """Where the released code looks for a task's chosen mask."""
    return folder / "mtl/mask" / f"{TASKS.index(task)}.pkl"
