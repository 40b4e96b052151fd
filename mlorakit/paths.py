"""Where things are. Papermill runs a notebook from the caller's folder, Jupyter from the notebook's
own, so every path starts at the project's root.
"""

from functools import cache
from pathlib import Path

import yaml

_MARKERS = ("params.yaml", "dvc.yaml", "mlorakit")


def root() -> Path:
    """The project's root: the nearest folder upward that holds dvc.yaml, params.yaml and mlorakit,
    else the folder that the package was installed from.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all((folder / marker).exists() for marker in _MARKERS):
            return folder
    return Path(__file__).resolve().parent.parent


def raw_dir(source: str) -> Path:
    """Raw files of a source."""
    return root() / "data" / "raw" / source


def processed_dir(dataset: str) -> Path:
    """Columnar data of a data set."""
    return root() / "data" / "processed" / dataset


def task_dir(dataset: str) -> Path:
    """Columnar data of a data set of two tasks."""
    return root() / "data" / "processed" / "tasks" / dataset


def reports_dir(*parts: str) -> Path:
    """A folder or file under reports/."""
    return root().joinpath("reports", *parts)


def provenance_dir(into: str) -> Path:
    """Where the provenance of results in a folder of the project goes: beside those of a run by
    hand, but apart from the pipeline's own, which stages depend on.
    """
    ours = into in ("reports", "reports/lt4rec") or into.startswith("reports/ablations/")
    return reports_dir("provenance") if ours else root() / into / "provenance"


def checkpoint_dir(key: str) -> Path:
    """Where an unfinished training run keeps its state. Not under an output of DVC, which removes
    a stage's outputs before it runs the stage again.
    """
    return root() / ".checkpoints" / key


@cache
def _read_params(path: Path, modified: int) -> dict:
    return yaml.safe_load(path.read_text())


def params() -> dict:
    """The content of params.yaml."""
    path = root() / "params.yaml"
    return _read_params(path, path.stat().st_mtime_ns)
