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

SMALL_TASKS = (
    *("-p", "dataset", "video_logs", "-p", "embedding_size", "4", "-p", "hidden", "8,4"),
    *("-p", "batch_size", "64", "-p", "threads", "1"),
)


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    return make_project()


def metrics_of(project: Project, cell: str) -> dict:
    return json.loads((project.root / f"reports/scratch/metrics/generated/{cell}.json").read_text())


def lt4rec_metrics(project: Project, cell: str) -> dict:
    folder = project.root / "reports/scratch/lt4rec/metrics/video_logs"
    return json.loads((folder / f"{cell}.json").read_text())


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


def test_a_released_config_gives_the_parameters_of_training(project: Project) -> None:
    config = {
        "model": {"name": "mlora", "norm": "pn", "dense": "mlora_freeze", "lora_r": 2}
        | {"hidden_dim": [8, 4], "user_dim": 4, "item_dim": 4, "domain_dim": 4, "dropout": 0.1},
        "train": {"epoch": 1, "learning_rate": 0.01, "loss": "binary_crossentropy"}
        | {"optimizer": "adam", "result_save_path": "result"},
        "dataset": {"name": "Movielens", "domain_split_path": "split_by_gender", "seed": 9},
    }
    (project.root / "notebooks/released.json").write_text(json.dumps(config))
    beside = ("-p", "dataset", "generated", "-p", "batch_size", "256", "-p", "threads", "1")
    command = ("papermill", "train.ipynb", "../out.ipynb", "-p", "config", "released.json", *beside)
    project.run(*command, folder="notebooks")
    cell = "mlp-mlora-mixed-rank_2-norm_pn-two_stage"
    metrics = metrics_of(project, cell)
    assert list(metrics["seeds"]) == ["9"]
    assert metrics["seeds"]["9"]["epochs"] == 2  # one of each stage
    assert metrics["params_added"] == 2 * ((12 * 2 + 2 * 8 + 8) + (8 * 2 + 2 * 4 + 4))
    history = (project.root / f"reports/scratch/history/generated/{cell}.csv").read_text()
    assert [line.rsplit(",", 1)[1] for line in history.splitlines()] == ["stage", "1", "2"]
    cells = nbformat.read(project.root / "out.ipynb", as_version=4).cells
    printed = "".join(
        out.text for c in cells if c.cell_type == "code" for out in c.outputs if "text" in out
    )
    for line in (
        "model.lora_r = 2: rank = 2",
        "train.result_save_path = 'result': ignored, results go into the folder of the parameter",
        "given beside the config: dataset = 'generated', where it has 'movielens'",
    ):
        assert line in printed


def test_a_released_split_config_gives_those_of_preprocessing(project: Project) -> None:
    (project.root / "config_age.json").write_text('{"domain_field": "Age", "seed": 5}')
    more = ("-p", "config", "config_age.json", "-p", "dataset", "generated")
    project.run("papermill", "notebooks/preprocess.ipynb", "out.ipynb", *more)
    made = project.root / "data/processed/generated/dataset.json"
    assert json.loads(made.read_text())["split_seed"] == 5


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (("config", "none.json"), "Parameter config = 'none.json' is no file, neither from"),
        (("norm", "ln"), "Parameter norm = 'ln' cannot be used"),
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
    _kill_once_there_is(project, command, "*.safetensors")
    printed = project.run(*command, "--log-output")
    assert "epoch 1:" not in printed, "the run started anew instead of going on"
    resumed = metrics_of(project, "deepfm-control-mixed")
    assert not list((project.root / ".checkpoints").rglob("*.safetensors"))
    project.run(*command)
    assert metrics_of(project, "deepfm-control-mixed") == resumed


TINY_BASELINE = ("-p", "dataset", "generated", "-p", "batch_size", "256", "-p", "threads", "1")


def test_baselines_work_alone(project: Project) -> None:
    more = ("-p", "baseline", "shared_lora", "-p", "dropout", "0.25", "-p", "batch_order")
    more = (*more, "alternate", "-p", "max_epochs", "1", "-p", "seeds", "3,4")
    project.run("papermill", "notebooks/baselines.ipynb", "out.ipynb", *TINY_BASELINE, *more)
    metrics = metrics_of(project, "baseline-shared_lora-alternate")
    assert sorted(metrics["seeds"]) == ["3", "4"]
    # One LoRA of 24 -> 256 -> 128 -> 64 with ranks 16, 8 and 4, and biases.
    assert metrics["params_added"] == 24 * 16 + 17 * 256 + 256 * 8 + 9 * 128 + 128 * 4 + 5 * 64


def test_a_killed_baseline_goes_on_and_ends_with_the_same_bytes(project: Project) -> None:
    settings = ("-p", "baseline", "star", "-p", "max_epochs", "40", "-p", "patience", "40")
    command = ("papermill", "notebooks/baselines.ipynb", "out.ipynb", *TINY_BASELINE, *settings)
    _kill_once_there_is(project, command, "*.safetensors")
    printed = project.run(*command, "--log-output")
    assert "epoch 1:" not in printed, "the run started anew instead of going on"
    results = [
        f"reports/scratch/{part}"
        for part in (
            "metrics/generated/baseline-star-mixed.json",
            "history/generated/baseline-star-mixed.csv",
            "cells/generated/baseline-star-mixed/weights-seed-1.safetensors",
        )
    ]
    resumed = [(project.root / path).read_bytes() for path in results]
    assert not list((project.root / ".checkpoints").rglob("*.safetensors"))
    project.run(*command)
    assert [(project.root / path).read_bytes() for path in results] == resumed


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (("baseline", "star2"), "Parameter baseline = 'star2' is not known; it is one of shared_"),
        (("hidden", "8,4"), "Unknown parameter hidden; BaselineConfig takes dataset, baseline"),
    ],
)
def test_a_wrong_parameter_of_a_baseline_stops_with_a_sentence(
    project: Project, parameters: tuple[str, str], sentence: str
) -> None:
    command = ("papermill", "notebooks/baselines.ipynb", "out.ipynb", "-p", *parameters)
    assert sentence in " ".join(project.run(*command, check=False).split())


def test_a_point_works_alone(project: Project) -> None:
    more = ("-p", "sweep", "widths", "-p", "alpha", "none", "-p", "max_epochs", "1")
    project.run("papermill", "notebooks/ablate.ipynb", "out.ipynb", *SMALL, *more)
    folder = project.root / "reports/scratch/ablations/widths/generated"
    metrics = json.loads((folder / "mlp-8x4-none.json").read_text())
    assert metrics["n_domains"] == 2
    assert metrics["params_added"] == 2 * (8 + 4)  # biases alone


def test_a_new_domain_works_alone(project: Project) -> None:
    more = ("-p", "shares", "0.5", "-p", "max_epochs", "1", "-p", "seeds", "1,2")
    project.run("papermill", "notebooks/new_domain.ipynb", "out.ipynb", *SMALL, *more)
    folder = project.root / "reports/scratch/new_domain"
    metrics = json.loads((folder / "generated/mlp.json").read_text())
    for seed in ("1", "2"):
        ways = [way["way"] for way in metrics["seeds"][seed]["ways"]]
        assert ways == ["none", "adapter", "full"]
    record = json.loads((folder / "provenance/new_domain/generated/mlp.json").read_text())
    assert record["training_seconds"]["1"]["full"] > 0


def test_ablations_without_results_say_what_to_do(project: Project) -> None:
    printed = project.run("papermill", "notebooks/ablations.ipynb", "out.ipynb", check=False)
    assert "2 of 2 files that ablations.alpha in params.yaml asks for are not there" in " ".join(
        printed.split()
    )


def test_prune_works_alone_and_prepares_its_data(project: Project) -> None:
    command = ("papermill", "notebooks/prune.ipynb", "out.ipynb", *SMALL_TASKS)
    more = ("-p", "task", "cvr", "-p", "rounds", "1", "-p", "final_rate", "0.5", "-p", "seeds", "3")
    project.run(*command, *more)
    metrics = lt4rec_metrics(project, "prune-cvr")
    assert list(metrics["rounds"]) == ["0", "1"]
    # 20 fields of size 4: 400 products and 80 values.
    assert metrics["total"] == 480 * 8 + 8 * 4
    assert metrics["rounds"]["1"]["kept_share"] == 0.5
    assert list(metrics["rounds"]["1"]["seeds"]) == ["3"]


def test_a_killed_prune_goes_on_and_ends_with_the_same_bytes(project: Project) -> None:
    settings = ("-p", "task", "ctr", "-p", "rounds", "2", "-p", "epochs", "15", "-p", "seeds", "3")
    command = ("papermill", "notebooks/prune.ipynb", "out.ipynb", *SMALL_TASKS, *settings)
    _kill_once_there_is(project, command, "training-1.safetensors")  # in round 1
    printed = project.run(*command, "--log-output")
    assert "round 0" not in printed, "the run started anew instead of going on"
    assert "round 1, epoch 1:" not in printed, "the round started anew instead of going on"
    results = [f"reports/scratch/lt4rec/{part}" for part in ("metrics", "history", "cells")]
    resumed = project.files(*results)
    assert not list((project.root / ".checkpoints").rglob("*.safetensors"))
    project.run(*command)
    assert project.files(*results) == resumed


def test_select_works_alone_and_finds_what_is_missing(project: Project) -> None:
    into = ("-p", "into", "reports/scratch/lt4rec", "-p", "dataset", "video_logs")
    project.run("papermill", "notebooks/select.ipynb", "out.ipynb", *into)
    chosen = lt4rec_metrics(project, "select")
    for task, choice in chosen.items():
        rounds = lt4rec_metrics(project, f"prune-{task}")["rounds"]
        best = min(list(rounds)[1:], key=lambda k: rounds[k]["validation_loss"])
        assert choice["round"] == int(best)
        assert choice["kept"] == rounds[best]["kept"]


def test_multitask_works_alone_and_finds_and_chooses_tickets(project: Project) -> None:
    into = ("-p", "into", "build/alone", "-p", "seeds", "5", "-p", "bootstrap", "5")
    project.run("papermill", "notebooks/multitask.ipynb", "out.ipynb", *SMALL_TASKS, *into)
    made = project.root / "build/alone/metrics/video_logs"
    assert sorted(path.name for path in made.iterdir()) == [
        "multitask-sparse.json",
        "prune-ctr.json",
        "prune-cvr.json",
        "select.json",
    ]
    metrics, chosen = (
        json.loads((made / f"{name}.json").read_text()) for name in ("multitask-sparse", "select")
    )
    assert metrics["kept"] == {task: choice["kept"] for task, choice in chosen.items()}
    assert list(metrics["seeds"]) == ["5"]


def test_the_released_protocol_and_layout_run(project: Project) -> None:
    into = ("-p", "into", "build/released", "-p", "protocol", "released", "-p", "seeds", "5")
    layout = ("-p", "released_layout", "build/masks")
    for task in ("ctr", "cvr"):
        more = ("-p", "task", task, "-p", "rounds", "1", "-p", "final_rate", "0.5", *into, *layout)
        project.run("papermill", "notebooks/prune.ipynb", "out.ipynb", *SMALL_TASKS, *more)
    more = ("-p", "dataset", "video_logs", "-p", "into", "build/released", *layout)
    project.run("papermill", "notebooks/select.ipynb", "out.ipynb", *more)
    masks = project.root / "build/masks/seed-5"
    assert sorted(path.relative_to(masks).as_posix() for path in masks.rglob("*.pkl")) == [
        "mtl/mask/0.pkl",
        "mtl/mask/1.pkl",
        "single/chk_points/ctr/mask/1_50.00%.pkl",
        "single/chk_points/cvr/mask/1_50.00%.pkl",
    ]
    more = (*into, "-p", "masks", "build/masks/seed-5")
    project.run("papermill", "notebooks/multitask.ipynb", "out.ipynb", *SMALL_TASKS, *more)
    path = project.root / "build/released/metrics/video_logs/multitask-sparse.json"
    assert json.loads(path.read_text())["kept"]["ctr"] == (480 * 8 + 8 * 4) / 2


def _kill_once_there_is(project: Project, command: tuple[str, ...], checkpoint: str) -> None:
    """Start a notebook and kill it once it has written a checkpoint, which must stay."""
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
    while not list(checkpoints.rglob(checkpoint)):
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.01)
    _kill_session(process)
    assert list(checkpoints.rglob(checkpoint)), "the checkpoint went with the killed run"


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
