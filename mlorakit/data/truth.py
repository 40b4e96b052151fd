"""What a generator knows of its files: the planted truth, in truth.json beside them."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlorakit.data.spec import file_hash
from mlorakit.whole import whole_file

_NAME = "truth.json"


def write_truth(folder: Path, spec: Any, truth: dict[str, Any], files: Iterable[str]) -> None:
    """Write truth.json, the last of the generated files.

    Args:
        folder: of the files.
        spec: the dataclass that they were generated from.
        truth: what is known of them.
        files: their names.
    """
    hashes = {name: file_hash(folder / name) for name in sorted(files)}
    content = truth | {"generated_from": asdict(spec), "files": hashes}
    with whole_file(folder / _NAME) as path:
        path.write_text(json.dumps(content, indent=1) + "\n")


def read_truth(folder: Path) -> dict[str, Any]:
    """The content of truth.json; empty where there is none that can be read."""
    try:
        return json.loads((folder / _NAME).read_text())
    except (OSError, ValueError):
        return {}


def is_generated(folder: Path, spec: Any) -> bool:
    """Whether a folder holds what `spec` generates, every file as it was written."""
    truth = read_truth(folder)
    return truth.get("generated_from") == asdict(spec) and all(
        (folder / name).is_file() and file_hash(folder / name) == sha256
        for name, sha256 in truth.get("files", {}).items()
    )
