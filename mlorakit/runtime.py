"""Settings of the process that a fit runs in."""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch

_DRAWING = threading.RLock()

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def prepare(device: str, threads: int) -> torch.device:
    """Choose the device and make the process compute on it fast and repeatably.

    Args:
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
        threads: that the compiled kernels share a batch among on a CPU; results are the same to
            the bit with any number.

    Raises:
        ValueError: `cuda` is asked for and absent.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                "device is 'cuda', but torch finds no CUDA device; use 'auto' or 'cpu'."
            )
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable with it
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # PyTorch's own operations are left the small ones, which one thread does as fast as several.
    # In this order: when Numba starts its threads, it sets the number that PyTorch reads.
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(1)
    _keep_freed_memory()
    return torch.device(device)


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Work on a GPU in a stream, after what was asked of the current one, which waits for it.

    Args:
        stream: None on a CPU, where nothing is different.
    """
    if stream is None:
        yield
        return
    outer = torch.cuda.current_stream(stream.device)
    stream.wait_stream(outer)
    with torch.cuda.stream(stream):
        yield
    outer.wait_stream(stream)


@contextmanager
def initial_draws(seed: int) -> Iterator[None]:
    """Draw from PyTorch's global generator, which starts from a seed, in one thread at a time.

    The initial values of PyTorch's modules come from there.
    """
    with _DRAWING:
        torch.manual_seed(seed)
        yield


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's batches and dropout.

    Mixed by a large prime, so that no two (seed, epoch) share a stream.
    """
    return seed * 1_000_003 + epoch


def _keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors instead of returning it to the system.

    A step frees and takes the same megabytes again; without this each taking faults every page in
    anew, which costs a fifth of a step.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
