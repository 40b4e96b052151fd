"""What evaluation takes of an epoch, and exact AUCs per domain beside scikit-learn's.

`python -m benchmarks.evaluation` times, in rounds in which all take turns,
1. an epoch of `fit` and, apart, the evaluation of the validation rows that it ends with;
2. scoring the same rows by DeepCTR-Torch's `predict`, where it has the backbone;
3. `domain_auc` of the scores, and scikit-learn's `roc_auc_score` of each domain.
It writes reports/benchmarks/evaluation.json and evaluation.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks import options, peer, results
from benchmarks.cost_pages import evaluation_page
from benchmarks.data import movielens_or_random, share_of
from benchmarks.peers import PEERS, PeerMissingError
from benchmarks.speed import DATASETS
from benchmarks.timing import our_epoch, seconds
from mlorakit import paths
from mlorakit.cells import make_model
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData, Rows
from mlorakit.metrics import domain_auc
from mlorakit.models import BACKBONES
from mlorakit.runtime import prepare
from mlorakit.training import evaluate

VARIANTS = ("base", "mlora")


def sklearn_auc(score: Tensor, split: Rows) -> list[float]:
    """scikit-learn's AUC of each domain; all have both classes."""
    scores, labels = score.numpy(), split.label.numpy()
    return [float(roc_auc_score(labels[a:b], scores[a:b])) for _, a, b in split.groups.slices]


def in_turns(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each side's rounds; a first one is not counted."""
    taken = [{side: run() for side, run in sides.items()} for _ in range(rounds + 1)]
    return {side: [times[side] for times in taken[1:]] for side in sides}


def cell_costs(
    backbone: str, variant: str, data: MultiDomainData, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each round: an `epoch`, its `evaluation`, and for a base model that
    DeepCTR-Torch has its `predict`.
    """
    config = TrainConfig.of(backbone=backbone, variant=variant)
    model = make_model(config, data, seed=1)
    sides: dict[str, Callable[[], float]] = {
        "epoch": lambda: our_epoch(model, data, config),
        "evaluation": lambda: seconds(lambda: evaluate(model, data.validation)),
    }
    if variant == "base" and backbone in PEERS["deepctr_torch"].backbones:
        theirs = peer.build(config, data, seed=1)
        x, _ = peer.columns(data.validation)
        sides["deepctr_torch"] = lambda: seconds(lambda: peer.predict(theirs, x))
    return in_turns(sides, rounds)


def auc_costs(data: MultiDomainData, rounds: int) -> dict[str, Any]:
    """Seconds of each round per side, and the largest difference of their AUCs."""
    model = make_model(TrainConfig.of(variant="base"), data, seed=1)
    split = data.validation
    score = evaluate(model, split).logit
    sides: dict[str, Callable[[], list[float]]] = {
        "mlorakit": lambda: domain_auc(score, split.label, split.groups),
        "scikit-learn": lambda: sklearn_auc(score, split),
    }
    ours, theirs = (run() for run in sides.values())
    timed: dict[str, Callable[[], float]] = {
        side: partial(seconds, run) for side, run in sides.items()
    }
    return {
        "rows": len(split),
        "difference": max(abs(a - b) for a, b in zip(ours, theirs, strict=True)),
        "seconds": in_turns(timed, rounds),
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("evaluation", __doc__)
    parser.add_argument("--processed", type=Path, default=paths.processed_dir("movielens").parent)
    parser.add_argument("--backbones", nargs="*", default=[*BACKBONES], choices=BACKBONES)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of an epoch")
    parser.add_argument("--rounds", type=int, default=3)
    quick = {"backbones": ["mlp", "deepfm"], "share": 0.02, "rounds": 1}
    return options.parse(parser, arguments, quick)


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results, those that are there after each backbone.

    Raises:
        PeerMissingError: DeepCTR-Torch is not installed.
    """
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "share": args.share,
        "deepctr_torch": peer.version(),
        "data": {},
        "cells": {},
        "auc": {},
    }
    for name, n_domains in DATASETS.items():
        data = share_of(movielens_or_random(args.processed / name, n_domains), args.share)
        found["data"][name] = data.name
        found["auc"][name] = auc_costs(data, args.rounds)
        for backbone in args.backbones:
            for variant in VARIANTS:
                costs = cell_costs(backbone, variant, data, args.rounds)
                found["cells"].setdefault(name, {}).setdefault(backbone, {})[variant] = costs
            print(f"{backbone} on {name}: done", flush=True)
            results.store(args.reports, "evaluation", found, evaluation_page(found))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    prepare("cpu", args.threads)
    try:
        measure(args)
    except PeerMissingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
