"""Training speed beside other libraries, and what MLoRA's layers cost.

`python -m benchmarks.speed` measures
1. training rows/s of mlorakit, DeepCTR-Torch, torch-rechub and FuxiCTR on the same model and rows,
   each through the training loop that its users call, in rounds in which all take turns; each peer
   in a process of its own, DeepCTR-Torch in mlorakit's too;
2. on the CPU, seconds per epoch (training and validation, as in `fit`) of each variant of the nine
   backbones, again in alternating rounds.
It writes reports/benchmarks/speed.json and speed.md, or speed_cuda.json and speed_cuda.md,
replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks import options, results
from benchmarks.data import movielens_or_random, share_of
from benchmarks.peers import PEERS, PeerMissingError
from benchmarks.speed_pages import speed_page
from benchmarks.timing import epoch_costs, side_by_side
from mlorakit import paths
from mlorakit.models import BACKBONES
from mlorakit.runtime import prepare

DATASETS = {"movielens": 2, "movielens_occupation": 21}
"""Data sets of the second part, and their number of domains."""


QUICK: dict[str, Any] = {
    "backbones": ["mlp", "deepfm"],
    "steps": 2,
    "rounds": 1,
    "epoch_backbones": ["mlp"],
    "epoch_rounds": 1,
    "share": 0.005,
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("speed", __doc__, device=True)
    parser.add_argument("--processed", type=Path, default=paths.processed_dir("movielens").parent)
    parser.add_argument("--backbones", nargs="*", default=[*BACKBONES], choices=BACKBONES)
    parser.add_argument("--steps", type=int, default=200, help="per round, side by side")
    parser.add_argument("--rounds", type=int, default=7, help="side by side")
    parser.add_argument("--epoch-backbones", nargs="*", default=[*BACKBONES], choices=BACKBONES)
    parser.add_argument("--epoch-rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of an epoch")
    return options.parse(parser, arguments, QUICK)


def measure(args: argparse.Namespace) -> None:
    """Measure both parts, writing what is there after each piece.

    Raises:
        PeerMissingError: a library to compare with is not installed.
    """
    data = {name: movielens_or_random(args.processed / name, d) for name, d in DATASETS.items()}
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "device": args.device,
        "peers": {name: peer.version() for name, peer in PEERS.items() if args.backbones},
        "steps": args.steps,
        "share": args.share,
        "data": {name: value.name for name, value in data.items()},
        "training": {},
        "epochs": {},
    }

    def store(part: str) -> None:
        print(f"{part}: done", flush=True)
        stem = options.file_stem("speed", args.device)
        results.store(args.reports, stem, found, speed_page(found))

    for backbone in args.backbones:
        folder = args.processed / "movielens"
        rates = side_by_side(backbone, folder, args.steps, args.rounds, args.device)
        found["training"][backbone] = rates
        store(f"{backbone} beside its peers")
    if args.device != "cpu":
        return
    for name, whole in data.items():
        part = share_of(whole, args.share)
        for backbone in args.epoch_backbones:
            costs = epoch_costs(backbone, part, args.epoch_rounds)
            found["epochs"].setdefault(name, {})[backbone] = costs
            store(f"epochs of {backbone} on {name}")


def main(arguments: list[str] | None = None) -> None:
    """Measure and write both parts."""
    args = parse(arguments)
    prepare(args.device, args.threads)  # as the pipeline does before a fit
    try:
        measure(args)
    except PeerMissingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
