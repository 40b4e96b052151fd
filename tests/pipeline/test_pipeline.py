"""The whole pipeline in a temporary clone."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import yaml

from .conftest import Project

pytestmark = pytest.mark.xdist_group("pipeline")

COMPARED = (
    "reports/ablations",
    "reports/claims",
    "reports/tables",
    "reports/metrics",
    "reports/history",
    "reports/lt4rec",
    "reports/notebooks",
)
ALSO_COMPARED = ("reports/figures", "reports/site", "reports/cells", "data/processed", "data/raw")

# Stages that a second run takes over from the first: notebooks without outputs, which all others
# depend on by their content, and cells whose notebook runs again on other parameters.
TAKEN_OVER = (
    "clean@",
    "train@",  # the notebook's other run is that of two_stage
    "baselines@generated-star-",
    "ablate_alpha@generated-deepfm-none",
    "ablate_domains@",
    "prune@video_logs-cvr",
    "multitask@video_logs-mmoe",
)


def taken_over(stage: str) -> bool:
    return stage.startswith(TAKEN_OVER) and stage != "clean@tables"  # one makes the empty folders


@pytest.fixture(scope="module")
def reproduced(make_project: Callable[[], Project]) -> Project:
    """A project after `dvc repro`; read only."""
    project = make_project()
    project.run("dvc", "repro")
    return project


@pytest.fixture
def changeable(reproduced: Project, tmp_path: Path) -> Project:
    """The reproduced project once more, for a test that changes it."""
    return Project(shutil.copytree(reproduced.root, tmp_path / "mlorakit"))


def test_one_command_makes_every_table_and_figure(reproduced: Project) -> None:
    made = reproduced.files("reports")
    tables = (
        "data_statistics",
        "row_account",
        "mlora_wauc",
        "mlora_comparison",
        "mlora_domain_auc",
        "mlora_two_stage",
        "mlora_baselines",
        "lt4rec_data",
        "lt4rec_row_account",
        "lt4rec_floors",
        "lt4rec_tasks",
        "lt4rec_differences",
        "lt4rec_selection",
        "lt4rec_overlap",
        "lt4rec_fields",
    )
    for table in tables:
        for suffix in ("csv", "md", "tex"):
            assert made[f"reports/tables/{table}.{suffix}"]
    for table in ("claims", "claim_tests"):
        assert made[f"reports/claims/{table}.csv"]
    ablations = ("mlora_alpha", "mlora_domains", "mlora_widths", "mlora_overhead")
    for table in (*ablations, "mlora_new_domain"):
        for suffix in ("csv", "md", "tex"):
            assert made[f"reports/ablations/tables/{table}.{suffix}"]
    for figure in ("alpha_generated", "domains", "widths_generated", "new_domain_generated"):
        assert made[f"reports/ablations/figures/{figure}.png"].startswith(b"\x89PNG")
        assert b"<svg" in made[f"reports/ablations/figures/{figure}.svg"]
    figures = (
        "training_curves_generated_mixed",
        "wauc_generated_mixed",
        "baselines_generated_mixed",
        "lt4rec_scores_video_logs",
        "lt4rec_overlap_video_logs",
        "lt4rec_fields_video_logs",
        "lt4rec_curves_video_logs",
    )
    for figure in figures:
        assert made[f"reports/figures/{figure}.png"].startswith(b"\x89PNG")
        assert b"<svg" in made[f"reports/figures/{figure}.svg"]


def test_the_wauc_table_has_a_row_per_cell(reproduced: Project) -> None:
    with (reproduced.root / "reports/tables/mlora_wauc.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["dataset"], r["backbone"], r["variant"]) for r in rows] == [
        ("generated", "deepfm", variant) for variant in ("base", "control", "mlora")
    ]
    for row in rows:
        assert int(row["n_seeds"]) == 2
        assert 0.4 < float(row["wauc_mean"]) < 1
        assert float(row["wauc_std"]) >= 0
        assert float(row["epochs_mean"]) == 2
    params = [int(row["params"]) for row in rows]
    assert params[0] < params[1] < params[2]


def test_the_two_stage_table_has_a_row_per_backbone(reproduced: Project) -> None:
    with (reproduced.root / "reports/tables/mlora_two_stage.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["dataset"], row["backbone"], row["n_seeds"]) == ("generated", "deepfm", "2")
    assert float(row["two_stage_epochs"]) == 2 * float(row["joint_epochs"]) == 4
    difference = float(row["two_stage"]) - float(row["joint"])
    assert float(row["two_stage_minus_joint"]) == pytest.approx(difference, abs=1e-6)
    path = reproduced.root / "reports/history/generated/deepfm-mlora-mixed-two_stage.csv"
    with path.open() as file:
        history = list(csv.DictReader(file))
    assert [(r["epoch"], r["stage"]) for r in history] == 2 * [
        ("1", "1"),
        ("2", "1"),
        ("3", "2"),
        ("4", "2"),
    ]


def test_the_baselines_stand_beside_the_backbones(reproduced: Project) -> None:
    with (reproduced.root / "reports/tables/mlora_baselines.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["kind"], r["model"]) for r in rows] == [
        ("base", "deepfm"),
        ("mlora", "deepfm"),
        ("baseline", "star"),
        ("baseline", "ple"),
    ]
    for row in rows:
        assert (row["n_seeds"], float(row["epochs_mean"])) == ("2", 2)
        assert 0.4 < float(row["wauc_mean"]) < 1
    assert (
        json.loads(
            (
                reproduced.root / "reports/provenance/baselines/generated/baseline-ple-mixed.json"
            ).read_text()
        )["seconds"]
        > 0
    )


def test_the_lt4rec_table_has_a_row_per_method_and_ticket(reproduced: Project) -> None:
    with (reproduced.root / "reports/tables/lt4rec_tasks.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == ["mmoe", "single", "sparse", "ticket-1", "ticket-2"]
    for row in rows.values():
        assert row["dataset"] == "video_logs"
        assert int(row["n_seeds"]) == 2
        assert float(row["ctr_auc_low"]) <= float(row["ctr_auc"]) <= float(row["ctr_auc_high"])
        assert 0 < float(row["cvr_mse_low"]) <= float(row["cvr_mse"])
    shares = [float(rows[name]["kept_share"]) for name in ("single", "ticket-1", "ticket-2")]
    assert shares == pytest.approx([1, 0.2**0.5, 0.2], abs=1e-3)


def test_sparse_sharing_takes_the_tickets_that_were_chosen(reproduced: Project) -> None:
    metrics = {
        name: json.loads(
            (reproduced.root / f"reports/lt4rec/metrics/video_logs/{name}.json").read_text()
        )
        for name in ("prune-ctr", "prune-cvr", "select", "multitask-sparse")
    }
    for task, choice in metrics["select"].items():
        rounds = metrics[f"prune-{task}"]["rounds"]
        assert choice["kept"] == rounds[str(choice["round"])]["kept"]
        assert metrics["multitask-sparse"]["kept"][task] == choice["kept"]
    assert list(metrics["multitask-sparse"]["seeds"]) == ["1", "2"]


def test_sweeps_change_what_they_name(reproduced: Project) -> None:
    def rows(name: str) -> list[dict]:
        with (reproduced.root / f"reports/ablations/tables/{name}.csv").open() as file:
            return list(csv.DictReader(file))

    (alpha,), (domains,), (widths,) = map(rows, ("mlora_alpha", "mlora_domains", "mlora_widths"))
    assert (alpha["alpha"], domains["n_domains"], widths["hidden"]) == ("32", "2", "8x4")
    for row in (alpha, domains, widths):
        assert int(row["n_seeds"]) == 2
        assert 0.4 < float(row["control"]) < 1
        assert 0.4 < float(row["mlora"]) < 1
    assert [row["way"] for row in rows("mlora_new_domain")] == [
        "none",
        "adapter",
        "adapter",
        "full",
    ]


def test_a_second_run_elsewhere_gives_the_same_bytes(
    reproduced: Project, make_project: Callable[[], Project]
) -> None:
    again = make_project()
    # Files of the cache, without its record of which runs gave them: that would replace runs.
    cache = Path(".dvc/cache/files")
    shutil.copytree(reproduced.root / cache, again.root / cache)
    lock = yaml.safe_load((reproduced.root / "dvc.lock").read_text())
    lock["stages"] = {n: s for n, s in lock["stages"].items() if taken_over(n)}
    (again.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    for stage in lock["stages"].values():
        for out in stage["outs"]:
            path = again.root / out["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (reproduced.root / out["path"]).is_dir() else shutil.copy
            copy(reproduced.root / out["path"], path)
    # Side by side, as `make repro` does, where the first run took one stage after the other.
    printed = again.run("python", "-m", "mlorakit.repro", "--jobs", "2")
    stages = again.run("dvc", "stage", "list", "--name-only").split()
    ran = [name for name in stages if f"Running stage '{name}'" in printed]
    assert ran == [name for name in stages if not taken_over(name)]
    first = reproduced.files(*COMPARED, *ALSO_COMPARED)
    second = again.files(*COMPARED, *ALSO_COMPARED)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_nothing_runs_when_nothing_changed(reproduced: Project) -> None:
    assert "up to date" in reproduced.run("dvc", "repro")


def test_a_notebook_opened_run_and_saved_leaves_the_results_up_to_date(
    changeable: Project,
) -> None:
    path = changeable.root / "notebooks/tables.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        cell.execution_count = number + 1
        cell.outputs = [nbformat.v4.new_output("stream", text="something\n")]
        cell.metadata["trusted"] = True
        cell.metadata["execution"] = {"iopub.execute_input": "2030-01-01T00:00:00Z"}
    notebook.metadata.language_info["version"] = "3.99.0"
    notebook.metadata.kernelspec.display_name = "Some other name"
    path.write_text(nbformat.writes(notebook))
    printed = changeable.run("dvc", "repro")
    assert "Running stage 'clean@tables'" in printed
    assert "Running stage 'tables'" not in printed


def test_a_changed_cell_of_a_notebook_runs_its_stage_again(changeable: Project) -> None:
    path = changeable.root / "notebooks/tables.ipynb"
    before = path.read_text()
    path.write_text(before.replace("Rows per domain and split.", "Rows by domain and split."))
    printed = changeable.run("dvc", "repro", "--dry")
    assert "Running stage 'clean@tables'" in printed
    changeable.run("dvc", "repro", "tables")
    table = changeable.root / "reports/tables/data_statistics.md"
    assert table.read_text().startswith("Rows by domain and split.")


def test_tables_name_their_origin_and_no_commit_or_time(reproduced: Project) -> None:
    sources = json.loads((reproduced.root / "reports/tables/sources.json").read_text())
    for origin in sources.values():
        assert set(origin) == {"command", "data", "parameters", "code"}
        assert len(origin["code"]) == len(origin["parameters"]) == 64
    markdown = (reproduced.root / "reports/tables/mlora_wauc.md").read_text()
    assert sources["mlora_wauc"]["code"][:12] in markdown
    assert "dvc repro tables" in markdown


def test_provenance_stands_apart(reproduced: Project) -> None:
    record = json.loads(
        (reproduced.root / "reports/provenance/train/generated/deepfm-mlora-mixed.json").read_text()
    )
    assert record["seconds"] > 0
    assert record["packages"]["torch"]
    new = json.loads(
        (reproduced.root / "reports/provenance/new_domain/generated/deepfm.json").read_text()
    )
    assert set(new["training_seconds"]) == {"1", "2"}
    assert set(new["training_seconds"]["1"]) == {"before", "adapter 0.1", "adapter 1.0", "full"}


def test_metrics_and_plots_show(reproduced: Project) -> None:
    shown = reproduced.run("dvc", "metrics", "show", "--md")
    assert "wauc_mean" in shown
    reproduced.run("dvc", "plots", "show", "--out", "plots-page")
    page = (reproduced.root / "plots-page/index.html").read_text()
    assert "validation_auc" in page
    assert "wauc_mean" in page


def test_an_experiment_changes_a_parameter(changeable: Project) -> None:
    changes = ("-S", "train.max_epochs=1", "-S", "grid.variants=[base]", "-S", 'train.seeds="5"')
    without = ("-S", "two_stage.backbones=[]", "-S", "baselines.models=[]")
    changeable.run("dvc", "exp", "run", *changes, *without, "tables")
    with (changeable.root / "reports/tables/mlora_wauc.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["variant"], row["n_seeds"], float(row["epochs_mean"])) == ("base", "1", 1)
