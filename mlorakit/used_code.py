"""`python -m mlorakit.used_code NOTEBOOK FILE`: the modules that decide a notebook's results.

It writes the hash of each module that the notebook imports, that these import, and so on. Stages
depend on this file and not on the package: a module that is new, or that other notebooks use, must
not train every cell again.
"""

import argparse
import ast
import json
import sys
from pathlib import Path

from mlorakit import paths
from mlorakit.data.spec import file_hash
from mlorakit.whole import whole_file

_INCIDENTAL = {
    # Where things are, what is shown, and what is written beside results and how.
    *("__init__", "paths", "provenance", "progress", "whole"),
    # Checks of parameters that DVC passes.
    *("config", "config_base", "train_config", "task_config", "baseline_config"),
    *("ablation_config", "new_domain_config"),
    # The constant that names the splits, rows' error class, and a file's hash.
    *("data/__init__", "data/splits", "data/rows", "data/spec"),
    # What opens processed data, whose makers the data depends on.
    *("data/prepare", "data/prepare_tasks"),
    *("released_notebook", "report/figures"),  # files of others; how figures look
    "layers/__init__",  # nothing but a docstring
}
"""Modules below mlorakit that decide no results, and what they import decides none."""

_KERNELS = "kernels"
"""A folder of which all modules count if one does: the kernels compile into each other."""


def imports_of(path: Path) -> set[str]:
    """The names of all that a module or notebook imports, wherever it does.

    What is imported from a module is among them as if it were a module.
    """
    found = set()
    for node in ast.walk(ast.parse(_source_of(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def used_modules(notebook: Path) -> list[Path]:
    """The files of the modules that decide a notebook's results, in order.

    Args:
        notebook: whose cells are Python without magics.
    """
    package = paths.root() / "mlorakit"
    incidental = {package / f"{name}.py" for name in _INCIDENTAL}
    seen: set[Path] = set()
    waiting = [notebook]
    while waiting:
        path = waiting.pop()
        if path not in seen | incidental:
            seen.add(path)
            files = (_file_of(name) for name in imports_of(path) if name.startswith("mlorakit"))
            waiting += [file for file in files if file is not None]
            if path.parent == package / _KERNELS:
                waiting += path.parent.glob("*.py")
    return sorted(seen - {notebook})


def write_used_code(notebook: Path, file: Path) -> None:
    """Write the SHA-256 of each of `used_modules` as JSON, by the module's path in the project.

    Args:
        notebook: see `used_modules`.
        file: to write.
    """
    hashes = {
        path.relative_to(paths.root()).as_posix(): file_hash(path)
        for path in used_modules(notebook)
    }
    with whole_file(file) as writing:
        writing.write_text(json.dumps(hashes, indent=1) + "\n")


def _source_of(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


def _file_of(module: str) -> Path | None:
    path = paths.root().joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m mlorakit.used_code", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if not arguments.notebook.is_file():
        sys.exit(f"There is no notebook {arguments.notebook}.")
    write_used_code(arguments.notebook, arguments.file)
