"""Progress of long work: a bar for people, plain lines for logs. Always on stderr, which the
papermill engine leaves out of executed notebooks, so the timings here never reach a result.
"""

import os
import sys
import time
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


class _Steps:
    """Reports steps of some length: a bar for a person, a line each for a log.

    Args:
        description: what is being done, in front of each line.
        total: number of steps; None where it is not known.
    """

    def __init__(self, description: str, total: int | None = None) -> None:
        self._description = description
        self._bar = (
            progress(total=total, description=description, unit="epochs") if _watched() else None
        )

    def _show(self, done: int, line: str, beside: str) -> None:
        """Report that `done` steps are done: by a line, or a text beside the bar."""
        if self._bar is None:
            print(f"{self._description}, {line}", file=sys.stderr, flush=True)
        else:
            self._bar.set_postfix_str(beside, refresh=False)
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()


class EpochProgress(_Steps):
    """Reports the epochs of a fit; pass it as `on_epoch`.

    Args:
        description: what is being trained, in front of each line.
    """

    def __call__(self, record: Any, pace: Any) -> None:
        """Show an `EpochRecord` and its `Pace`."""
        text = (
            f"validation AUC {record.validation_auc:.4f}, loss {record.train_loss:.4f}, "
            f"{pace.rows_per_second:,.0f} rows/s, {pace.seconds_left:.0f} s or more left"
        )
        stage = f"stage {record.stage}, " if record.stage else ""
        self._show(record.epoch, f"{stage}epoch {record.epoch}: {text}", stage + text)


class StepProgress(_Steps):
    """Reports epochs of several fits, whose number is known, and the time that is left.

    Args:
        description: what is being trained, in front of each line.
        total: number of epochs.
    """

    def __init__(self, description: str, total: int) -> None:
        super().__init__(description, total)
        self._total = total
        self._started = time.perf_counter()
        self._first: int | None = None

    def __call__(self, done: int, text: str) -> None:
        """Show that `done` epochs are done, and what the latest of them gave."""
        if self._first is None:  # a resumed run starts behind epochs that took it no time
            self._first = done - 1
        pace = (time.perf_counter() - self._started) / (done - self._first)
        left = f"{done} of {self._total} epochs, {pace * (self._total - done):.0f} s left"
        self._show(done, f"{text}; {left}", text)
