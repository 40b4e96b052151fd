"""Every path starts at the project's root, wherever a notebook runs."""

import os
from pathlib import Path

import pytest

import mlorakit
from mlorakit import paths


def test_the_root_is_found_from_any_folder_below_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paths.root() == project
    below = project / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert paths.root() == project


def test_the_nearest_project_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = project / "build" / "demo"
    (inner / "mlorakit").mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert paths.root() == project  # a folder without params.yaml and dvc.yaml is no project
    for name in ("params.yaml", "dvc.yaml"):
        (inner / name).write_text((project / name).read_text())
    assert paths.root() == inner


def test_outside_any_project_the_installed_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.root() == Path(mlorakit.__file__).resolve().parent.parent


def test_where_things_are(project: Path) -> None:
    assert paths.raw_dir("movielens") == project / "data" / "raw" / "movielens"
    assert paths.processed_dir("age") == project / "data" / "processed" / "age"
    assert paths.task_dir("census") == project / "data" / "processed" / "tasks" / "census"
    assert paths.reports_dir("tables", "a.csv") == project / "reports" / "tables" / "a.csv"
    assert paths.checkpoint_dir("key") == project / ".checkpoints" / "key"


def test_a_change_of_the_parameters_is_seen(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text("train: {patience: 3}\n")
    os.utime(path, (1, 1))
    assert paths.params() == {"train": {"patience": 3}}
    path.write_text("train: {patience: 4}\n")
    os.utime(path, (2, 2))
    assert paths.params() == {"train": {"patience": 4}}


def test_provenance_stands_beside_results_of_a_run_by_hand_and_apart_from_the_pipelines(
    project: Path,
) -> None:
    for into in ("reports", "reports/lt4rec", "reports/ablations/points"):
        assert paths.provenance_dir(into) == project / "reports/provenance"
    assert paths.provenance_dir("reports/scratch") == project / "reports/scratch/provenance"
