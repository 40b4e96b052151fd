"""DeepCTR-Torch's models and its own training loop, under this project's settings."""

import importlib
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers import PEERS, require
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData, Rows

CLASSES = {
    "deepfm": "DeepFM",
    "wdl": "WDL",
    "pnn": "PNN",
    "dcn": "DCN",
    "nfm": "NFM",
    "fibinet": "FiBiNET",
    "autoint": "AutoInt",
    "xdeepfm": "xDeepFM",
}
"""DeepCTR-Torch's class of each backbone that both libraries have."""

OPTIONS: dict[str, dict] = {
    "pnn": {"use_inner": True, "use_outter": False},
    "dcn": {"cross_num": 2, "cross_parameterization": "vector"},
    "fibinet": {"bilinear_type": "interaction", "reduction_ratio": 3},
    # Its attention is as wide as the embeddings, so 4 heads share the K values.
    "autoint": {"att_layer_num": 3, "att_head_num": 4, "att_res": True},
    "xdeepfm": {"cin_layer_size": (128, 128), "cin_split_half": True},
}

NOTES = {
    "dcn": "also has L2 on the output layer, at the strength of the linear weights",
    "autoint": "its heads split the embedding: at K = 8, 4 heads of size 2 (ours: 4 heads of "
    "size 8); no L2 on the linear weights",
}
"""How a model of DeepCTR-Torch differs from ours beyond what holds for all (`COMMON_NOTES`)."""

COMMON_NOTES = (
    "DeepCTR-Torch sums its loss over a batch, so that its L2 term weighs one over the batch size "
    "of what it weighs beside TensorFlow deepctr's mean loss.",
    "DeepCTR-Torch draws the MLP's and the linear weights from N(0, 1e-4^2); TensorFlow deepctr "
    "and mlorakit start the MLP with Glorot-normal and the linear weights with zero.",
)

Columns = dict[str, NDArray[np.integer]]


def available() -> bool:
    """Whether DeepCTR-Torch is installed."""
    return PEERS["deepctr_torch"].available()


def version() -> str:
    """Version of DeepCTR-Torch."""
    return PEERS["deepctr_torch"].version()


def library() -> ModuleType:
    """DeepCTR-Torch's models, imported without its look-up of newer releases.

    Raises:
        PeerMissingError: it is not installed.
    """
    require("deepctr_torch", "deepctr-torch")
    # On import the package asks PyPI for newer releases, in a thread, and prints advice. Nothing
    # else is in the module that does so, so a stand-in for it is enough.
    silent = ModuleType("deepctr_torch.utils")
    silent.check_version = lambda version: None  # type: ignore[attr-defined]
    sys.modules.setdefault(silent.__name__, silent)
    importlib.import_module("deepctr_torch")
    return importlib.import_module("deepctr_torch.models")


def columns(split: Rows) -> tuple[Columns, NDArray[np.float32]]:
    """A split as DeepCTR-Torch takes it: an array of ids per field, and the labels."""
    ids = split.ids.numpy()
    return {f"field{i}": ids[:, i] for i in range(ids.shape[1])}, split.label.numpy()


def build(config: TrainConfig, data: MultiDomainData, seed: int, device: str = "cpu") -> Any:
    """DeepCTR-Torch's model of `config.backbone`, compiled once so that Adam's state survives."""
    models = library()
    sparse = importlib.import_module("deepctr_torch.inputs").SparseFeat
    fields = [
        sparse(f"field{i}", size, config.embedding_size) for i, size in enumerate(data.field_sizes)
    ]
    has_linear = config.backbone != "pnn"
    options = dict(OPTIONS.get(config.backbone, {}))
    if has_linear and config.backbone != "autoint":  # AutoInt fixes its own at 0
        options["l2_reg_linear"] = config.l2
    if config.backbone == "dcn":
        options["l2_reg_cross"] = config.l2
    model = getattr(models, CLASSES[config.backbone])(
        *([fields, fields] if has_linear else [fields]),
        dnn_hidden_units=tuple(config.hidden),
        dnn_dropout=config.dropout,
        l2_reg_embedding=config.l2,
        seed=seed,
        device="cuda:0" if device == "cuda" else "cpu",
        **options,
    )
    adam = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    model.compile(adam, "binary_crossentropy")
    return model


def fit_once(model: Any, x: Columns, y: NDArray[np.float32], batch_size: int) -> None:
    """One pass over the rows by the library's `fit`."""
    with redirect_stdout(io.StringIO()):  # it prints the device and the number of rows
        model.fit(dict(x), y, batch_size=batch_size, epochs=1, verbose=0)


def predict(model: Any, x: Columns) -> torch.Tensor:
    """Probabilities of rows by the library's `predict`."""
    return torch.from_numpy(model.predict(dict(x), batch_size=8192)[:, 0])


def trainer(
    config: TrainConfig, data: MultiDomainData, folder: Path, device: str
) -> Callable[[], None]:
    """See `benchmarks.peers.Peer.trainer`."""
    model = build(config, data, 1, device)
    x, y = columns(data.train)
    return lambda: fit_once(model, x, y, config.batch_size)
