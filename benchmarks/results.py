"""Result files of the benchmarks."""

import datetime
import json
from pathlib import Path
from typing import Any

import torch

from mlorakit import paths
from mlorakit.provenance import machine


def folder() -> Path:
    """Where the benchmarks write."""
    return paths.reports_dir("benchmarks")


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file, empty where there is none."""
    return json.loads(path.read_text()) if path.is_file() else {}


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole, so that a stop while writing loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file as a whole."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def store(reports: Path, stem: str, found: dict[str, Any], page: str) -> None:
    """Write a benchmark's numbers and their page."""
    write_json(reports / f"{stem}.json", found)
    write_text(reports / f"{stem}.md", page)


def environment() -> dict[str, Any]:
    """What timings depend on besides the code."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {**machine(), "torch": torch.__version__, "date": today}
