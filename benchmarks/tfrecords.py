"""Speed of reading TFRecord files beside the package `tfrecord`.

`python -m benchmarks.tfrecords` repeats LT4REC's public sample in one file, gzip and plain, checks
that both sides read equal values from the sample, and reads the files in rounds that alternate
between the two. It writes reports/benchmarks/tfrecords.json and tfrecords.md, replacing those of an
earlier run.
"""

import argparse
import gzip
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import options, results
from benchmarks.pages import tfrecords_page
from benchmarks.peers import PeerMissingError, require
from benchmarks.timing import seconds
from mlorakit.data.prepare import prepare_raw
from mlorakit.data.rows import DataError
from mlorakit.data.sources import FetchError
from mlorakit.data.tfrecord import Feature, read_tfrecord

SOURCE, SAMPLE = "tencent", "part-r-00002.gz"
"""LT4REC's public sample: the source, and its file."""

NUMBERS = (Feature("label", "int64"), Feature("cvrlabel", "float"))
"""The sample's features that are not text."""


Rates = dict[str, list[float]]


def schema_of(sample: Path) -> list[Feature]:
    """The features of the sample; those that are no `NUMBERS` are text."""
    _, others = read_tfrecord(sample, NUMBERS)
    return [*(Feature(name, "bytes") for name in others), *NUMBERS]


def peers_records(path: Path, compression: str | None) -> Iterator[dict[str, Any]]:
    """The records as `tfrecord` reads them: a dict of values each.

    Raises:
        PeerMissingError: the package is not installed.
    """
    require("tfrecord", "tfrecord")
    loader = importlib.import_module("tfrecord.reader").tfrecord_loader
    return loader(str(path), None, None, compression_type=compression)


def differing(sample: Path, schema: list[Feature]) -> tuple[int, int]:
    """The number of lists that the two sides read differently, and of all."""
    frame, _ = read_tfrecord(sample, schema)
    pairs = [
        (row[name], [v.decode() if isinstance(v, bytes) else v for v in np.ravel(value).tolist()])
        for row, record in zip(
            frame.iter_rows(named=True), peers_records(sample, "gzip"), strict=True
        )
        for name, value in record.items()
    ]
    return sum(ours != theirs for ours, theirs in pairs), len(pairs)


def rates(path: Path, compression: str | None, schema: list[Feature], rounds: int) -> Rates:
    """Records/s of each round, per side; a first round of each is not counted.

    Args:
        path: of a file of the schema.
        compression: `gzip`, or None for a plain file.
        schema: the file's features, all of which are read.
        rounds: that count.
    """
    sides: dict[str, Callable[[], int]] = {
        "mlorakit": lambda: read_tfrecord(path, schema)[0].height,
        "tfrecord": lambda: sum(1 for _ in peers_records(path, compression)),  # keeps no record
    }
    (records,) = {read() for read in sides.values()}
    taken = [{side: seconds(read) for side, read in sides.items()} for _ in range(rounds)]
    return {side: [records / times[side] for times in taken] for side in sides}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("tfrecords", __doc__)
    parser.add_argument("--sample", type=Path, help="file; else it is fetched")
    parser.add_argument("--records", type=int, default=200_000, help="in a file, at least")
    parser.add_argument("--rounds", type=int, default=5)
    return options.parse(parser, arguments, {"records": 1, "rounds": 1})


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results."""
    sample = args.sample or prepare_raw(SOURCE) / SAMPLE
    schema = schema_of(sample)
    packed = sample.read_bytes()
    in_sample = read_tfrecord(sample, NUMBERS)[0].height
    copies = -(-args.records // in_sample)
    differ, lists = differing(sample, schema)
    found = {
        "environment": results.environment(),
        "versions": {name: importlib.metadata.version(name) for name in ("polars", "tfrecord")},
        "note": args.note,
        "records": copies * in_sample,
        "features": len(schema),
        "differ": differ,
        "lists": lists,
        "rates": {},
    }
    with TemporaryDirectory() as folder:
        for name, compression in (("gzip", "gzip"), ("plain", None)):
            path = Path(folder) / name
            path.write_bytes((packed if compression else gzip.decompress(packed)) * copies)
            found["rates"][name] = rates(path, compression, schema, args.rounds)
            print(f"{name}: done", flush=True)
    results.store(args.reports, "tfrecords", found, tfrecords_page(found))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    if args.sample is not None and not args.sample.is_file():
        sys.exit(f"{args.sample} is not there; leave --sample out to have the sample fetched.")
    try:
        measure(args)
    except (PeerMissingError, FetchError, DataError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
