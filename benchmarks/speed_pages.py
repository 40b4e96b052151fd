"""The page and tables of `benchmarks.speed`."""

from statistics import median
from typing import Any

from benchmarks.pages import machine_table
from benchmarks.peers import PEERS
from benchmarks.tables import markdown, ratios, spread
from mlorakit.models import BACKBONE_TITLES

SIDES = {
    "deepctr_torch": "DeepCTR-Torch, same process",
    **{f"{name}_alone": peer.title for name, peer in PEERS.items()},
}
"""The columns' titles by the names that the results carry."""


def fastest_peer(sides: dict[str, list[float]]) -> str | None:
    """The side with the largest median rate besides ours; None where we are alone."""
    peers = [side for side in SIDES if side in sides]
    return max(peers, key=lambda side: median(sides[side]), default=None)


def over_fastest(sides: dict[str, list[float]]) -> list[float]:
    """Our rows/s over those of the fastest peer, per round."""
    fastest = fastest_peer(sides)
    return [] if fastest is None else ratios(sides["mlorakit"], sides[fastest])


def speed_table(rates: dict[str, dict[str, list[float]]]) -> str:
    """Training rows/s side by side, and ours over the fastest peer's.

    Args:
        rates: rows/s of each round, per backbone and side (see `timing.side_by_side`).
    """
    shown = [side for side in SIDES if any(side in sides for sides in rates.values())]
    rows = []
    for backbone, sides in rates.items():
        row = [BACKBONE_TITLES[backbone], f"{median(sides['mlorakit']):,.0f}"]
        row += [f"{median(sides[side]):,.0f}" if side in sides else "" for side in shown]
        ratio = over_fastest(sides)
        fastest = fastest_peer(sides)
        row += [spread(ratio), SIDES[fastest]] if fastest else ["", ""]
        rows.append([*row, str(len(sides["mlorakit"]))])
    header = ["backbone", "mlorakit", *(SIDES[side] for side in shown)]
    return markdown([*header, "ratio to the fastest", "the fastest", "rounds"], rows)


def epoch_table(seconds: dict[str, dict[str, list[float]]]) -> str:
    """Seconds of an epoch per variant, and what MLoRA's layers cost.

    Args:
        seconds: of each round, per backbone and variant (`base`, `control`, `mlora`).
    """
    rows = []
    for backbone, variants in seconds.items():
        base, control, mlora = (variants[v] for v in ("base", "control", "mlora"))
        over_base, over_control = ratios(mlora, base), ratios(mlora, control)
        rows.append(
            [
                BACKBONE_TITLES[backbone],
                *(f"{median(times):.2f}" for times in (base, control, mlora)),
                *(f"{median(ratio):.2f}" for ratio in (over_base, over_control)),
                f"{min(over_base):.2f} to {max(over_base):.2f}",
            ]
        )
    header = ["backbone", "base", "control", "mlora", "mlora / base", "mlora / control"]
    return markdown([*header, "spread of mlora / base"], rows)


def speed_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.speed`; a part that was not measured is left out."""
    options = "" if found["device"] == "cpu" else f" --device {found['device']}"
    lines = [
        "# Speed",
        "",
        f"Made by `python -m benchmarks.speed{options}` (part of `make bench`).",
        *(["", found["note"]] if found["note"] else []),
        "",
        machine_table(found["environment"]),
    ]
    if found["training"]:
        lines += [*_side_by_side(found), speed_table(found["training"]), *_notes(found)]
    if found["epochs"]:
        lines += _epochs(found)
    return "\n".join(lines).rstrip() + "\n"


def _side_by_side(found: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{PEERS[name].title} {v}" for name, v in found["peers"].items())
    on_cpu = found["device"] == "cpu"
    where = "CPU" if on_cpu else "GPU"
    ours = "ours is a compiled loop" if on_cpu else "our steps are recorded anew in each round"
    once_more = ", and DeepCTR-Torch once more in mlorakit's process" if on_cpu else ""
    return [
        "## Training rows per second beside other libraries",
        "",
        f"{versions}. Data: {found['data']['movielens']}. {found['steps']} steps of 1024 rows per "
        f"round, MLP 256-128-64, dropout 0.5, Adam, L2, fp32, on the {where}. All take turns, each "
        f"peer in a process of its own, without mlorakit's settings of a process{once_more}. Rates "
        "are medians; a ratio is that of two neighbouring rounds: its median, smallest and largest "
        "value. Each side is timed over the training loop that its users call, batches from its "
        "own loader included, without worker processes (FuxiCTR's default is one, which is slower "
        "on two cores). mlorakit and FuxiCTR validate on 2048 rows in that time, the others on "
        f"none. Each has the Adam that its users get; {ours}.",
        "",
    ]


def _notes(found: dict[str, Any]) -> list[str]:
    notes = [f"* {PEERS[name].title}: {PEERS[name].notes}." for name in found["peers"]]
    return ["What differs beyond the library:", "", *notes, ""]


def _epochs(found: dict[str, Any]) -> list[str]:
    lines = [
        "## What MLoRA's layers cost",
        "",
        f"Median seconds per epoch, training and validation, on {found['share']:.0%} of the rows; "
        "the variants take turns.",
        "",
    ]
    for name, costs in found["epochs"].items():
        data = "" if found["data"][name] == name else f" ({found['data'][name]})"
        lines += [f"### {name}{data}", "", epoch_table(costs)]
    return lines
