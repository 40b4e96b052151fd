"""`python -m mlorakit.report.readme`: put the committed results tables into README.md."""

import re
from pathlib import Path

from mlorakit import paths

BLOCKS = {
    "results": "mlora_comparison",
    "alpha-results": "mlora_alpha",
    "new-domain-results": "mlora_new_domain",
    "lt4rec-results": "lt4rec_tasks",
}
"""The README's marked blocks, and the table that each shows."""


def with_results(readme: str, table: str, block: str = "results") -> str:
    """README text whose block holds the table.

    Raises:
        ValueError: the README has no such block.
    """
    found = re.compile(rf"(<!-- {block} -->\n).*?(<!-- /{block} -->)", re.DOTALL)
    if not found.search(readme):
        raise ValueError(f"README.md lacks the lines <!-- {block} --> and <!-- /{block} -->.")
    return found.sub(lambda match: f"{match[1]}{table}{match[2]}", readme)


def updated(readme: str, *folders: Path) -> str:
    """README text with the tables of some folders; a block whose table was not made stays as it
    is.
    """
    for block, name in BLOCKS.items():
        for folder in folders:
            path = folder / f"{name}.md"
            if path.is_file():
                readme = with_results(readme, path.read_text(), block)
    return readme


def update(readme: Path) -> None:
    """Rewrite the results blocks of README.md."""
    folders = (paths.reports_dir("tables"), paths.reports_dir("ablations", "tables"))
    readme.write_text(updated(readme.read_text(), *folders))


if __name__ == "__main__":
    update(paths.root() / "README.md")
