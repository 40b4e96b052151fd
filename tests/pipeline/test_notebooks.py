"""Each notebook as a user runs it: by papermill, alone, in an empty clone."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mlorakit.config import ParameterError

from .conftest import PROJECT, Project

SMALL = ("-p", "dataset", "generated", "-p", "hidden", "8,4", "-p", "batch_size", "256")

SMALL_TASKS = (
    *("-p", "dataset", "video_logs", "-p", "embedding_size", "4", "-p", "hidden", "8,4"),
    *("-p", "batch_size", "64", "-p", "threads", "1"),
)

# Cells by what they have of their own beside the params.yaml of the temporary project.
TRAINED = "deepfm-mlora-mixed-alpha_4-patience_60-epochs_60"
TRAINED_BASELINE = "baseline-star-alternate-dropout_0.25-lr_mamdr-patience_40-epochs_40"

TINY_BASELINE = ("-p", "dataset", "generated", "-p", "batch_size", "256", "-p", "threads", "1")


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    """What tests run in that do not need it empty; a process has one."""
    return make_project()


def metrics_of(project: Project, cell: str) -> dict:
    return json.loads((project.root / f"reports/scratch/metrics/generated/{cell}.json").read_text())


def lt4rec_metrics(project: Project, cell: str) -> dict:
    folder = project.root / "reports/scratch/lt4rec/metrics/video_logs"
    return json.loads((folder / f"{cell}.json").read_text())


class Whole:
    """A run of a notebook from its start to its end, which an interrupted one is held to.

    Args:
        project: to run in; it keeps what the run has made.
        notebook: its name.
        settings: of the run, as papermill takes them.
        results: files and folders that it writes, below reports/scratch.
    """

    def __init__(
        self, project: Project, notebook: str, settings: tuple[str, ...], *results: str
    ) -> None:
        self.project = project
        self.results = results
        output = ("out.ipynb", "--log-output")
        self.command = ("papermill", f"notebooks/{notebook}.ipynb", *output, *settings)
        self.printed = project.run(*self.command)
        self.made = self.files()

    def files(self) -> dict[str, bytes]:
        """The results as they are now."""
        return self.project.files(*(f"reports/scratch/{part}" for part in self.results))

    def killed_and_resumed(self, checkpoint: str) -> str:
        """Run it again, kill it once it has written a checkpoint, and let it go on to its end.

        Returns:
            What it printed when it went on.
        """
        _kill_once_there_is(self.project, self.command, checkpoint)
        printed = self.project.run(*self.command)
        assert not list((self.project.root / ".checkpoints").rglob("*.safetensors"))
        return printed


@pytest.fixture(scope="module")
def trained(make_project: Callable[[], Project]) -> Whole:
    project = make_project()
    assert not (project.root / "data").exists()
    more = ("-p", "max_epochs", "60", "-p", "patience", "60", "-p", "seeds", "3,4")
    model = ("-p", "variant", "mlora", "-p", "alpha", "4")
    cell = f"generated/{TRAINED}"
    results = (f"metrics/{cell}.json", f"history/{cell}.csv", f"cells/{cell}")
    return Whole(project, "train", (*SMALL, *more, *model), *results)


@pytest.mark.xdist_group("train")
def test_train_works_alone_and_prepares_its_data(trained: Whole) -> None:
    metrics = metrics_of(trained.project, TRAINED)
    assert sorted(metrics["seeds"]) == ["3", "4"]
    # Adapters of 24 -> 8 -> 4 with ranks 2 and 1, and biases, for two domains.
    assert metrics["params_added"] == 2 * ((24 * 2 + 2 * 8 + 8) + (8 * 1 + 1 * 4 + 4))


@pytest.mark.xdist_group("train")
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(trained: Whole) -> None:
    printed = trained.killed_and_resumed("*.safetensors")
    for seed, starts in ((3, False), (4, True)):
        line = f"seed {seed}, epoch 1:"
        assert line in trained.printed
        assert (line in printed) is starts, "the run started anew instead of going on"
    assert trained.files() == trained.made


def test_preprocess_runs_in_its_own_folder_as_jupyter_does_by_a_released_config(
    project: Project,
) -> None:
    (project.root / "config_age.json").write_text('{"domain_field": "Age", "seed": 5}')
    more = ("-p", "config", "config_age.json", "-p", "dataset", "generated")
    project.run("papermill", "preprocess.ipynb", "../out.ipynb", *more, folder="notebooks")
    made = project.root / "data/processed/generated/dataset.json"
    assert json.loads(made.read_text())["split_seed"] == 5
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
    options = "rank_2-norm_pn-embedding_4-dropout_0.1-lr_0.01-epochs_1-two_stage"
    cell = f"mlp-mlora-mixed-{options}"
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


@pytest.mark.parametrize(
    ("notebook", "parameters", "sentence"),
    [
        (
            "train",
            ("alhpa", "32"),
            "Unknown parameter alhpa; TrainConfig takes dataset, backbone",
        ),
        (
            "baselines",
            ("hidden", "8,4"),
            "Unknown parameter hidden; BaselineConfig takes dataset, baseline",
        ),
    ],
)
def test_a_wrong_parameter_stops_with_a_sentence(
    project: Project, notebook: str, parameters: tuple[str, str], sentence: str
) -> None:
    command = ("papermill", f"notebooks/{notebook}.ipynb", "out.ipynb", "-p", *parameters)
    assert sentence in " ".join(project.run(*command, check=False).split())


@pytest.fixture
def execute(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Executes a notebook's cells in this process, up to the first that raises.

    For messages beyond the first of a notebook: that papermill ends with one, others show.
    """

    def run(project: Project, notebook: str, **given: str) -> None:
        monkeypatch.chdir(project.root)
        cells = nbformat.read(f"notebooks/{notebook}.ipynb", as_version=4).cells
        defaults, *rest = [c.source for c in cells if c.cell_type == "code"]
        injected = "".join(f"{name} = {value!r}\n" for name, value in given.items())
        namespace: dict[str, Any] = {"In": [""]}
        for source in (defaults, f"# Parameters\n{injected}", *rest):
            namespace["In"].append(source)
            exec(source, namespace)

    return run


@pytest.mark.parametrize(
    ("notebook", "name", "value", "sentence"),
    [
        ("train", "config", "none.json", "Parameter config = 'none.json' is no file, neither from"),
        ("train", "norm", "ln", "Parameter norm = 'ln' cannot be used"),
        ("train", "backbone", "deepfn", "'deepfn' is not known; it is one of mlp, wdl, nfm"),
        ("train", "dataset", "netflix", "'netflix' is not known; params.yaml describes movielens"),
        ("train", "dropout", "much", "Parameter dropout = 'much' cannot be used"),
        (
            "baselines",
            "baseline",
            "star2",
            "Parameter baseline = 'star2' is not known; it is one of shared_",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(
    project: Project,
    execute: Callable[..., None],
    notebook: str,
    name: str,
    value: str,
    sentence: str,
) -> None:
    with pytest.raises(ParameterError) as refused:
        execute(project, notebook, **{name: value})
    assert sentence in str(refused.value)


def test_tables_without_results_say_what_to_do(project: Project) -> None:
    printed = project.run("papermill", "notebooks/tables.ipynb", "out.ipynb", check=False)
    assert "3 of 3 cells of the grid in params.yaml have no results" in " ".join(printed.split())


@pytest.fixture(scope="module")
def trained_baseline(make_project: Callable[[], Project]) -> Whole:
    more = ("-p", "baseline", "star", "-p", "dropout", "0.25", "-p", "batch_order", "alternate")
    length = ("-p", "max_epochs", "40", "-p", "patience", "40", "-p", "seeds", "3,4")
    cell = f"generated/{TRAINED_BASELINE}"
    results = (f"metrics/{cell}.json", f"history/{cell}.csv", f"cells/{cell}")
    return Whole(make_project(), "baselines", (*TINY_BASELINE, *more, *length), *results)


@pytest.mark.xdist_group("baselines")
def test_baselines_work_alone(trained_baseline: Whole) -> None:
    metrics = metrics_of(trained_baseline.project, TRAINED_BASELINE)
    assert sorted(metrics["seeds"]) == ["3", "4"]
    # Scales and shifts of the norm's 24 values, layers of 24 -> 256 -> 128 -> 64, each once for all
    # and once for each of two domains; and a head of 64.
    layers = 25 * 256 + 257 * 128 + 129 * 64
    assert metrics["params"] - metrics["params_embedding"] == 3 * (2 * 24 + layers) + 64 + 1


@pytest.mark.xdist_group("baselines")
def test_a_killed_baseline_goes_on_and_ends_with_the_same_bytes(trained_baseline: Whole) -> None:
    printed = trained_baseline.killed_and_resumed("*.safetensors")
    for seed, starts in ((3, False), (4, True)):
        line = f"seed {seed}, epoch 1:"
        assert line in trained_baseline.printed
        assert (line in printed) is starts, "the run started anew instead of going on"
    assert trained_baseline.files() == trained_baseline.made


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


@pytest.mark.xdist_group("train")
def test_ablations_without_results_say_what_to_do(
    trained: Whole, execute: Callable[..., None]
) -> None:
    expected = "2 of 2 files that ablations.alpha in params.yaml asks for are not there"
    with pytest.raises(FileNotFoundError, match=expected):
        execute(trained.project, "ablations")


@pytest.fixture(scope="module")
def pruned(make_project: Callable[[], Project]) -> Whole:
    settings = ("-p", "task", "ctr", "-p", "rounds", "2", "-p", "epochs", "15", "-p", "seeds", "3")
    project = make_project()
    assert not (project.root / "data").exists()
    results = (f"lt4rec/{part}" for part in ("metrics", "history", "cells"))
    more = ("-p", "final_rate", "0.25")
    return Whole(project, "prune", (*SMALL_TASKS, *settings, *more), *results)


@pytest.mark.xdist_group("prune")
def test_prune_works_alone_and_prepares_its_data(pruned: Whole) -> None:
    metrics = lt4rec_metrics(pruned.project, "prune-ctr")
    assert list(metrics["rounds"]) == ["0", "1", "2"]
    # 20 fields of size 4: 400 products and 80 values.
    assert metrics["total"] == 480 * 8 + 8 * 4
    assert [found["kept_share"] for found in metrics["rounds"].values()] == [1, 0.5, 0.25]
    assert list(metrics["rounds"]["1"]["seeds"]) == ["3"]


@pytest.mark.xdist_group("prune")
def test_a_killed_prune_goes_on_and_ends_with_the_same_bytes(pruned: Whole) -> None:
    printed = pruned.killed_and_resumed("training-1.safetensors")  # in round 1
    for start in ("round 0", "round 1, epoch 1:"):
        assert start in pruned.printed
        assert start not in printed, "it started anew instead of going on"
    assert pruned.files() == pruned.made


@pytest.mark.xdist_group("prune")
def test_select_works_alone_and_finds_what_is_missing(pruned: Whole) -> None:
    project = pruned.project
    into = ("-p", "into", "reports/scratch/lt4rec", "-p", "dataset", "video_logs")
    project.run("papermill", "notebooks/select.ipynb", "out.ipynb", *into)
    chosen = lt4rec_metrics(project, "select")
    assert sorted(chosen) == ["ctr", "cvr"]
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
    """Start a notebook and kill it once it has written a checkpoint, which must stay.

    On a busy machine training may end between two looks; then it is started again.
    """
    checkpoints = project.root / ".checkpoints"
    deadline = time.monotonic() + 240
    process = None
    while not list(checkpoints.rglob(checkpoint)):
        assert time.monotonic() < deadline, "training never met with a checkpoint to be killed at"
        if process is None or process.poll() is not None:
            assert process is None or process.returncode == 0, "the run failed"
            process = subprocess.Popen(
                command,
                cwd=project.root,
                env=project.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        time.sleep(0.01)
    assert process is not None, "a checkpoint was there before the run"
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
