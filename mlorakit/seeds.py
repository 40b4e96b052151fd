"""Several seeds of a cell side by side.

Results do not depend on the number of threads, and a fit that goes on from its checkpoint ends with
the bits of one that was never interrupted. So seeds are trained in processes of one thread each,
which leave their finished state on disk, and then taken up from there: the same code, the same
results, and a machine that is used better than by several threads in one small step. A seed that
would be left to one process alone has all threads.

On a GPU a step leaves most of the processors idle, and seeds are trained by threads of one process,
each in a stream of its own.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

import numba
import torch

from mlorakit.runtime import on_stream

Result = TypeVar("Result")
Work = Callable[[Any, Any, int, bool], Result]
"""Takes a cell's config, its data, a seed, and whether to keep the state of the finished run."""

_FEWEST_ROWS = 50_000
"""Training rows below which a process takes longer to start than to train."""

_MOST_STREAMS = 8
"""Seeds on a GPU at a time; beyond it their steps wait for each other."""

_SECONDS_BETWEEN_LOOKS = 2


def each_seed(work: Work[Result], config: Any, data: Any) -> list[Result]:
    """Do a cell's work for every seed.

    Args:
        work: gives a seed's result, and goes on from the state of one that was kept; a function of
            a module, so that another process finds it.
        config: of the cell, with `seeds`, `threads` and `device`.
        data: of the cell, with rows to `train` on.

    Returns:
        A result per seed, in the order of the config's.
    """
    if config.device != "cpu" and torch.cuda.is_available():
        with ThreadPoolExecutor(min(_MOST_STREAMS, len(config.seeds))) as threads:
            return list(threads.map(partial(_in_stream, work, config, data), config.seeds))
    workers = min(config.threads, numba.config.NUMBA_NUM_THREADS, len(config.seeds))
    if workers > 1 and len(data.train) >= _FEWEST_ROWS:
        alone, left = replace(config, threads=1), len(config.seeds) % workers
        # All threads do a few that are left over sooner, one seed after the other.
        ahead = config.seeds[: len(config.seeds) - left] if 2 * left <= workers else config.seeds
        pool = ProcessPoolExecutor(workers, get_context("spawn"), _end_with, (os.getpid(),))
        with pool:
            futures = [pool.submit(_ahead, work, alone, data, s) for s in ahead]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [work(config, data, seed, False) for seed in config.seeds]


def _in_stream(work: Work[Result], config: Any, data: Any, seed: int) -> Result:
    with on_stream(torch.cuda.Stream()):
        return work(config, data, seed, False)


def _ahead(work: Work[Any], config: Any, data: Any, seed: int) -> None:
    """What counts lies on disk; the result itself is not sent to the other process."""
    work(config, data, seed, True)


def _end_with(parent: int) -> None:
    """End this process soon after the one that started it, however that one ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
