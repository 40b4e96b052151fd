"""The modules that decide a notebook's results."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mlorakit.used_code import _INCIDENTAL, used_modules, write_used_code

PACKAGE = {
    "__init__": "",
    "cells": "import torch\nfrom mlorakit import progress, training\n",
    "training": "def fit():\n    from mlorakit.kernels.dense import product\n",
    "progress": "import mlorakit.report.pages\n",  # incidental, and so what it imports
    "kernels/__init__": "",
    "kernels/dense": "",
    "kernels/pairs": "import mlorakit.metrics\n",  # of no other module
    "metrics": "",
    "report/__init__": "",
    "report/pages": "",
    "spare": "",
}
USED = ["cells", "kernels/__init__", "kernels/dense", "kernels/pairs", "metrics", "training"]


@pytest.fixture
def small(project: Path) -> Path:
    """A project with a package of its own; the path is that of a notebook that uses it."""
    for name, source in PACKAGE.items():
        path = project / f"mlorakit/{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    cells = [
        nbformat.v4.new_markdown_cell("import mlorakit.spare"),
        nbformat.v4.new_code_cell("from mlorakit.cells import run\n\nrun()"),
    ]
    (project / "notebooks").mkdir()
    notebook = project / "notebooks/one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    return notebook


def test_modules_are_found_through_others_and_in_functions(small: Path) -> None:
    package = small.parent.parent / "mlorakit"
    assert used_modules(small) == [package / f"{name}.py" for name in USED]


def test_the_file_changes_with_what_is_used_and_with_nothing_else(small: Path) -> None:
    package, file = small.parent.parent / "mlorakit", small.parent.parent / "build/code/one.json"

    def written() -> dict[str, str]:
        write_used_code(small, file)
        return json.loads(file.read_text())

    before = written()
    assert list(before) == [f"mlorakit/{name}.py" for name in USED]
    for name in ("spare", "progress", "report/pages"):
        (package / f"{name}.py").write_text("changed = True\n")
    (package / "new.py").write_text("")
    assert written() == before
    (package / "metrics.py").write_text("changed = True\n")
    after = written()
    assert {name for name in before if before[name] != after[name]} == {"mlorakit/metrics.py"}


def test_cells_of_the_grid_use_the_models_and_no_page(checkout: Path) -> None:
    names = {path.stem for path in used_modules(checkout / "notebooks/train.ipynb")}
    assert {"cells", "training", "adam", "backbone", "deep", "factorization"} <= names
    assert not names & {"lt4rec", "tables", "readme", "baselines", "config", "planted_log"}


def test_what_counts_as_incidental_is_there(checkout: Path) -> None:
    assert [n for n in _INCIDENTAL if not (checkout / f"mlorakit/{n}.py").is_file()] == []


def test_a_notebook_that_is_not_there_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlorakit.used_code", "no.ipynb", str(tmp_path / "no.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "There is no notebook no.ipynb.\n")
    assert not (tmp_path / "no.json").exists()
