"""Executed notebooks hold nothing that differs between equal runs."""

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from papermill.engines import NBClientEngine, papermill_engines

from mlorakit.engine import ReproducibleEngine, make_reproducible


def executed(started: str, cell_ids: str) -> NotebookNode:
    """A notebook as papermill's own engine leaves it."""
    code = new_code_cell(
        "fit()",
        execution_count=1,
        outputs=[
            new_output("stream", name="stdout", text="2 domains\n"),
            new_output("stream", name="stderr", text=f"epoch 1 at {started}\n"),
            new_output("execute_result", {"text/plain": "0.75"}, execution_count=1),
            new_output("display_data", {"image/png": "iVBO"}),
        ],
    )
    code.metadata |= {
        "tags": ["parameters"],
        "papermill": {"start_time": started, "duration": 1.5},
        "execution": {"iopub.execute_input": started},
    }
    text = new_markdown_cell("Fit")
    text.metadata["papermill"] = {"start_time": started}
    code["id"], text["id"] = f"{cell_ids}1", f"{cell_ids}0"
    return new_notebook(
        cells=[text, code],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "papermill": {"output_path": f"out-{started}.ipynb", "version": "2.7"},
        },
    )


def test_equal_runs_leave_equal_notebooks() -> None:
    first, second = executed("12:00", "a"), executed("13:00", "b")
    assert nbformat.writes(first) != nbformat.writes(second)
    make_reproducible(first)
    make_reproducible(second)
    assert nbformat.writes(first) == nbformat.writes(second)
    nbformat.validate(first)


def test_results_code_and_tags_stay() -> None:
    notebook = executed("12:00", "a")
    make_reproducible(notebook)
    text, code = notebook.cells
    assert (text.source, code.source) == ("Fit", "fit()")
    assert code.metadata == {"tags": ["parameters"]}
    assert code.execution_count == 1
    stream, result, image = code.outputs
    assert (stream.name, stream.text) == ("stdout", "2 domains\n")
    assert result.data == {"text/plain": "0.75"}
    assert image.data == {"image/png": "iVBO"}
    assert notebook.metadata == {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


def test_cells_without_ids_get_none() -> None:
    notebook = nbformat.from_dict(
        {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": {},
            "cells": [{"cell_type": "markdown", "metadata": {}, "source": "old"}],
        }
    )
    make_reproducible(notebook)
    assert "id" not in notebook.cells[0]


def test_papermill_knows_the_engine_by_name() -> None:
    papermill_engines.register_entry_points()
    assert papermill_engines.get_engine("mlorakit") is ReproducibleEngine


def test_the_engine_makes_the_output_folder_and_strips_what_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = executed("12:00", "a")
    asked = {}

    def execute(cls: type, nb: NotebookNode, *args: object, **kwargs: object) -> NotebookNode:
        asked.update(kwargs)
        return ran

    monkeypatch.setattr(NBClientEngine, "execute_notebook", classmethod(execute))
    output = tmp_path / "reports" / "notebooks" / "a.ipynb"
    found = ReproducibleEngine.execute_notebook(new_notebook(), "python3", str(output))
    assert output.parent.is_dir()
    assert found.cells[0]["id"] == "cell-0"
    assert "papermill" not in found.metadata
    assert asked == {"record_timing": False, "coalesce_streams": True}
