"""Training one of DeepCTR-Torch's models to its best validation score."""

import copy
import hashlib
import json
from typing import Any

import torch

from benchmarks import peer
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData
from mlorakit.data.splits import SPLITS
from mlorakit.metrics import auc, domain_auc, mean_auc, weighted_auc

SETTINGS = (
    "embedding_size",
    "hidden",
    "dropout",
    "batch_size",
    "learning_rate",
    "l2",
    "patience",
    "max_epochs",
)
"""The settings that both sides share."""


def data_hash(data: MultiDomainData) -> str:
    """SHA-256 of the ids and labels of all splits: what a result depends on."""
    digest = hashlib.sha256()
    for part in SPLITS:
        split = getattr(data, part)
        digest.update(split.ids.numpy().tobytes() + split.label.numpy().tobytes())
    return digest.hexdigest()


def key_of(config: TrainConfig, fingerprint: str, seed: int, version: str) -> dict[str, Any]:
    """What must be equal for a stored result to be this run's.

    Args:
        config: its shared settings enter.
        fingerprint: of the data, see `data_hash`.
        seed: of the peer's weights and batches.
        version: of DeepCTR-Torch.
    """
    settings = {name: getattr(config, name) for name in SETTINGS}
    key = {"deepctr_torch": version, "data": fingerprint, "seed": seed, "settings": settings}
    return json.loads(json.dumps(key))  # as it reads back from a file


def is_done(stored: dict[str, Any], key: dict[str, Any]) -> bool:
    """Whether a stored result was made by the same library, data, seed and settings."""
    return all(stored.get(name) == value for name, value in key.items())


def train_peer(config: TrainConfig, data: MultiDomainData, seed: int) -> dict[str, Any]:
    """Train DeepCTR-Torch's model with early stopping on the mean of the domains' validation AUCs.

    The library's own callback is not used: it watches one metric over all rows.

    Returns:
        Test WAUC and AUC of the best epoch, and the validation AUC of every epoch.
    """
    model = peer.build(config, data, seed)
    x_train, y_train = peer.columns(data.train)
    x_validation, _ = peer.columns(data.validation)
    history: list[float] = []
    best, best_epoch, weights = float("-inf"), 0, copy.deepcopy(model.state_dict())
    while len(history) - best_epoch < config.patience and len(history) != (config.max_epochs or -1):
        peer.fit_once(model, x_train, y_train, config.batch_size)
        score = peer.predict(model, x_validation)
        aucs = domain_auc(score, data.validation.label, data.validation.groups)
        history.append(mean_auc(aucs))
        if history[-1] > best:
            best, best_epoch = history[-1], len(history)
            weights = copy.deepcopy(model.state_dict())
        print(
            f"{config.backbone}: epoch {len(history)}, validation AUC {history[-1]:.5f}", flush=True
        )
    model.load_state_dict(weights)
    score = peer.predict(model, peer.columns(data.test)[0])
    aucs = domain_auc(score, data.test.label, data.test.groups)
    rows = torch.bincount(data.test.groups.domain, minlength=data.n_domains).tolist()
    return {
        "test_wauc": weighted_auc(aucs, rows),
        "test_auc": auc(score, data.test.label),
        "test_domain_auc": dict(zip(data.domains, aucs, strict=True)),
        "best_epoch": best_epoch,
        "validation_mean_auc": history,
    }
