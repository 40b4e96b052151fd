"""Tables as CSV, Markdown and LaTeX, each with what it was made from."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from mlorakit import paths
from mlorakit.data.dataset import describe
from mlorakit.data.spec import file_hash
from mlorakit.provenance import code_hash, digest

_SHOWN = 12  # digits of a hash in a footnote; sources.json holds all 64


@dataclass(frozen=True)
class Origin:
    """What a table was made from. No commit and no time: equal runs share every field.

    Args:
        command: that makes it.
        data: SHA-256 of each data set's dataset.json, or of each file of numbers that it was
            computed from.
        parameters: SHA-256 of the sections of params.yaml behind it.
        code: SHA-256 of the modules and notebooks behind it.
    """

    command: str
    data: dict[str, str]
    parameters: str
    code: str

    def sentence(self) -> str:
        """For a footnote."""
        data = ", ".join(f"{name} {value[:_SHOWN]}" for name, value in self.data.items())
        return (
            f"Made by `{self.command}` from data {data}; parameters {self.parameters[:_SHOWN]}; "
            f"code {self.code[:_SHOWN]} (SHA-256, in full in sources.json)."
        )


def origin(datasets: tuple[str, ...], command: str, more: tuple[str, ...] = ()) -> Origin:
    """The origin of a table over these data sets, from the project as it stands.

    Args:
        datasets: names.
        command: that makes the table.
        more: sections of params.yaml behind it, beside those of the grid.
    """
    folders = {name: paths.processed_dir(name) for name in datasets}
    return _origin(folders, ("preprocess", "grid", "train", *more), "datasets", command)


def baseline_origin(datasets: tuple[str, ...], command: str) -> Origin:
    """The origin of a table over the baselines too of these data sets, from the project."""
    folders = {name: paths.processed_dir(name) for name in datasets}
    sections = ("preprocess", "grid", "train", "baselines")
    return _origin(folders, sections, "datasets", command)


def task_origin(datasets: tuple[str, ...], command: str) -> Origin:
    """The origin of a table over these data sets of two tasks, from the project as it stands."""
    folders = {name: paths.task_dir(name) for name in datasets}
    return _origin(folders, ("preprocess", "lt4rec"), "task_datasets", command)


def ablation_origin(datasets: tuple[str, ...], command: str) -> Origin:
    """The origin of a table of ablations over these data sets, from the project as it stands."""
    folders = {name: paths.processed_dir(name) for name in datasets}
    sections = ("preprocess", "grid", "train", "ablations", "new_domain")
    return _origin(folders, sections, "datasets", command)


def file_origin(files: Sequence[Path], behind: Sequence[Origin], command: str) -> Origin:
    """The origin of a table that is computed from other tables' files.

    Args:
        files: what was read.
        behind: the origins of those tables, whose parameters count.
        command: that makes it.
    """
    return Origin(
        command=command,
        data={path.name: file_hash(path) for path in files},
        parameters=digest([source.parameters for source in behind]),
        code=code_hash(),
    )


def _origin(
    folders: dict[str, Path], sections: tuple[str, ...], described: str, command: str
) -> Origin:
    """Args: folders of the processed data sets; sections of params.yaml that count as a whole, and
    the one that describes the data sets, of which only these count.
    """
    params = paths.params()
    values = {k: params[k] for k in sections}
    values[described] = {name: params[described][name] for name in folders}
    return Origin(
        command=command,
        data={name: describe(folder)[1] for name, folder in folders.items()},
        parameters=digest(values),
        code=code_hash(),
    )


def write_table(
    folder: Path,
    name: str,
    frame: pd.DataFrame,
    source: Origin,
    *,
    caption: str,
    readable: pd.DataFrame | None = None,
) -> None:
    """Write name.csv, name.md and name.tex, and note the origin in sources.json.

    A table without rows, of a grid without data sets, is not written.

    Args:
        folder: of the tables.
        name: without suffix.
        frame: the CSV's content.
        source: where the numbers come from.
        caption: one sentence.
        readable: the content of Markdown and LaTeX, if other than `frame`.
    """
    if frame.empty:
        return
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.8g", lineterminator="\n")
    shown = as_text(frame if readable is None else readable)
    markdown = f"{caption}\n\n{markdown_table(shown)}\n\n{source.sentence()}\n"
    (folder / f"{name}.md").write_text(markdown)
    (folder / f"{name}.tex").write_text(latex_table(shown, name, caption, source))
    sources = folder / "sources.json"
    known = json.loads(sources.read_text()) if sources.is_file() else {}
    known[name] = asdict(source)
    sources.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


@dataclass(frozen=True)
class ShownTable:
    """A table of strings as a notebook shows it: all rows and whole texts."""

    frame: pd.DataFrame

    def __repr__(self) -> str:
        return self.frame.to_string()

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.frame.to_html()


def show_table(frame: pd.DataFrame) -> ShownTable | None:
    """What a notebook's cell ends with to show a table, written as in Markdown.

    A table without rows is not shown.
    """
    return None if frame.empty else ShownTable(as_text(frame))


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame in strings: four decimals, blanks where there is no value."""
    shown = frame.astype(object)
    return shown.where(shown.notna(), "").map(_text)


def markdown_table(frame: pd.DataFrame) -> str:
    """A GitHub table of a frame of strings; columns of numbers stand to the right."""
    right = [all(_numeric(v) for v in frame[c] if v) for c in frame.columns]
    lines = [
        "| " + " | ".join(map(str, frame.columns)) + " |",
        "|" + "|".join("---:" if r else "---" for r in right) + "|",
    ]
    rows = ([text.replace("|", r"\|") for text in row] for row in frame.to_numpy().tolist())
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def latex_table(frame: pd.DataFrame, name: str, caption: str, source: Origin) -> str:
    """A booktabs table of a frame of strings, with the origin as a comment."""
    right = "".join("r" if all(_numeric(v) for v in frame[c] if v) else "l" for c in frame.columns)
    rows = [[_latex(v) for v in row] for row in [list(frame.columns), *frame.to_numpy().tolist()]]
    body = [" & ".join(row) + r" \\" for row in rows]
    return "\n".join(
        [
            f"% {source.sentence()}",
            r"\begin{table}",
            rf"\caption{{{_latex(caption)}}}",
            rf"\label{{tab:{name}}}",
            rf"\begin{{tabular}}{{{right}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _numeric(text: str) -> bool:
    return text.lstrip("<+-−")[:1].isdigit()


def _latex(text: str) -> str:
    for plain, escaped in (("\\", r"\textbackslash{}"), ("&", r"\&"), ("%", r"\%"), ("_", r"\_")):
        text = text.replace(plain, escaped)
    return text.replace("±", r"$\pm$").replace("−", "$-$").replace("<", "$<$")
