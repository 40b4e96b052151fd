"""A papermill engine whose executed notebooks are a function of code and parameters."""

from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from papermill.engines import NBClientEngine


class ReproducibleEngine(NBClientEngine):
    """papermill's own engine, without what differs between equal runs.

    Left out of the executed notebook: timing, the paths and versions that papermill notes down,
    ids of cells, and stderr, which carries progress for people. Streams of one cell are joined:
    they are cut wherever the kernel happened to flush. A failing cell still fails the run.
    """

    @classmethod
    def execute_notebook(
        cls, nb: NotebookNode, kernel_name: str, output_path: str | None = None, **kwargs: Any
    ) -> NotebookNode:
        """Execute a notebook for papermill, which saves it afterwards."""
        if output_path:
            Path(output_path).parent.mkdir(parents=True, exist_ok=True)
        nb = super().execute_notebook(
            nb, kernel_name, output_path, record_timing=False, coalesce_streams=True, **kwargs
        )
        make_reproducible(nb)
        return nb


def make_reproducible(notebook: NotebookNode) -> None:
    """Remove from an executed notebook what differs between equal runs."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        if "id" in cell:
            cell["id"] = f"cell-{number}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
