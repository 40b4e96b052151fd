"""Speed and memory of global magnitude pruning beside torch.nn.utils.prune.

`python -m benchmarks.pruning` keeps a fifth of normal weights by `keep_largest` and by
`torch.nn.utils.prune.global_unstructured`, in rounds that alternate between the two, and measures
the peak memory of each in a process of its own; with `--large`, ours once more on 500 million
weights. It writes reports/benchmarks/pruning.json and pruning.md, or pruning_cuda.json and
pruning_cuda.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numba
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from benchmarks import options, results
from benchmarks.memory import peak_memory
from benchmarks.pages import pruning_page
from benchmarks.timing import seconds
from mlorakit.kernels.magnitude import keep_largest

LARGE = 500_000_000
_ROW = 1000  # weights of a row


def matrices(total: int, device: str) -> list[Tensor]:
    """Five matrices of normal weights, about `total` together."""
    generator = torch.Generator(device).manual_seed(1)
    shape = (total // (5 * _ROW), _ROW)
    return [torch.empty(shape, device=device).normal_(generator=generator) for _ in range(5)]


def ours(weights: list[Tensor], keep: int) -> list[Tensor]:
    """The masks of `keep_largest`."""
    return keep_largest(weights, keep)


def torchs(weights: list[Tensor], keep: int) -> list[Tensor]:
    """The masks of `global_unstructured`, which also multiplies the weights by them."""
    modules = [nn.Module() for _ in weights]
    for module, weight in zip(modules, weights, strict=True):
        module.weight = nn.Parameter(weight)  # shares the memory
    dropped = sum(weight.numel() for weight in weights) - keep
    named = [(module, "weight") for module in modules]
    prune.global_unstructured(named, prune.L1Unstructured, amount=dropped)
    return [module.get_buffer("weight_mask") for module in modules]


SIDES: dict[str, Callable[[list[Tensor], int], list[Tensor]]] = {
    "mlorakit": ours,
    "torch.nn.utils.prune": torchs,
}


def _peak(device: str) -> int:
    """The largest memory that this process has had, in bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return peak_memory()


def extra_memory(side: str, total: int, device: str) -> float:
    """Bytes per weight that a call takes at its peak, its result included, weights not.

    For a process that has done nothing else: a peak is never forgotten.
    """
    SIDES[side](matrices(10 * _ROW, device), 1)  # what the libraries load on their first call
    weights = matrices(total, device)
    before = _peak(device)
    SIDES[side](weights, total // 5)
    return (_peak(device) - before) / total


def in_own_process(side: str, total: int, device: str) -> float:
    """`extra_memory` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(extra_memory, side, total, device).result()


def call_seconds(total: int, rounds: int, device: str) -> dict[str, Any]:
    """Seconds of each round per side, and at how many weights their masks differ.

    A first round of each is not counted.
    """
    weights, keep = matrices(total, device), total // 5
    masks: dict[str, list[Tensor]] = {}

    def call(side: str) -> None:
        masks[side] = []  # an earlier round's
        masks[side] = SIDES[side](weights, keep)
        if device == "cuda":
            torch.cuda.synchronize()

    taken = [{side: seconds(partial(call, side)) for side in SIDES} for _ in range(rounds + 1)]
    pairs = zip(*masks.values(), strict=True)
    differ = sum(int((mine != theirs.bool()).sum()) for mine, theirs in pairs)
    return {
        "seconds": {side: [times[side] for times in taken[1:]] for side in SIDES},
        "differ": differ,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("pruning", __doc__, device=True)
    parser.add_argument("--weights", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="ours on 500 million weights too")
    return options.parse(parser, arguments, {"weights": 100_000, "rounds": 1})


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results."""
    bytes_per_weight = {
        side: {str(args.weights): in_own_process(side, args.weights, args.device)} for side in SIDES
    }
    if args.large:
        bytes_per_weight["mlorakit"][str(LARGE)] = in_own_process("mlorakit", LARGE, args.device)
    found = {
        "environment": results.environment(),
        "note": args.note,
        "device": args.device,
        "weights": args.weights,
        **call_seconds(args.weights, args.rounds, args.device),
        "bytes_per_weight": bytes_per_weight,
    }
    stem = options.file_stem("pruning", args.device)
    results.store(args.reports, stem, found, pruning_page(found))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    numba.set_num_threads(min(args.threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(args.threads)
    measure(args)


if __name__ == "__main__":
    main()
