"""`python -m mlorakit.report.readme`: put the committed tables into README.md."""

import re
from pathlib import Path

from mlorakit import paths

BLOCKS = {
    "results": "tables/mlora_comparison",
    "baseline-results": "tables/mlora_baselines",
    "alpha-results": "ablations/tables/mlora_alpha",
    "new-domain-results": "ablations/tables/mlora_new_domain",
    "lt4rec-results": "tables/lt4rec_tasks",
    "benchmarks": "benchmarks/summary",
}
"""The README's marked blocks, and the table below reports/ that each shows."""


def with_results(readme: str, table: str, block: str = "results") -> str:
    """README text whose block holds the table.

    Raises:
        ValueError: the README has no such block.
    """
    found = re.compile(rf"(<!-- {block} -->\n).*?(<!-- /{block} -->)", re.DOTALL)
    if not found.search(readme):
        raise ValueError(f"README.md lacks the lines <!-- {block} --> and <!-- /{block} -->.")
    return found.sub(lambda match: f"{match[1]}{table}{match[2]}", readme)


def updated(readme: str, folder: Path) -> str:
    """README text with the tables of a folder of reports; a block whose table was not made stays
    as it is.
    """
    for block, name in BLOCKS.items():
        path = folder / f"{name}.md"
        if path.is_file():
            readme = with_results(readme, path.read_text(), block)
    return readme


def update(readme: Path) -> None:
    """Rewrite the marked blocks of README.md."""
    readme.write_text(updated(readme.read_text(), paths.reports_dir()))


if __name__ == "__main__":
    update(paths.root() / "README.md")
