"""What the speed benchmark times."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import peer
from benchmarks.data import VALIDATION_BATCHES, movielens_or_random, part_of
from benchmarks.peer_worker import PeerWorker
from mlorakit.cells import make_model
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData
from mlorakit.models import VARIANTS, Backbone
from mlorakit.training import FitSettings, fit


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def our_epoch(model: Backbone, data: MultiDomainData, config: TrainConfig) -> float:
    """Seconds of mlorakit's `fit` for one epoch."""
    settings = FitSettings(
        seed=1,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        l2=config.l2,
        max_epochs=1,
    )
    return seconds(lambda: fit(model, data, settings))


def side_by_side(backbone: str, folder: Path, steps: int, rounds: int) -> dict[str, list[float]]:
    """Training rows/s of each round, per side; a first round of each is not counted.

    Args:
        backbone: that both libraries have.
        folder: of the processed data set; random ids if it is not there.
        steps: of a round.
        rounds: that count.
    """
    config = TrainConfig.of(backbone=backbone, variant="base")
    data = part_of(
        movielens_or_random(folder, 2),
        steps * config.batch_size,
        VALIDATION_BATCHES * config.batch_size,
    )
    ours, theirs = make_model(config, data, seed=1), peer.build(config, data, seed=1)
    x, y = peer.columns(data.train)
    with PeerWorker(backbone, folder, steps, torch.get_num_threads()) as worker:
        sides = {
            "mlorakit": lambda: our_epoch(ours, data, config),
            "deepctr_torch": lambda: seconds(
                lambda: peer.fit_once(theirs, x, y, config.batch_size)
            ),
            "deepctr_torch_alone": worker.fit,
        }
        rounds_seconds = [{side: run() for side, run in sides.items()} for _ in range(rounds + 1)]
    return {side: [len(data.train) / taken[side] for taken in rounds_seconds[1:]] for side in sides}


def epoch_costs(backbone: str, data: MultiDomainData, rounds: int) -> dict[str, list[float]]:
    """Seconds per epoch of each round, per variant."""
    configs = {v: TrainConfig.of(backbone=backbone, variant=v) for v in VARIANTS}
    models = {v: make_model(config, data, seed=1) for v, config in configs.items()}
    warm_up = part_of(data, 20 * 1024, 2 * 1024)
    for variant, model in models.items():
        our_epoch(model, warm_up, configs[variant])
    times: dict[str, list[float]] = {v: [] for v in VARIANTS}
    for _ in range(rounds):
        for variant, model in models.items():
            times[variant].append(our_epoch(model, data, configs[variant]))
    return times
