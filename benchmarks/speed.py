"""Training speed beside DeepCTR-Torch, and what MLoRA's layers cost.

`python -m benchmarks.speed` measures, on the CPU,
1. training rows/s of both libraries on the same model and rows, each through the `fit` that its
   users call, in rounds that alternate between the two in one process, and with the peer in a
   process of its own;
2. seconds per epoch (training and validation, as in `fit`) of each variant of the nine backbones,
   again in alternating rounds.
It writes reports/benchmarks/speed.json and speed.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import peer, results
from benchmarks.data import movielens_or_random, part_of
from benchmarks.pages import speed_page
from benchmarks.timing import epoch_costs, side_by_side
from mlorakit import paths
from mlorakit.models import BACKBONES
from mlorakit.runtime import prepare

DATASETS = {"movielens": 2, "movielens_occupation": 21}
"""Data sets of the second part, and their number of domains."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--reports", type=Path, default=results.folder())
    parser.add_argument("--processed", type=Path, default=paths.processed_dir("movielens").parent)
    parser.add_argument("--backbones", nargs="*", default=["deepfm"], choices=peer.CLASSES)
    parser.add_argument("--steps", type=int, default=200, help="per round, side by side")
    parser.add_argument("--rounds", type=int, default=9, help="side by side")
    parser.add_argument("--epoch-backbones", nargs="*", default=[*BACKBONES], choices=BACKBONES)
    parser.add_argument("--epoch-rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of an epoch")
    return parser.parse_args(arguments)


def measure(args: argparse.Namespace) -> None:
    """Measure both parts, writing what is there after each piece."""
    data = {name: movielens_or_random(args.processed / name, d) for name, d in DATASETS.items()}
    found: dict[str, Any] = {
        "environment": results.environment(),
        "steps": args.steps,
        "share": args.share,
        "data": {name: value.name for name, value in data.items()},
        "training": {},
        "epochs": {},
    }

    def store(part: str) -> None:
        print(f"{part}: done", flush=True)
        results.write_json(args.reports / "speed.json", found)
        results.write_text(args.reports / "speed.md", speed_page(found))

    for backbone in args.backbones:
        folder = args.processed / "movielens"
        rates = side_by_side(backbone, folder, args.steps, args.rounds)
        found["training"][backbone] = rates
        store(f"{backbone} beside DeepCTR-Torch")
    for name, whole in data.items():
        rows = (round(args.share * len(split)) for split in (whole.train, whole.validation))
        part = part_of(whole, *rows)
        for backbone in args.epoch_backbones:
            costs = epoch_costs(backbone, part, args.epoch_rounds)
            found["epochs"].setdefault(name, {})[backbone] = costs
            store(f"epochs of {backbone} on {name}")


def main() -> None:
    """Measure and write both parts."""
    args = parse()
    prepare("cpu", args.threads)  # as the pipeline does before a fit
    try:
        measure(args)
    except peer.PeerMissingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
