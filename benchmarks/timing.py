"""What the speed benchmark times."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numba
import torch

from benchmarks.data import VALIDATION_BATCHES, movielens_or_random, part_of
from benchmarks.peer_worker import PeerWorker
from benchmarks.peers import PEERS
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


@contextmanager
def torch_threads() -> Iterator[None]:
    """PyTorch has as many threads as the compiled kernels, as who calls it expects; `prepare`
    leaves it one.
    """
    torch.set_num_threads(numba.get_num_threads())
    try:
        yield
    finally:
        torch.set_num_threads(1)


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


def side_by_side(
    backbone: str, folder: Path, steps: int, rounds: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """Training rows/s of each round, per side; a first round of each is not counted.

    Sides are `mlorakit`, each peer that has the backbone, in a process of its own, with `_alone`
    at its name's end, and on a CPU `deepctr_torch` once more in the process of mlorakit.

    Args:
        backbone: one of the nine.
        folder: of the processed data set; random ids if it is not there.
        steps: of a round.
        rounds: that count.
        device: `cpu` or `cuda`.

    Raises:
        PeerMissingError: a peer is not installed.
    """
    config = TrainConfig.of(backbone=backbone, variant="base")
    data = part_of(
        movielens_or_random(folder, 2),
        steps * config.batch_size,
        VALIDATION_BATCHES * config.batch_size,
    )
    shared = [name for name, peer in PEERS.items() if backbone in peer.backbones]
    ours = make_model(config, data, seed=1).to(device)
    on_device = data.to(torch.device(device))
    sides: dict[str, Callable[[], float]] = {"mlorakit": lambda: our_epoch(ours, on_device, config)}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        # On a GPU our process asks for deterministic kernels, which a peer need not have.
        if "deepctr_torch" in shared and device == "cpu":
            train = PEERS["deepctr_torch"].trainer(config, data, scratch, device)
            sides["deepctr_torch"] = torch_threads()(lambda: seconds(train))
        for name in shared:
            PEERS[name].version()  # says that it is missing before its process does
            threads = numba.get_num_threads()
            worker = PeerWorker(name, backbone, folder, steps, threads, device)
            sides[f"{name}_alone"] = stack.enter_context(worker).fit
        taken = [{side: run() for side, run in sides.items()} for _ in range(rounds + 1)]
    return {side: [len(data.train) / times[side] for times in taken[1:]] for side in sides}


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
