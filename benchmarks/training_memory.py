"""Memory that training takes beyond its imports.

`python -m benchmarks.training_memory` trains an epoch of each backbone in a process of its own and
reads the process's peak before and after; peers do the same. It writes
reports/benchmarks/training_memory.json and training_memory.md, replacing those of an earlier run.
"""

import argparse
import importlib
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import options, results
from benchmarks.cost_pages import training_memory_page
from benchmarks.data import movielens_or_random, share_of
from benchmarks.memory import peak_memory
from benchmarks.peers import PEERS, PeerMissingError
from benchmarks.timing import our_epoch
from mlorakit import paths
from mlorakit.cells import make_model
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData
from mlorakit.models import BACKBONES
from mlorakit.runtime import prepare
from mlorakit.training import evaluate

OURS = ("base", "mlora")
"""The variants that are measured."""


def training_peak(
    side: str, backbone: str, folder: Path, share: float, threads: int
) -> dict[str, int]:
    """Peak memory in bytes after the `imports` and after an epoch (`peak`).

    For a process that has done nothing else: a peak is never forgotten.

    Args:
        side: a variant of ours, or a key of `PEERS`.
        backbone: one of the nine.
        folder: of the processed data set; random ids if it is not there.
        share: of its rows.
        threads: that torch computes with.
    """
    if side in PEERS:
        importlib.import_module(PEERS[side].code)
        if side == "deepctr_torch":
            importlib.import_module("benchmarks.peer").library()
    imports = peak_memory()
    config = TrainConfig.of(backbone=backbone, variant="base" if side in PEERS else side)
    whole = movielens_or_random(folder, 2)
    data = share_of(whole, share)
    if side in PEERS:
        with TemporaryDirectory() as scratch:
            PEERS[side].trainer(config, data, Path(scratch), "cpu")()
    else:
        prepare("cpu", threads)
        _train(config, data)
    return {"imports": imports, "peak": peak_memory()}


def _train(config: TrainConfig, data: MultiDomainData) -> None:
    """What a cell does with a seed: an epoch, then validation and test scores."""
    model = make_model(config, data, seed=1)
    our_epoch(model, data, config)
    evaluate(model, data.validation)
    evaluate(model, data.test)


def in_own_process(*arguments: Any) -> dict[str, int]:
    """`training_peak` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(training_peak, *arguments).result()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("training_memory", __doc__)
    parser.add_argument("--folder", type=Path, default=paths.processed_dir("movielens"))
    parser.add_argument("--backbones", nargs="*", default=[*BACKBONES], choices=BACKBONES)
    parser.add_argument("--peer-backbones", nargs="*", default=["deepfm"], choices=BACKBONES)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows")
    quick = {"backbones": ["mlp"], "peer_backbones": ["deepfm"], "share": 0.005}
    return options.parse(parser, arguments, quick)


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results, those that are there after each process.

    Raises:
        PeerMissingError: a peer is not installed.
    """
    sides = [(side, backbone) for backbone in args.backbones for side in OURS]
    for name, peer in PEERS.items():
        for backbone in args.peer_backbones:
            if backbone in peer.backbones:
                peer.version()
                sides.append((name, backbone))
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "share": args.share,
        "data": "movielens" if args.folder.is_dir() else "random ids",
        "bytes": {},
    }
    for side, backbone in sides:
        taken = in_own_process(side, backbone, args.folder, args.share, args.threads)
        found["bytes"].setdefault(backbone, {})[side] = taken
        print(f"{backbone}, {side}: done", flush=True)
        results.store(args.reports, "training_memory", found, training_memory_page(found))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    try:
        measure(args)
    except PeerMissingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
