"""Hashes that equal runs share, and circumstances that they do not."""

import hashlib
import json
import subprocess
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from mlorakit.provenance import Provenance, code_hash, digest, machine


@pytest.fixture
def code(project: Path) -> Path:
    """The project with a module and a notebook."""
    (project / "mlorakit" / "data").mkdir()
    (project / "mlorakit" / "data" / "rows.py").write_text("x = 1\n")
    (project / "notebooks").mkdir()
    write_notebook(project, "fit()")
    return project


def write_notebook(project: Path, source: str, **metadata: object) -> None:
    cell = new_code_cell(source)
    cell["id"] = "a"
    notebook = new_notebook(cells=[cell], metadata=metadata)
    nbformat.write(notebook, project / "notebooks" / "train.ipynb")


def test_a_digest_is_that_of_canonical_json() -> None:
    assert digest({"b": [1, "x"], "a": None}) == digest({"a": None, "b": [1, "x"]})
    assert digest({"a": 1}) == hashlib.sha256(b'{"a": 1}').hexdigest()
    assert digest({"a": 1}) != digest({"a": "1"})


def test_the_code_hash_follows_modules_and_cells(code: Path) -> None:
    before = code_hash()
    (code / "mlorakit" / "data" / "rows.py").write_text("x = 2\n")
    changed_module = code_hash()
    write_notebook(code, "fit(2)")
    assert len({before, changed_module, code_hash()}) == 3
    (code / "mlorakit" / "data" / "rows.py").write_text("x = 1\n")
    write_notebook(code, "fit()")
    assert code_hash() == before


def test_the_code_hash_follows_the_names_of_modules(code: Path) -> None:
    before = code_hash()
    (code / "mlorakit" / "data" / "rows.py").rename(code / "mlorakit" / "data" / "rows2.py")
    assert code_hash() != before


def test_opening_a_notebook_and_other_files_leave_the_code_hash(code: Path) -> None:
    before = code_hash()
    write_notebook(code, "fit()", kernelspec={"name": "other", "display_name": "Other"})
    (code / "README.md").write_text("changed")
    (code / "mlorakit" / "notes.txt").write_text("changed")
    assert code_hash() == before


def test_results_made_anew_are_no_change_of_the_commit(project: Path) -> None:
    def git(*arguments: str) -> str:
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        done = subprocess.run(
            ["git", *author, *arguments], cwd=project, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def recorded() -> object:
        return json.loads(Provenance("run").write().read_text())["commit"]

    assert recorded() is None
    for name in ("reports/table.csv", "dvc.lock", "code.py"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("old")
    git("init", "--quiet")
    git("add", "--all", "--force")
    git("commit", "--quiet", "--message", "start")
    commit = git("rev-parse", "HEAD")
    for name in ("reports/table.csv", "dvc.lock"):
        (project / name).write_text("new")
        assert recorded() == commit
    (project / "code.py").write_text("new")
    assert recorded() == f"{commit}-dirty"


def test_the_record_holds_times_machine_packages_and_facts(project: Path) -> None:
    path = Provenance("train/movielens/mlp-base-mixed").write(device="cpu")
    expected = project / "reports/provenance/train/movielens/mlp-base-mixed.json"
    assert path == expected
    record = json.loads(path.read_text())
    assert set(record) == {"started", "seconds", "commit", "machine", "packages", "device"}
    assert datetime.fromisoformat(record["started"]).utcoffset() is not None
    assert 0 <= record["seconds"] < 60
    assert record["commit"] is None  # the project is no git checkout
    assert record["device"] == "cpu"
    assert record["packages"]["torch"].startswith("2.")


def test_the_record_may_go_to_another_folder(project: Path, tmp_path: Path) -> None:
    path = Provenance("tables").write(tmp_path / "elsewhere")
    assert path == tmp_path / "elsewhere" / "tables.json"
    assert not (project / "reports").exists()


def test_the_machine_is_told_in_a_few_words() -> None:
    found = machine()
    assert found["threads"] == 1
    assert found["cores"] >= 1
    assert found["python"].startswith("3.")
    assert found["cpu"]
