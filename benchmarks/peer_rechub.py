"""torch-rechub's models and its own training loop, under this project's settings."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.ranking import DCN, AutoInt, DeepFM, FiBiNet, WideDeep
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator

from benchmarks.peer import columns
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData


def build(config: TrainConfig, data: MultiDomainData) -> nn.Module:
    """torch-rechub's model of `config.backbone`, sized as ours is."""
    fields = [
        SparseFeature(f"field{i}", vocab_size=size, embed_dim=config.embedding_size)
        for i, size in enumerate(data.field_sizes)
    ]
    mlp: dict[str, Any] = {
        "dims": [*config.hidden],
        "dropout": config.dropout,
        "activation": "relu",
    }
    makers: dict[str, Callable[[], nn.Module]] = {
        "wdl": lambda: WideDeep(fields, fields, mlp),
        "deepfm": lambda: DeepFM(fields, fields, mlp),
        "dcn": lambda: DCN(fields, 2, mlp),
        "fibinet": lambda: FiBiNet(fields, mlp, reduction_ratio=3),
        "autoint": lambda: AutoInt(fields, [], num_layers=3, num_heads=4, mlp_params=mlp),
    }
    return makers[config.backbone]()


def trainer(
    config: TrainConfig, data: MultiDomainData, folder: Path, device: str
) -> Callable[[], None]:
    """See `benchmarks.peers.Peer.trainer`.

    Batches come from its `DataGenerator` without worker processes, which is its default.
    """
    torch.manual_seed(1)
    x, y = columns(data.train)
    x_validation, y_validation = columns(data.validation)
    loader, _, _ = DataGenerator(x, y).generate_dataloader(
        x_val=x_validation,
        y_val=y_validation,
        x_test=x_validation,
        y_test=y_validation,
        batch_size=config.batch_size,
    )
    library = CTRTrainer(
        build(config, data),
        optimizer_params={"lr": config.learning_rate},
        regularization_params={"embedding_l2": config.l2},
        n_epoch=1,
        device="cuda:0" if device == "cuda" else "cpu",
        model_path=str(folder),
    )

    def train() -> None:
        silent = io.StringIO()  # it prints a bar, and the epoch's number
        with redirect_stdout(silent), redirect_stderr(silent):
            library.fit(loader)

    return train
