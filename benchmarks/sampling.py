"""Speed of sampling negatives beside a loop over users, and cost of preprocessing many reviews.

`python -m benchmarks.sampling` samples the negatives of one category by `sample_negatives` and by a
pandas loop that does the same for one user after the other, in rounds that alternate between the
two. Then it writes reviews of six categories and preprocesses them, negatives included, in a
process of its own. It writes reports/benchmarks/sampling.json and sampling.md, replacing those of
an earlier run.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import options, results
from benchmarks.memory import peak_memory
from benchmarks.pages import sampling_page
from benchmarks.reviews import draw_pairs, write_reviews
from benchmarks.timing import seconds
from mlorakit.data.dataset_specs import AmazonSpec
from mlorakit.data.preprocessing import write_dataset
from mlorakit.data.row_sources import ROW_SOURCES
from mlorakit.data.sampling import sample_negatives

CTR_RATIO = 0.35  # the middle of the papers' range
SHARE = 0.2  # of the category that both sides sample


def loop(user: np.ndarray, item: np.ndarray, n_items: int) -> pd.DataFrame:
    """The negatives by a loop over users."""
    rng = np.random.default_rng(1)
    items = np.arange(n_items)
    parts = []
    for who, group in pd.DataFrame({"user": user, "item": item}).groupby("user"):
        rest = np.setdiff1d(items, group["item"], assume_unique=True)
        count = min(int(len(group) / CTR_RATIO), len(rest))
        chosen = rng.choice(rest, size=count, replace=False)
        parts.append(pd.DataFrame({"user": who, "item": chosen}))
    return pd.concat(parts)


def side_by_side(reviews: int, rounds: int) -> dict[str, Any]:
    """Seconds of each round per side; a first round of each is not counted."""
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame(draw_pairs(reviews, SHARE, rng)).T.drop_duplicates()
    user, item = (pd.factorize(pairs[c], sort=True)[0].astype(np.int32) for c in (0, 1))
    n_items = int(item.max()) + 1
    sides: dict[str, Callable[[], int]] = {
        "mlorakit": lambda: len(sample_negatives(user, item, n_items, CTR_RATIO, 1)[0]),
        "pandas loop": lambda: len(loop(user, item, n_items)),
    }
    negatives = {side: sample() for side, sample in sides.items()}
    taken = [{side: seconds(sample) for side, sample in sides.items()} for _ in range(rounds)]
    return {
        "positives": len(user),
        "users": int(user.max()) + 1,
        "items": n_items,
        "negatives": negatives,
        "seconds": {side: [times[side] for times in taken] for side in sides},
    }


def preprocess_reviews(raw: Path, into: Path) -> dict[str, Any]:
    """Seconds, peak memory and sizes of preprocessing; for a process that does nothing else."""
    spec, source = AmazonSpec(source="generated_amazon"), "generated_amazon"
    made: dict[str, Any] = {}

    def work() -> None:
        rows = ROW_SOURCES[source][1](spec, {source: raw}, False, 123)
        made.update(write_dataset(rows, into, {"name": source}, 123))

    taken = seconds(work)
    parts = ("train", "validation", "test")
    return {
        "seconds": taken,
        "peak_bytes": peak_memory(),
        "read": sum(account["read"] for account in made["rows"]),
        "kept": sum(account["kept"] for account in made["rows"]),
        "rows": {part: sum(d[f"rows_{part}"] for d in made["domains"]) for part in parts},
        "distinct": {field["name"]: field["distinct"] for field in made["fields"]},
        "raw_bytes": sum(path.stat().st_size for path in raw.iterdir()),
    }


def in_own_process(reviews: int, folder: Path) -> dict[str, Any]:
    """`preprocess_reviews` of so many reviews, in a fresh process."""
    raw = folder / "raw"
    raw.mkdir()
    write_reviews(raw, reviews)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(preprocess_reviews, raw, folder / "processed").result()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("sampling", __doc__)
    parser.add_argument("--loop-reviews", type=int, default=400_000, help="of the loop's category")
    parser.add_argument("--reviews", type=int, default=20_000_000, help="to preprocess")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="folder with room for the reviews")
    return options.parse(parser, arguments, {"loop_reviews": 2000, "reviews": 20_000, "rounds": 1})


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results."""
    found = {
        "environment": results.environment(),
        "note": args.note,
        "side_by_side": side_by_side(args.loop_reviews, args.rounds),
    }
    with TemporaryDirectory(dir=args.scratch) as folder:
        found["preprocessing"] = in_own_process(args.reviews, Path(folder))
    results.store(args.reports, "sampling", found, sampling_page(found))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    measure(parse(arguments))


if __name__ == "__main__":
    main()
