"""Progress on stderr: a bar for a person, plain lines for a log."""

import io
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mlorakit import progress as module
from mlorakit.progress import EpochProgress, StepProgress, progress
from mlorakit.training import EpochRecord, Pace

Log = pytest.CaptureFixture[str]
RECORD = EpochRecord(epoch=2, train_loss=0.51234, validation_auc=0.78345, validation_wauc=0.7)
TEXT = "validation AUC 0.7834, loss 0.5123, 81,234 rows/s, 12 s or more left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on stderr; no fixture, because pytest puts its own stderr in place after setup."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_log_gets_a_line_at_the_start_and_one_at_the_end(capsys: Log) -> None:
    assert sum(progress(range(5), description="reading", unit="rows")) == 10
    out, err = capsys.readouterr()
    first, last = err.splitlines()
    assert first.startswith("reading:   0%")
    assert last.startswith("reading: 100%")
    assert "5/5" in last
    assert "rows/s" in last
    assert "\r" not in err
    assert out == ""  # stdout is kept in executed notebooks


def test_a_log_gets_lines_in_between_where_work_is_long(
    capsys: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LINES", 0)
    for _ in progress(range(3), description="reading"):
        pass
    shares = [line.split("|")[0].split()[1] for line in capsys.readouterr().err.splitlines()]
    assert shares[0] == "0%"
    assert "33%" in shares
    assert shares[-1] == "100%"


def test_a_terminal_gets_a_bar_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    assert list(progress("abc", description="reading")) == ["a", "b", "c"]
    text = terminal.getvalue()
    assert "\rreading: 100%" in text
    assert text.count("\n") == 1  # the one that ends the bar


def test_jupyterlab_gets_a_bar(capsys: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "train.ipynb")
    list(progress(range(3), description="reading"))
    assert "\rreading: 100%" in capsys.readouterr().err


def test_bytes_are_counted_in_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with progress(total=2_000, description="downloading", unit="B") as bar:
        bar.update(2_000)
    assert "2.00k/2.00k" in terminal.getvalue()
    assert "B/s" in terminal.getvalue()


def test_an_error_inside_the_loop_comes_through(capsys: Log) -> None:
    def read() -> None:
        for row in progress(range(3), description="reading"):
            raise KeyError(f"row {row} is broken")

    with pytest.raises(KeyError, match="row 0 is broken"):
        read()
    assert capsys.readouterr().err.startswith("reading: ")


def test_a_log_gets_a_line_per_epoch(capsys: Log) -> None:
    report = EpochProgress("deepfm seed 1")
    report(RECORD, Pace(rows_per_second=81_234.4, seconds_left=12.3))
    report.close()
    out, err = capsys.readouterr()
    assert err == f"deepfm seed 1, epoch 2: {TEXT}\n"
    assert out == ""


def test_a_line_says_the_stage_if_there_are_two(capsys: Log) -> None:
    report = EpochProgress("mlp seed 1")
    report(replace(RECORD, stage=2), Pace(rows_per_second=81_234.4, seconds_left=12.3))
    assert capsys.readouterr().err == f"mlp seed 1, stage 2, epoch 2: {TEXT}\n"


def test_a_terminal_gets_a_bar_of_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    report = EpochProgress("deepfm seed 1")
    report(replace(RECORD, epoch=1), Pace(rows_per_second=80_000, seconds_left=13))
    report(RECORD, Pace(rows_per_second=81_234.4, seconds_left=12.3))
    report.close()
    last = terminal.getvalue().rstrip("\n").split("\r")[-1]
    assert last.startswith("deepfm seed 1: 2 epochs")
    assert TEXT in last


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The times that a clock shows, one reading after the other."""
    readings: list[float] = []
    monkeypatch.setattr(module.time, "perf_counter", lambda: readings.pop(0))
    yield readings
    assert readings == []


def test_steps_tell_the_time_that_is_left(capsys: Log, clock: list[float]) -> None:
    clock += [100, 103, 112]
    report = StepProgress("tickets", total=10)
    report(1, "loss 0.5")
    report(4, "loss 0.4")
    report.close()
    assert capsys.readouterr().err.splitlines() == [
        "tickets, loss 0.5; 1 of 10 epochs, 27 s left",
        "tickets, loss 0.4; 4 of 10 epochs, 18 s left",
    ]


def test_steps_of_a_resumed_run_took_no_time_before_it(capsys: Log, clock: list[float]) -> None:
    clock += [100, 103]
    StepProgress("tickets", total=10)(8, "loss 0.5")
    assert capsys.readouterr().err == "tickets, loss 0.5; 8 of 10 epochs, 6 s left\n"


def test_a_terminal_gets_a_bar_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    report = StepProgress("tickets", total=10)
    report(7, "loss 0.5")
    report.close()
    last = terminal.getvalue().rstrip("\n").split("\r")[-1]
    assert last.startswith("tickets:  70%")
    assert "7/10" in last
    assert "loss 0.5" in last
