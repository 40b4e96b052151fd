"""A peer in a process of its own, without what mlorakit sets for a whole process.

mlorakit shortens how long idle threads spin and makes malloc keep freed memory, so a peer is timed
here as its own users run it. The parent writes a line for each pass it wants; the worker answers
with its seconds.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import torch  # before mlorakit, so that its setting for libgomp is not read

from benchmarks.data import VALIDATION_BATCHES, movielens_or_random, part_of
from benchmarks.peers import PEERS
from mlorakit.config import TrainConfig


class PeerWorker:
    """The parent's end: a context in which `fit` times a pass in the other process.

    Args:
        peer: a key of `PEERS`.
        backbone: to train.
        folder: of the processed data set; random ids if it is not there.
        steps: of a pass.
        threads: that torch computes with.
        device: `cpu` or `cuda`.
    """

    def __init__(
        self, peer: str, backbone: str, folder: Path, steps: int, threads: int, device: str
    ) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
        options = [peer, backbone, str(folder), str(steps), str(threads), device]
        self._title = PEERS[peer].title
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )

    def fit(self) -> float:
        """Seconds of one pass.

        Raises:
            RuntimeError: the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self._title}'s own process ended with {self._process.wait()}; its message "
                "stands above."
            )
        return float(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()  # closes its input, which ends it


def main() -> None:
    """The worker's end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("backbone")
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("device")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = TrainConfig.of(backbone=args.backbone, variant="base")
    data = movielens_or_random(args.folder, 2)
    data = part_of(data, args.steps * config.batch_size, VALIDATION_BATCHES * config.batch_size)
    with TemporaryDirectory() as scratch:
        train = PEERS[args.peer].trainer(config, data, Path(scratch), args.device)
        for _ in sys.stdin:
            started = time.perf_counter()
            train()
            print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
