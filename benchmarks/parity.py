"""Test WAUC of the base models beside DeepCTR-Torch's, on the same split and settings.

`python -m benchmarks.parity` trains DeepCTR-Torch's models, one after the other, and writes each
result to reports/benchmarks/parity.json as it is there; a result that is there is kept unless the
data, a setting or the library changed. Ours are what the pipeline wrote to reports/metrics. The
table goes to reports/benchmarks/parity.md.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import options, peer, results
from benchmarks.data import part_of
from benchmarks.pages import parity_page
from benchmarks.peer_training import data_hash, is_done, key_of, train_peer
from benchmarks.peers import PeerMissingError
from mlorakit import paths
from mlorakit.config import ParameterError, TrainConfig
from mlorakit.data.dataset import load_dataset
from mlorakit.data.rows import DataError

DATASET = "movielens"


def config_of(backbone: str, max_epochs: int = 0) -> TrainConfig:
    """The pipeline's config of a base model, from params.yaml; a cap on epochs stands above it."""
    named = {"dataset": DATASET, "backbone": backbone, "variant": "base", "batch_order": "mixed"}
    config = TrainConfig.of(**{**paths.params()["train"], **named})
    return replace(config, max_epochs=max_epochs) if max_epochs else config


def our_waucs(metrics: Path) -> dict[str, list[float]]:
    """Test WAUC per backbone and seed, as the pipeline wrote it; a cell may be missing."""
    found = {}
    for backbone in peer.CLASSES:
        cell = results.read_json(metrics / f"{config_of(backbone).cell}.json")
        if cell:
            found[backbone] = [seed["wauc"] for seed in cell["seeds"].values()]
    return found


def train_missing(args: argparse.Namespace, path: Path) -> None:
    """Train the peer's models that the results lack; each is stored as soon as it is there."""
    data = load_dataset(args.data)
    if args.rows:
        data = part_of(data, args.rows, args.rows)
    fingerprint = data_hash(data)
    for backbone in args.backbones:
        config = config_of(backbone, args.max_epochs)
        key = key_of(config, fingerprint, args.seed, peer.version())
        stored = results.read_json(path)
        if is_done(stored.get("peer", {}).get(backbone, {}), key) and not args.again:
            print(f"{backbone}: kept")
            continue
        result = key | train_peer(config, data, args.seed)
        # Read again: another run may have stored another backbone in the meantime.
        stored = results.read_json(path)
        stored.setdefault("peer", {})[backbone] = result
        stored["environment"] = results.environment()
        results.write_json(path, stored)
        print(f"{backbone}: test WAUC {result['test_wauc']:.5f}", flush=True)


def write_page(reports: Path, metrics: Path) -> None:
    """Write the table of what is there, and our side and the notes into the results."""
    stored = results.read_json(reports / "parity.json")
    stored["ours"] = our_waucs(metrics)
    stored["notes"] = {"all": list(peer.COMMON_NOTES), **peer.NOTES}
    results.store(reports, "parity", stored, parity_page(stored))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("parity", __doc__)
    parser.add_argument("--backbones", nargs="+", default=[*peer.CLASSES], choices=peer.CLASSES)
    parser.add_argument("--data", type=Path, default=paths.processed_dir(DATASET))
    parser.add_argument("--rows", type=int, default=0, help="to train on; 0 for all")
    parser.add_argument("--max-epochs", type=int, default=0, help="0 for no cap")
    parser.add_argument("--metrics", type=Path, default=paths.reports_dir("metrics", DATASET))
    parser.add_argument("--seed", type=int, default=1, help="of DeepCTR-Torch's models")
    parser.add_argument("--again", action="store_true", help="train what is there already too")
    parser.add_argument("--render", action="store_true", help="train nothing, write the table")
    quick = {"backbones": ["deepfm"], "rows": 4096, "max_epochs": 1}
    return options.parse(parser, arguments, quick)


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, then write the table."""
    args = parse(arguments)
    torch.set_num_threads(args.threads)
    try:
        if not args.render:
            train_missing(args, args.reports / "parity.json")
        write_page(args.reports, args.metrics)
    except (PeerMissingError, DataError, ParameterError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
