"""Progress of long work: a bar for people, plain lines for logs. Always on stderr, which the
papermill engine leaves out of executed notebooks, so the timings here never reach a result.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm  # never tqdm.auto: its widgets make equal notebook runs differ

_SECONDS_BETWEEN_LINES = 10


def _watched() -> bool:
    """Whether a person sees stderr as it is written: a terminal, or JupyterLab."""
    return sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ


class _Lines:
    """A stream that ends each of tqdm's redrawn lines instead of returning to its start."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n")
        if line:
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        sys.stderr.flush()


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    description: str,
    unit: str = "it",
) -> tqdm:
    """Show how far long work has come: count, rate and time left.

    Args:
        iterable: what to iterate over; leave it out to count by hand with `update(n)`.
        total: number of units in all; taken from `len(iterable)` where that is known.
        description: what is being done.
        unit: name of one unit; "B" means bytes.
    """
    watched = _watched()
    return tqdm(
        iterable,
        total=total,
        desc=description,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        mininterval=0.1 if watched else _SECONDS_BETWEEN_LINES,
        file=sys.stderr if watched else _Lines(),
    )


class EpochProgress:
    """Reports the epochs of a fit; pass it as `on_epoch`.

    Args:
        description: what is being trained, in front of each line.
    """

    def __init__(self, description: str) -> None:
        self._description = description
        self._bar = progress(description=description, unit="epochs") if _watched() else None

    def __call__(self, record: Any, pace: Any) -> None:
        """Show an `EpochRecord` and its `Pace`."""
        text = (
            f"validation AUC {record.validation_auc:.4f}, loss {record.train_loss:.4f}, "
            f"{pace.rows_per_second:,.0f} rows/s, {pace.seconds_left:.0f} s or more left"
        )
        if self._bar is None:
            line = f"{self._description}, epoch {record.epoch}: {text}"
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
