"""`python -m mlorakit.report.readme`: put the committed results table into README.md."""

import re
from pathlib import Path

from mlorakit import paths

_BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


def with_results(readme: str, table: str) -> str:
    """README text whose results block holds the table.

    Raises:
        ValueError: the README has no results block.
    """
    if not _BLOCK.search(readme):
        raise ValueError("README.md lacks the lines <!-- results --> and <!-- /results -->.")
    return _BLOCK.sub(lambda found: f"{found[1]}{table}{found[2]}", readme)


def results_table() -> str:
    """reports/tables/mlora_comparison.md."""
    return paths.reports_dir("tables", "mlora_comparison.md").read_text()


def update(readme: Path) -> None:
    """Rewrite the results block of README.md."""
    readme.write_text(with_results(readme.read_text(), results_table()))


if __name__ == "__main__":
    update(paths.root() / "README.md")
