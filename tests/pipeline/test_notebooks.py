"""Each notebook as a user runs it: by papermill, alone, in an empty clone."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from .conftest import PROJECT, Project

pytestmark = pytest.mark.xdist_group("notebooks")

SMALL = ("-p", "dataset", "generated", "-p", "hidden", "8,4", "-p", "batch_size", "256")


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    return make_project()


def metrics_of(project: Project, cell: str) -> dict:
    return json.loads((project.root / f"reports/scratch/metrics/generated/{cell}.json").read_text())


def test_train_works_alone_and_prepares_its_data(project: Project) -> None:
    assert not (project.root / "data").exists()
    more = (
        "-p",
        "max_epochs",
        "1",
        "-p",
        "seeds",
        "3,4",
        "-p",
        "variant",
        "mlora",
        "-p",
        "alpha",
        "4",
    )
    project.run("papermill", "notebooks/train.ipynb", "out.ipynb", *SMALL, *more)
    metrics = metrics_of(project, "deepfm-mlora-mixed")
    assert sorted(metrics["seeds"]) == ["3", "4"]
    # Adapters of 24 -> 8 -> 4 with ranks 2 and 1, and biases, for two domains.
    assert metrics["params_added"] == 2 * ((24 * 2 + 2 * 8 + 8) + (8 * 1 + 1 * 4 + 4))


def test_preprocess_runs_in_its_own_folder_as_jupyter_does(project: Project) -> None:
    command = ("papermill", "preprocess.ipynb", "../out.ipynb", "-p", "dataset", "generated")
    project.run(*command, folder="notebooks")
    assert (project.root / "data/processed/generated/dataset.json").is_file()
    assert not (project.root / "notebooks/data").exists()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (("alhpa", "32"), "Unknown parameter alhpa; TrainConfig takes dataset, backbone"),
        (("backbone", "deepfn"), "'deepfn' is not known; it is one of mlp, wdl, nfm"),
        (("dataset", "netflix"), "'netflix' is not known; params.yaml describes movielens"),
        (("dropout", "much"), "Parameter dropout = 'much' cannot be used"),
    ],
)
def test_a_wrong_parameter_stops_with_a_sentence(
    project: Project, parameters: tuple[str, str], sentence: str
) -> None:
    printed = project.run(
        "papermill", "notebooks/train.ipynb", "out.ipynb", "-p", *parameters, check=False
    )
    assert sentence in " ".join(printed.split())


def test_tables_without_results_say_what_to_do(project: Project) -> None:
    printed = project.run("papermill", "notebooks/tables.ipynb", "out.ipynb", check=False)
    assert "3 of 3 cells of the grid in params.yaml have no results" in " ".join(printed.split())


def test_a_killed_run_goes_on_and_ends_the_same(project: Project) -> None:
    settings = (
        *SMALL,
        "-p",
        "max_epochs",
        "60",
        "-p",
        "patience",
        "60",
        "-p",
        "variant",
        "control",
    )
    command = ("papermill", "notebooks/train.ipynb", "out.ipynb", *settings)
    process = subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    checkpoints = project.root / ".checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.rglob("*.safetensors")):
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.01)
    _kill_session(process)
    assert list(checkpoints.rglob("*.safetensors")), "the checkpoint went with the killed run"

    printed = project.run(*command, "--log-output")
    assert "epoch 1:" not in printed, "the run started anew instead of going on"
    resumed = metrics_of(project, "deepfm-control-mixed")
    assert not list(checkpoints.rglob("*.safetensors"))
    project.run(*command)
    assert metrics_of(project, "deepfm-control-mixed") == resumed


def _kill_session(process: subprocess.Popen) -> None:
    """Kill papermill and the kernel it started; the kernel leads a session of its own."""
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    for pid in (*children, str(process.pid)):
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", pid], check=False)
    process.wait()


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_notebooks_are_small_and_carry_no_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) <= 15
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
    parameters = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert len(parameters) == 1
    assert parameters[0].source.startswith("# Defaults")
