"""What made a result: hashes, which equal runs share, and circumstances, which they do not."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import torch

from mlorakit import paths

_PACKAGES = ("mlorakit", "torch", "numpy", "polars", "pandas", "scikit-learn", "scipy", "papermill")


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def code_hash() -> str:
    """SHA-256 over the package's files and the sources of the notebooks' cells."""
    total = hashlib.sha256()
    root = paths.root()
    package = root / "mlorakit"
    for path in sorted((*package.rglob("*.py"), *package.rglob("*.csv"))):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        # Cell sources only: opening and saving a notebook changes the rest.
        cells = json.loads(path.read_text())["cells"]
        total.update(digest([path.name, [[c["cell_type"], c["source"]] for c in cells]]).encode())
    return total.hexdigest()


class Provenance:
    """Times and circumstances of one notebook, written beside its results.

    Kept out of every result and of DVC: two equal runs differ in it.

    Args:
        name: of the run, also the file's path below reports/provenance without `.json`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def write(self, folder: Path | None = None, **facts: Any) -> Path:
        """Write the file.

        Args:
            folder: instead of reports/provenance.
            facts: more to record, such as the device.
        """
        path = (folder or paths.reports_dir("provenance")) / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._clock, 1),
            "commit": _commit(),
            "machine": machine(),
            "packages": {name: version(name) for name in _PACKAGES},
            **facts,
        }
        path.write_text(json.dumps(record, indent=1) + "\n")
        return path


def machine() -> dict[str, Any]:
    """The machine, as far as it explains speed and rounding."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": numba.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
    }


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit, with `-dirty` where files differ from it that are no results."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", ":/", ":!/reports", ":!/dvc.lock")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + "-dirty" * bool(changed)


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=paths.root(), capture_output=True, text=True, check=True)
    return done.stdout.strip()
