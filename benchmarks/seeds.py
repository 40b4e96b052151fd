"""What five seeds of a cell cost beside one.

`python -m benchmarks.seeds` runs the cell of train.ipynb that trains, as it stands, with one seed
and with several, in rounds in which the two take turns, and checks that a seed's history is the
same in both. It writes reports/benchmarks/seeds.json and seeds.md, or seeds_cuda.json and
seeds_cuda.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
import ast
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import nbformat

from benchmarks import options, results
from benchmarks.cost_pages import seeds_page
from benchmarks.data import movielens_or_random, share_of
from benchmarks.timing import seconds
from mlorakit import paths
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData
from mlorakit.models import BACKBONES, VARIANTS
from mlorakit.runtime import prepare

RESULTS = "results"
"""The variable that train.ipynb's cell of training fills, a result per seed."""


def training_cell(notebook: Path) -> str:
    """Source of the cell of a notebook that assigns `results`.

    Raises:
        ValueError: no cell does, or several do.
    """
    cells = [c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]
    found = [source for source in cells if RESULTS in _assigned(source)]
    if len(found) != 1:
        raise ValueError(f"{notebook} has {len(found)} cells that assign {RESULTS}; one is needed.")
    return found[0]


def _assigned(source: str) -> set[str]:
    """Names that a cell's own lines assign."""
    return {
        target.id
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


class Cell:
    """The training of a cell of the grid, by the notebook's own code.

    Args:
        config: of the cell.
        data: to train on.
        source: see `training_cell`.
    """

    def __init__(self, config: TrainConfig, data: MultiDomainData, source: str) -> None:
        self._names: dict[str, Any] = {"settings": config, "data": data}
        self._code = compile(source, "train.ipynb", "exec")

    def run(self) -> None:
        """Train all seeds."""
        silent = io.StringIO()  # a line or a bar per epoch
        with redirect_stdout(silent), redirect_stderr(silent):
            exec(self._code, self._names)

    def histories(self) -> dict[int, Any]:
        """The epochs' records of each seed that ran."""
        return {result.seed: result.history for result in self._names[RESULTS]}


def cell_configs(args: argparse.Namespace, **settings: Any) -> Iterator[TrainConfig]:
    """A cell's config for each backbone and variant of a command line.

    Args:
        args: with `backbones`, `variants`, `device` and `threads`.
        settings: that all cells share besides.
    """
    for backbone in args.backbones:
        for variant in args.variants:
            yield TrainConfig.of(
                backbone=backbone,
                variant=variant,
                device=args.device,
                threads=args.threads,
                **settings,
            )


def store_cell(
    args: argparse.Namespace,
    name: str,
    config: TrainConfig,
    costs: dict[str, Any],
    found: dict[str, Any],
    page: Callable[[dict[str, Any]], str],
) -> None:
    """Add a cell's costs to what a benchmark of cells found, and write its files anew.

    Args:
        args: with `reports` and `device`.
        name: of the benchmark.
        config: of the cell.
        costs: of the cell.
        found: all so far; changed.
        page: makes the benchmark's page of it.
    """
    found["cells"].setdefault(config.backbone, {})[config.variant] = costs
    results.store(args.reports, options.file_stem(name, args.device), found, page(found))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("seeds", __doc__, device=True)
    parser.add_argument("--processed", type=Path, default=paths.processed_dir("movielens").parent)
    parser.add_argument("--backbones", nargs="+", default=["mlp", "deepfm"], choices=BACKBONES)
    parser.add_argument("--variants", nargs="+", default=["base", "mlora"], choices=VARIANTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="of each seed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of an epoch")
    quick = {"backbones": ["mlp"], "variants": ["mlora"], "seeds": 2, "rounds": 1, "share": 0.01}
    return options.parse(parser, arguments, quick)


def cell_costs(args: argparse.Namespace, config: TrainConfig, data: MultiDomainData) -> dict:
    """Seconds of each round with one seed and with all, and whether the first's history agrees.

    A first round of each is not counted.
    """
    source = training_cell(paths.root() / "notebooks" / "train.ipynb")
    cells = {
        str(count): Cell(_with_seeds(config, count), data, source) for count in (1, args.seeds)
    }
    taken = [
        {count: seconds(cell.run) for count, cell in cells.items()} for _ in range(args.rounds + 1)
    ]
    alone, among = (cell.histories()[1] for cell in cells.values())
    return {
        "seconds": {count: [times[count] for times in taken[1:]] for count in cells},
        "equal": alone == among,
    }


def _with_seeds(config: TrainConfig, count: int) -> TrainConfig:
    values = {name: getattr(config, name) for name in TrainConfig.__dataclass_fields__}
    return TrainConfig.of(**{**values, "seeds": tuple(range(1, count + 1))})


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results, those that are there after each cell."""
    data = share_of(movielens_or_random(args.processed / "movielens", 2), args.share)
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "device": args.device,
        "data": data.name,
        "seeds": args.seeds,
        "epochs": args.epochs,
        "share": args.share,
        "cells": {},
    }
    patience = args.epochs + 1  # all seeds train as long
    for config in cell_configs(args, max_epochs=args.epochs, patience=patience):
        costs = cell_costs(args, config, data)
        store_cell(args, "seeds", config, costs, found, seeds_page)
        print(f"{config.backbone} {config.variant}: done", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    prepare(args.device, args.threads)
    measure(args)


if __name__ == "__main__":
    main()
