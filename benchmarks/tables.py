"""The benchmarks' tables in Markdown. Nothing here trains or reads files."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from mlorakit.models import BACKBONE_TITLES

TOLERANCE = 0.003
"""How far below the peer's WAUC ours may lie: about the spread between seeds on MovieLens-1M."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def verdict(ours: float | None, peers: float | None) -> str:
    """What the difference of two test WAUCs says."""
    if ours is None or peers is None:
        return "not run"
    if ours >= peers - TOLERANCE:
        return f"within {TOLERANCE} or better"
    return f"worse by more than {TOLERANCE}"


def parity_table(peers: dict[str, dict[str, Any]], ours: dict[str, list[float]]) -> str:
    """WAUC of each backbone trained by both libraries.

    Args:
        peers: DeepCTR-Torch's stored result per backbone.
        ours: the test WAUCs of mlorakit's seeds per backbone; a backbone may be missing.
    """
    rows = []
    for backbone in BACKBONE_TITLES:
        if backbone not in peers and backbone not in ours:
            continue
        theirs = peers.get(backbone, {}).get("test_wauc")
        seeds = ours.get(backbone, [])
        mean = sum(seeds) / len(seeds) if seeds else None
        known = mean is not None and theirs is not None
        rows.append(
            [
                BACKBONE_TITLES[backbone],
                "" if theirs is None else f"{theirs:.4f}",
                "" if mean is None else f"{mean:.4f}",
                str(len(seeds)),
                f"{mean - theirs:+.4f}" if known else "",  # type: ignore[operator]
                verdict(mean, theirs),
            ]
        )
    header = ["backbone", "DeepCTR-Torch", "mlorakit", "seeds of mlorakit", "difference", "verdict"]
    return markdown(header, rows)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, smallest and largest of the rounds."""
    middle, least, most = (f"{x:.{digits}f}" for x in (median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


def ratios(ours: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Ours over theirs of each round: neighbours in time, so that a slow spell hits both."""
    return [a / b for a, b in zip(ours, peers, strict=True)]


def pruning_table(
    weights: int, seconds: dict[str, list[float]], bytes_per_weight: dict[str, dict[str, float]]
) -> str:
    """Seconds and memory of global pruning per side, the first of which is ours.

    Args:
        weights: that were timed.
        seconds: of each round, per side.
        bytes_per_weight: at a call's peak, per side and number of weights.
    """
    first = next(iter(seconds))
    rows = []
    for side, memory in bytes_per_weight.items():
        for count, size in memory.items():
            timed = int(count) == weights
            ratio = ratios(seconds[side], seconds[first])
            row = [f"{median(seconds[side]):.2f}", spread(ratio, 1) if side != first else ""]
            rows.append([side, f"{int(count):,}", *(row if timed else ["", ""]), f"{size:.2f}"])
    return markdown(["", "weights", "seconds", "times ours", "bytes per weight"], rows)


def tfrecords_table(rates: dict[str, dict[str, list[float]]]) -> str:
    """Records/s side by side.

    Args:
        rates: records/s of each round, per kind of file and side (`mlorakit` and `tfrecord`).
    """
    rows = []
    for name, sides in rates.items():
        ratio = ratios(sides["mlorakit"], sides["tfrecord"])
        middle = [f"{median(sides[side]):,.0f}" for side in ("mlorakit", "tfrecord")]
        rows.append([name, *middle, spread(ratio), str(len(ratio))])
    return markdown(["file", "mlorakit", "tfrecord", "ratio", "rounds"], rows)


def sampling_table(negatives: dict[str, int], seconds: dict[str, list[float]]) -> str:
    """Negatives per second side by side.

    Args:
        negatives: drawn by each side (`mlorakit` and `pandas loop`).
        seconds: of each round, per side.
    """
    rows = []
    for side, times in seconds.items():
        ratio = ratios(seconds["pandas loop"], times)
        rate = f"{negatives[side] / median(times):,.0f}"
        rows.append([side, f"{negatives[side]:,}", f"{median(times):.2f}", rate, spread(ratio, 1)])
    return markdown(["side", "negatives", "seconds", "negatives/s", "loop's time / own"], rows)


def sparse_table(
    models: list[dict[str, Any]], seconds: dict[str, list[list[float]]], weights: int
) -> str:
    """What serving costs at each share of kept weights; a ratio is dense time over a model's own.

    Args:
        models: `side`, `kept` and `trunk_bytes`: the dense one, then a masked and a compact one per
            mask.
        seconds: of a call, per number of rows: each model's rounds.
        weights: of the dense trunk.
    """
    rows = []
    for place, model in enumerate(models):
        of_mask = models[place - 1] if model["side"] == "compact" else model
        row = [model["side"], f"{of_mask['kept'] / weights:.2%}", f"{model['kept']:,}"]
        for size, times in seconds.items():
            middle = median(times[place])
            speed = f"{middle * 1e3:.3f} ms" if size == "1" else f"{int(size) / middle:,.0f} rows/s"
            ratio = ratios(times[0], times[place])
            row += [speed, spread(ratio) if place else ""]
        memory = model["trunk_bytes"]
        share = f"{memory / models[0]['trunk_bytes']:.2f}" if place else ""
        rows.append([*row, f"{memory / 1024:,.0f} KiB", share])
    header = ["model", "kept", "weights held"]
    for size in seconds:
        header += ["a row at a time" if size == "1" else f"{int(size):,} at a time", "times dense"]
    return markdown([*header, "trunk", "of dense"], rows)


def sparse_verdict(
    models: list[dict[str, Any]], times: list[list[float]], weights: int
) -> dict[str, list[str]]:
    """Shares at which a compact ticket is `faster` or `slower` than the dense network in every
    round, or `undecided`.

    Args:
        models: see `sparse_table`.
        times: each model's rounds.
        weights: of the dense trunk.
    """
    found: dict[str, list[str]] = {"faster": [], "slower": [], "undecided": []}
    for place, model in enumerate(models):
        if model["side"] != "compact":
            continue
        ratio = ratios(times[0], times[place])
        name = "faster" if min(ratio) > 1 else "slower" if max(ratio) < 1 else "undecided"
        found[name].append(f"{models[place - 1]['kept'] / weights:.2%}")
    return found
