"""`python -m mlorakit.data fetch SOURCE [--into DIR]`: fetch a source's raw files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlorakit.data.prepare import GENERATORS, prepare_raw
from mlorakit.data.rows import DataError
from mlorakit.data.sources import SOURCES, FetchError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments; those of the process if None.

    Returns:
        The exit status: 0, or 1 where the files cannot be had.
    """
    parser = argparse.ArgumentParser(prog="python -m mlorakit.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="fetch a source's raw files and verify them")
    fetching.add_argument(
        "source",
        metavar="SOURCE",
        help=f"one of: {', '.join(sorted((*SOURCES, *GENERATORS)))}",
    )
    fetching.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="the folder for the files (default: data/raw/SOURCE in the project)",
    )
    options = parser.parse_args(arguments)
    try:
        folder = prepare_raw(options.source, options.into)
    except (FetchError, DataError) as error:
        print(error, file=sys.stderr)
        return 1
    names = ", ".join(sorted(path.name for path in folder.iterdir()))
    print(f"{options.source}: {names} in place and verified.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
