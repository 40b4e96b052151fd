"""The summary of all benchmarks: a line for each figure, with its target, machine and date."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.figures import FIGURES
from benchmarks.registry import BENCHMARKS
from benchmarks.tables import markdown


def lines(reports: Path) -> list[dict[str, Any]]:
    """What is in a folder of results: a dict per figure, in the order of the benchmarks."""
    found = []
    for name in BENCHMARKS:
        for stem in (name, f"{name}_cuda"):
            stored = results.read_json(reports / f"{stem}.json")
            for figure in FIGURES[name](stored) if stored else []:
                environment = stored.get("environment") or {}
                found.append(
                    {
                        "benchmark": stem,
                        **asdict(figure),
                        "met": figure.met,
                        "machine": _machine(environment, stem.endswith("_cuda")),
                        "date": environment.get("date", ""),
                        "note": stored.get("note", ""),
                    }
                )
    return found


def _machine(environment: dict[str, Any], on_gpu: bool) -> str:
    """A machine in a few words."""
    if not environment:
        return ""
    if on_gpu:
        return str(environment["gpu"])
    threads = environment["threads"]
    return f"{environment['cpu']}, {threads} {'threads' if threads > 1 else 'thread'}"


def table(found: list[dict[str, Any]]) -> str:
    """The lines as a table to read; machines below it, as they are few."""
    machines = {line["machine"]: i for i, line in reversed([*enumerate(found)])}
    letters = {
        machine: chr(ord("A") + place)
        for place, machine in enumerate(
            sorted((m for m in machines if m), key=machines.__getitem__)
        )
    }
    rows = [
        [
            line["what"] + (f" ({line['detail']})" if line["detail"] else ""),
            _target(line),
            _amount(line["measured"], line["unit"]),
            {True: "yes", False: "no", None: ""}[line["met"]],
            letters.get(line["machine"], ""),
            line["date"],
            f"[{line['benchmark']}](reports/benchmarks/{line['benchmark']}.md)",
        ]
        for line in found
    ]
    header = ["measured", "target", "figure", "met", "machine", "date", "more"]
    below = "; ".join(f"{letter}: {machine}" for machine, letter in letters.items())
    return markdown(header, rows) + (f"\nMachines. {below}.\n" if below else "")


def _target(line: dict[str, Any]) -> str:
    if line["least"] is not None:
        return f"at least {_plain(line['least'], line['unit'])}"
    return "" if line["most"] is None else f"at most {_plain(line['most'], line['unit'])}"


def _plain(value: float, unit: str) -> str:
    return f"{value:g} {unit}".rstrip() if unit != "times" else f"{value:g}"


def _amount(value: float, unit: str) -> str:
    if unit == "":
        return f"{value:.4f}"
    if unit == "MB":
        return f"{value:,.0f} {unit}"
    return f"{value:.2f}" if unit == "times" else f"{value:.1f} {unit}"


def write_summary(reports: Path) -> None:
    """Write summary.json and summary.md of what a folder holds."""
    found = lines(reports)
    results.store(reports, "summary", {"figures": found}, table(found))
