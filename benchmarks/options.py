"""Options that all benchmarks share."""

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks import results
from mlorakit import paths

QUICK_FOLDER = ("build", "benchmarks")
"""Where `--quick` writes, so that it never replaces a measurement."""


def add_shared(parser: argparse.ArgumentParser) -> None:
    """Add what every benchmark and the runner take."""
    parser.add_argument(
        "--quick", action="store_true", help="little of all: shows that it runs, measures nothing"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--note", default="", help="what the page says of the machine")
    parser.add_argument(
        "--reports",
        type=Path,
        default=results.folder(),
        help=f"folder of the results; with --quick {'/'.join(QUICK_FOLDER)}",
    )


def make_parser(
    name: str, description: str | None, *, device: bool = False
) -> argparse.ArgumentParser:
    """A benchmark's parser with the shared options.

    Args:
        name: of the module in `benchmarks`.
        description: the module's docstring.
        device: whether it can run on a GPU too.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    add_shared(parser)
    if device:
        parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    return parser


def parse(
    parser: argparse.ArgumentParser, arguments: list[str] | None, quick: dict[str, Any]
) -> argparse.Namespace:
    """The command line.

    Args:
        parser: see `make_parser`.
        arguments: instead of those of the process.
        quick: defaults that `--quick` puts in place of the parser's; an option given wins.
    """
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(reports=paths.root().joinpath(*QUICK_FOLDER), **quick)
    args = parser.parse_args(arguments)
    if getattr(args, "device", "cpu") == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; leave --device out to measure on the CPU.")
    return args


def file_stem(name: str, device: str) -> str:
    """Name of a benchmark's files: of a run on a GPU one of its own."""
    return name if device == "cpu" else f"{name}_{device}"
