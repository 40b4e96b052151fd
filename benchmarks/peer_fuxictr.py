"""FuxiCTR's training loop and data loader, under this project's settings."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.torch_utils import seed_everything

from benchmarks.fuxictr_models import Network
from benchmarks.peer import columns
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData, Rows

DATASET, LABEL = "bench", "label"


def feature_map(config: TrainConfig, data: MultiDomainData, folder: Path) -> FeatureMap:
    """FuxiCTR's description of the fields."""
    described = FeatureMap(DATASET, str(folder))
    described.features = OrderedDict(
        (f"field{i}", {"type": "categorical", "source": "", "vocab_size": size})
        for i, size in enumerate(data.field_sizes)
    )
    described.labels = [LABEL]
    described.default_emb_dim = config.embedding_size
    described.num_fields = described.get_num_fields()
    described.set_column_index()
    return described


def write_split(split: Rows, path: Path) -> str:
    """A split in the form that its loader reads into memory; returns the path."""
    ids, label = columns(split)
    np.savez(path, **ids, **{LABEL: label})  # type: ignore[arg-type]
    return str(path)


def trainer(
    config: TrainConfig, data: MultiDomainData, folder: Path, device: str
) -> Callable[[], None]:
    """See `benchmarks.peers.Peer.trainer`.

    Rows come from its loader of npz files, in memory and without worker processes: on two cores
    these take more from the training than they give. Its loader of parquet files starts a Ray
    cluster for each pass and is slower still.
    """
    seed_everything(1)
    (folder / DATASET).mkdir(exist_ok=True)  # where its loop saves the weights
    fields = feature_map(config, data, folder)
    train_rows, validation_rows = RankDataLoader(
        fields,
        stage="train",
        train_data=write_split(data.train, folder / "train.npz"),
        valid_data=write_split(data.validation, folder / "valid.npz"),
        batch_size=config.batch_size,
        shuffle=True,
        data_format="npz",
        num_workers=0,
    )
    model = Network(
        fields,
        config,
        gpu=0 if device == "cuda" else -1,
        verbose=0,
        model_root=str(folder),
        metrics=["AUC"],
    )
    return lambda: model.fit(train_rows, epochs=1, validation_data=validation_rows)
