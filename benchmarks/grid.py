"""Seconds of training the whole MovieLens table: nine backbones, three variants, five seeds.

`python -m benchmarks.grid --device cuda` runs train.ipynb's cell of training once for each cell of
the table, without kernels' starts, figures and files. On a CPU it takes hours and has no target, so
there it runs only when it is named. It writes reports/benchmarks/grid.json and grid.md, or
grid_cuda.json and grid_cuda.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
from pathlib import Path
from typing import Any

from benchmarks import options, results
from benchmarks.cost_pages import grid_page
from benchmarks.data import movielens_or_random, share_of
from benchmarks.seeds import Cell, cell_configs, store_cell, training_cell
from benchmarks.timing import seconds
from mlorakit import paths
from mlorakit.models import BACKBONES, VARIANTS
from mlorakit.runtime import prepare


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("grid", __doc__, device=True)
    parser.add_argument("--processed", type=Path, default=paths.processed_dir("movielens").parent)
    parser.add_argument("--backbones", nargs="+", default=[*BACKBONES], choices=BACKBONES)
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS], choices=VARIANTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-epochs", type=int, default=0, help="0 for no cap")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows")
    quick = {"backbones": ["mlp"], "seeds": 2, "max_epochs": 1, "share": 0.01}
    return options.parse(parser, arguments, quick)


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results, those that are there after each cell."""
    data = share_of(movielens_or_random(args.processed / "movielens", 2), args.share)
    source = training_cell(paths.root() / "notebooks" / "train.ipynb")
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "device": args.device,
        "data": data.name,
        "share": args.share,
        "seeds": args.seeds,
        "max_epochs": args.max_epochs,
        "cells": {},
    }
    seeds = tuple(range(1, args.seeds + 1))
    for config in cell_configs(args, seeds=seeds, max_epochs=args.max_epochs):
        cell = Cell(config, data, source)
        taken = seconds(cell.run)
        epochs = sum(len(history) for history in cell.histories().values())
        costs = {"seconds": taken, "epochs": epochs}
        store_cell(args, "grid", config, costs, found, grid_page)
        print(f"{config.backbone} {config.variant}: {taken:.1f} s", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    prepare(args.device, args.threads)
    measure(args)


if __name__ == "__main__":
    main()
