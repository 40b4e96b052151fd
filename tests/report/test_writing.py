"""Tables as CSV, Markdown and LaTeX, with what they were made from."""

import hashlib
import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_notebook

from mlorakit.data.rows import DataError
from mlorakit.report.writing import (
    Origin,
    file_origin,
    markdown_table,
    origin,
    show_table,
    task_origin,
    write_table,
)

from ..conftest import SetParams
from .task_tree import Tree

SOURCE = Origin("dvc repro tables", {"generated": "a" * 64}, "b" * 64, "c" * 64)
FRAME = pd.DataFrame(
    {
        "backbone": ["deepfm", "mlp"],
        "wauc": [0.8123456789012, 0.5],
        "rows": [1200, 3],
        "note": ["up by 5 %", None],
    }
)


def written(folder: Path, frame: pd.DataFrame = FRAME, **more: pd.DataFrame) -> dict[str, str]:
    write_table(folder, "mlora_wauc", frame, SOURCE, caption="WAUC of 100 % of rows.", **more)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_csv_holds_eight_digits(tmp_path: Path) -> None:
    assert written(tmp_path)["mlora_wauc.csv"].splitlines() == [
        "backbone,wauc,rows,note",
        "deepfm,0.81234568,1200,up by 5 %",
        "mlp,0.5,3,",
    ]


def test_markdown_puts_numbers_to_the_right_and_says_its_origin(tmp_path: Path) -> None:
    assert written(tmp_path)["mlora_wauc.md"].splitlines() == [
        "WAUC of 100 % of rows.",
        "",
        "| backbone | wauc | rows | note |",
        "|---|---:|---:|---|",
        "| deepfm | 0.8123 | 1200 | up by 5 % |",
        "| mlp | 0.5000 | 3 |  |",
        "",
        "Made by `dvc repro tables` from data generated aaaaaaaaaaaa; parameters bbbbbbbbbbbb; "
        "code cccccccccccc (SHA-256, in full in sources.json).",
    ]


def test_latex_is_escaped(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"data_set": [r"a\b & 5 %"], "difference": ["−0.1 ± 0.2"], "p": ["<1e-300"]}
    )
    lines = written(tmp_path, frame)["mlora_wauc.tex"].splitlines()
    assert lines[0].startswith("% Made by `dvc repro tables` ")
    assert lines[1:] == [
        r"\begin{table}",
        r"\caption{WAUC of 100 \% of rows.}",
        r"\label{tab:mlora_wauc}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"data\_set & difference & p \\",
        r"\midrule",
        r"a\textbackslash{}b \& 5 \% & $-$0.1 $\pm$ 0.2 & $<$1e-300 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_markdown_cells_may_hold_a_bar() -> None:
    table = markdown_table(pd.DataFrame({"domain": ["Comedy|Romance"], "rows": ["3"]}))
    assert table.splitlines()[-1] == r"| Comedy\|Romance | 3 |"


def test_a_notebook_shows_all_rows_and_whole_texts() -> None:
    frame = pd.DataFrame({"text": ["x" * 200] * 70, "share": [0.5, None] * 35, "floor": pd.NA})
    shown = show_table(frame)
    assert shown is not None
    page = shown._repr_html_()
    assert page.count("x" * 200) == repr(shown).count("x" * 200) == 70
    assert page.count("<td>0.5000</td>") == page.count("<td></td>\n      <td></td>") == 35
    assert "NaN" not in page
    assert "NA&gt;" not in page
    assert show_table(pd.DataFrame()) is None


def test_a_readable_form_is_shown_and_the_numbers_are_stored(tmp_path: Path) -> None:
    readable = pd.DataFrame({"backbone": ["DeepFM"], "WAUC": ["0.8123 ± 0.0010"]})
    files = written(tmp_path, readable=readable)
    assert "| DeepFM | 0.8123 ± 0.0010 |" in files["mlora_wauc.md"]
    assert r"DeepFM & 0.8123 $\pm$ 0.0010 \\" in files["mlora_wauc.tex"]
    assert "0.81234568" in files["mlora_wauc.csv"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(tmp_path / "first")
    assert written(tmp_path / "second") == first
    assert written(tmp_path / "first") == first  # over the earlier files, too


def test_sources_are_kept_by_table_and_in_full(tmp_path: Path) -> None:
    written(tmp_path)
    write_table(tmp_path, "account", FRAME, SOURCE, caption="Rows.")
    stored = json.loads((tmp_path / "sources.json").read_text())
    assert list(stored) == ["account", "mlora_wauc"]
    assert stored["account"] == {
        "command": "dvc repro tables",
        "data": {"generated": "a" * 64},
        "parameters": "b" * 64,
        "code": "c" * 64,
    }


def test_a_table_without_rows_is_not_written(tmp_path: Path) -> None:
    assert written(tmp_path, pd.DataFrame()) == {}


@pytest.fixture
def notebooks(prepared_project: Path) -> Path:
    folder = prepared_project / "notebooks"
    folder.mkdir()
    nbformat.write(new_notebook(), folder / "tables.ipynb")
    return folder


@pytest.mark.usefixtures("notebooks")
def test_the_origin_is_that_of_the_project(prepared_project: Path, set_params: SetParams) -> None:
    first = origin(("generated",), "dvc repro tables")
    path = prepared_project / "data" / "processed" / "generated" / "dataset.json"
    assert first.data == {"generated": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert origin(("generated",), "dvc repro tables") == first
    set_params(generated={"seed": 99}, datasets={"other": {}})  # no part of these tables
    assert origin(("generated",), "dvc repro tables") == first
    set_params(train={"dropout": 0.1})
    changed = origin(("generated",), "dvc repro tables")
    assert changed.parameters != first.parameters
    assert changed.code == first.code
    (prepared_project / "mlorakit" / "new.py").write_text("x = 1\n")
    assert origin(("generated",), "dvc repro tables").code != first.code


@pytest.mark.usefixtures("notebooks")
def test_the_origin_of_two_tasks_is_that_of_their_data_and_settings(
    tree: Tree, set_params: SetParams
) -> None:
    first = task_origin(("movielens", "census"), "dvc repro tables")
    path = tree.root / "data" / "processed" / "tasks" / "census" / "dataset.json"
    assert list(first.data) == ["movielens", "census"]
    assert first.data["census"] == hashlib.sha256(path.read_bytes()).hexdigest()
    set_params(train={"dropout": 0.1}, task_datasets={"other": {}})  # no part of these tables
    assert task_origin(("movielens", "census"), "dvc repro tables") == first
    set_params(lt4rec={"rounds": 7})
    changed = task_origin(("movielens", "census"), "dvc repro tables")
    assert changed.parameters != first.parameters
    assert changed.data == first.data


@pytest.mark.usefixtures("notebooks")
def test_data_that_are_not_there_are_named() -> None:
    with pytest.raises(DataError, match="movielens holds no processed data set"):
        origin(("generated", "movielens"), "dvc repro tables")


def test_a_table_of_other_tables_hashes_their_files(project: Path) -> None:
    path = project / "mlora_wauc.csv"
    path.write_text("numbers\n")
    found = file_origin([path], [SOURCE], "dvc repro tables")
    assert found.data == {"mlora_wauc.csv": hashlib.sha256(b"numbers\n").hexdigest()}
    changed = Origin(SOURCE.command, SOURCE.data, "d" * 64, SOURCE.code)
    assert file_origin([path], [changed], "dvc repro tables").parameters != found.parameters
    assert "data mlora_wauc.csv" in found.sentence()
