"""Seeds side by side give what they give one after the other."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numba
import pytest

from mlorakit import seeds
from mlorakit.seeds import each_seed


@dataclass(frozen=True)
class Config:
    seeds: tuple[int, ...]
    folder: Path
    threads: int = 2
    device: str = "cpu"


@dataclass(frozen=True)
class Data:
    train: range


def work(config: Config, data: Data, seed: int, keep: bool) -> tuple[int, int, int]:
    """Which process did the long part of a seed, with how many threads."""
    path = config.folder / str(seed)
    if not path.is_file():
        if seed < 0:
            raise ValueError(f"seed {seed} is no seed")
        path.write_text(f"{seed} {os.getpid()} {config.threads}")
    found = path.read_text().split()
    if not keep:
        path.unlink()
    return (int(found[0]), int(found[1]), int(found[2]))


def done(tmp_path: Path, rows: int = seeds._FEWEST_ROWS, **more: Any) -> list[tuple[int, int, int]]:
    return each_seed(work, replace(Config((3, 1, 2), tmp_path), **more), Data(range(rows)))


def test_seeds_are_worked_on_elsewhere_and_come_back_in_order(tmp_path: Path) -> None:
    results = done(tmp_path, seeds=(3, 1, 2, 4))
    assert [seed for seed, _, _ in results] == [3, 1, 2, 4]
    processes = {process for _, process, _ in results}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert {threads for _, _, threads in results} == {1}
    assert not list(tmp_path.iterdir())  # the state of a finished run goes


@pytest.mark.parametrize(
    ("number", "threads", "here"), [(3, 2, 1), (2, 2, 0), (4, 3, 1), (5, 3, 0), (2, 3, 0)]
)
def test_a_few_that_are_left_over_stay_here_with_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, threads: int, here: int
) -> None:
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", threads)
    results = done(tmp_path, seeds=tuple(range(number)), threads=threads)
    stayed = [(seed, with_all) for seed, process, with_all in results if process == os.getpid()]
    assert stayed == [(seed, threads) for seed in range(number)][number - here :]
    assert [seed for seed, _, _ in results] == list(range(number))


@pytest.mark.parametrize("more", [{"threads": 1}, {"seeds": (3,)}, {"rows": 10}])
def test_one_thread_one_seed_or_few_rows_stay_here(tmp_path: Path, more: dict[str, Any]) -> None:
    assert {process for _, process, _ in done(tmp_path, **more)} == {os.getpid()}


def test_a_seed_that_fails_fails_the_cell(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed -1 is no seed"):
        done(tmp_path, seeds=(1, -1, 2))
