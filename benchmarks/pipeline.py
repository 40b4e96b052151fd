"""What notebooks and DVC add to training.

`python -m benchmarks.pipeline` times one cell of the grid in a copy of the project, in rounds that
alternate between the training alone, the notebook by papermill, and the stage by `dvc repro`. Where
the project itself is up to date, it also times `dvc repro` with nothing to do. It writes
reports/benchmarks/pipeline.json and pipeline.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks import options, results
from benchmarks.cost_pages import pipeline_page
from benchmarks.seeds import Cell, training_cell
from benchmarks.timing import seconds
from mlorakit import paths
from mlorakit.config import TrainConfig
from mlorakit.data.dataset import load_dataset
from mlorakit.models import BACKBONES, VARIANTS
from mlorakit.profile import apply_profile
from mlorakit.runtime import prepare

PARTS = ("mlorakit", "notebooks", "params.yaml", "dvc.yaml", ".dvcignore", ".gitignore")
"""What a copy of the project needs to train a cell."""


class StageError(RuntimeError):
    """A command of the pipeline failed."""


def run(folder: Path, *command: str) -> str:
    """Run a module of Python in a project; returns what it printed.

    Args:
        folder: the project's.
        command: module and arguments.

    Raises:
        StageError: it failed.
    """
    here = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "DVC_NO_ANALYTICS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise StageError(
            f"`python -m {' '.join(command)}` exited with {done.returncode} in {folder}:\n"
            f"{done.stdout[-2000:]}"
        )
    return done.stdout


def copy_project(into: Path, profile: dict[str, Any], dataset: str) -> None:
    """A copy of the project with other parameters, its notebooks and one data set ready.

    Args:
        into: a folder that is not there yet.
        profile: values that replace those of params.yaml.
        dataset: to take over, or to preprocess where the project has not.
    """
    into.mkdir()
    for part in PARTS:
        source = paths.root() / part
        if source.is_dir():
            shutil.copytree(source, into / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, into / part)
    (into / "profile.yaml").write_text(yaml.safe_dump(profile))
    apply_profile(into / "profile.yaml", into / "params.yaml")
    run(into, "dvc", "init", "--quiet", "--no-scm")
    run(into, "dvc", "repro", "--quiet", "code@train")  # with its notebook
    processed = into / "data" / "processed" / dataset
    if paths.processed_dir(dataset).is_dir():
        shutil.copytree(paths.processed_dir(dataset), processed)
    else:
        run(into, "papermill", "notebooks/preprocess.ipynb", "out.ipynb", "-p", "dataset", dataset)


def cell_seconds(config: TrainConfig, project: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round: `training`, `papermill` and `dvc`; a first round is not counted.

    Args:
        config: of the cell, as params.yaml of the copy has it.
        project: see `copy_project`.
        rounds: that count.
    """
    data = load_dataset(project / "data" / "processed" / config.dataset)
    alone = Cell(config, data, training_cell(project / "notebooks" / "train.ipynb"))
    cell = f"{config.dataset}-{config.backbone}-{config.variant}-{config.batch_order}"
    stages = run(project, "dvc", "stage", "list", "--name-only").split()
    name = f"train@{cell}"
    if name not in stages:
        raise StageError(f"dvc.yaml has no stage {name}; it has {', '.join(stages)}.")
    values = {key: getattr(config, key) for key in TrainConfig.__dataclass_fields__}
    lists = {k: ",".join(map(str, v)) for k, v in values.items() if isinstance(v, tuple)}
    parameters = yaml.safe_dump({**values, **lists, "into": "reports/alone"})
    notebook = ("notebooks/train.ipynb", "alone.ipynb", "--engine", "mlorakit", "-k", "python3")
    sides: dict[str, Callable[[], object]] = {
        "training": alone.run,
        "papermill": lambda: run(project, "papermill", *notebook, "-y", parameters),
        "dvc": lambda: run(project, "dvc", "repro", "--single-item", "--force", name),
    }
    taken = [{side: seconds(work) for side, work in sides.items()} for _ in range(rounds + 1)]
    return {side: [times[side] for times in taken[1:]] for side in sides}


def nothing_to_do(project: Path, rounds: int) -> dict[str, Any]:
    """Seconds of `dvc repro` in a project that is up to date; none where a stage is stale.

    Its status is asked first, so nothing is ever trained here.
    """
    stages = run(project, "dvc", "stage", "list", "--name-only").split()
    status = run(project, "dvc", "status", "--json")
    stale = len(json.loads(status[status.index("{") :]))  # notices may stand before it
    taken = [seconds(lambda: run(project, "dvc", "repro")) for _ in range(0 if stale else rounds)]
    return {"stages": len(stages), "stale": stale, "seconds": taken}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("pipeline", __doc__)
    parser.add_argument("--dataset", default="movielens")
    parser.add_argument("--backbone", default="deepfm", choices=BACKBONES)
    parser.add_argument("--variant", default="mlora", choices=VARIANTS)
    parser.add_argument("--max-epochs", type=int, default=0, help="0 for no cap")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--project", type=Path, default=paths.root(), help="that is up to date")
    quick = {"dataset": "generated", "backbone": "mlp", "max_epochs": 1, "rounds": 1}
    return options.parse(parser, arguments, quick)


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results.

    Raises:
        StageError: a command of the pipeline failed.
    """
    train = {"max_epochs": args.max_epochs, "threads": args.threads, "device": "cpu"}
    profile = {"grid": {"datasets": [args.dataset]}, "train": train}
    named = {"backbone": args.backbone, "variant": args.variant, "batch_order": "mixed"}
    found = {
        "environment": results.environment(),
        "note": args.note,
        "cell": f"{args.dataset} {args.backbone} {args.variant}",
    }
    with TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        copy_project(project, profile, args.dataset)
        values = yaml.safe_load((project / "params.yaml").read_text())["train"]
        config = TrainConfig.of(**{**values, **named, "dataset": args.dataset})
        found["seconds"] = cell_seconds(config, project, args.rounds)
    found["nothing_to_do"] = nothing_to_do(args.project, args.rounds)
    results.store(args.reports, "pipeline", found, pipeline_page(found))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    prepare("cpu", args.threads)
    try:
        measure(args)
    except StageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
