"""What a training step takes beside what it must take at the least.

`python -m benchmarks.floor` times the steps of an epoch, and three bounds on the same device: the
multiplications of a step's matrix products, at the rate of one large product; the bytes that a step
has to move, at the rate of a copy that moves as many; and on a GPU the launches of its kernels, at
the time that an empty one takes in a replayed graph. It writes reports/benchmarks/floor.json and
floor.md, or floor_cuda.json and floor_cuda.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import options, results
from benchmarks.cost_pages import floor_page
from benchmarks.data import movielens_or_random, part_of
from benchmarks.seeds import cell_configs, store_cell
from benchmarks.timing import seconds, torch_threads
from mlorakit import paths
from mlorakit.adapters import merge_domain
from mlorakit.cells import make_model
from mlorakit.config import TrainConfig
from mlorakit.data.batches import EpochOrder, epoch_order
from mlorakit.data.dataset import MultiDomainData, Rows
from mlorakit.gradients import by_autograd
from mlorakit.models import BACKBONES, VARIANTS, Backbone
from mlorakit.runtime import prepare
from mlorakit.steps import make_steps
from mlorakit.training import make_optimizer

_WEIGHT_MOVES = 8
"""Of each weight in a step: it and both its moments are read and written, its gradient is written
and read."""

_SAVED_MOVES = 2
"""Of what the backward pass needs of the forward pass: it is written and read."""


def work_of_a_step(model: Backbone, batch: Rows) -> dict[str, int]:
    """Floating-point operations of a step's matrix products and the bytes that it moves at least.

    Counted on the plain form of the base model, in float64 because the compiled kernels take none;
    the low-rank products of each row's own domain are added.

    Args:
        model: on the CPU; unchanged.
        batch: on the CPU.
    """
    adapted = model.adapted_layers()
    plain = (merge_domain(model, 0) if adapted else deepcopy(model)).double().train()
    own = {p.untyped_storage().data_ptr() for p in plain.parameters()}
    saved: dict[int, Tensor] = {}  # by memory; kept, so that none is used twice

    def keep(x: Tensor) -> Tensor:
        if x.is_floating_point() and x.untyped_storage().data_ptr() not in own:
            saved[x.untyped_storage().data_ptr()] = x
        return x

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
    ):
        by_autograd(plain, replace(batch, label=batch.label.double()))
    low_rank = sum(
        layer.rank * (layer.shared.in_features + layer.shared.out_features) for layer in adapted
    )
    values = sum(x.untyped_storage().nbytes() // x.element_size() for x in saved.values())
    values += len(batch) * sum(layer.rank for layer in adapted)
    weights = sum(p.numel() for p in model.parameters())
    return {
        # A product has one forward and two backward, each of a multiplication and an addition.
        "operations": counter.get_total_flops() + 6 * len(batch) * low_rank,
        "bytes": 4 * (_WEIGHT_MOVES * weights + _SAVED_MOVES * values),
    }


def step_seconds(
    model: Backbone, config: TrainConfig, data: MultiDomainData, order: EpochOrder, rounds: int
) -> tuple[list[float], float]:
    """Seconds of a step, the mean of an epoch, in each round, and the kernels of a step on a GPU (0
    on a CPU); two epochs before are not counted.
    """
    optimizer = make_optimizer(model, config.learning_rate, config.l2)
    steps = make_steps(model.train(), optimizer, data.train)
    number = len(order.sizes)

    def epoch() -> None:
        float(steps.epoch(order, seed=1))  # a number has been waited for

    for _ in range(2):
        epoch()
    taken = [seconds(epoch) / number for _ in range(rounds)]
    return taken, 0.0 if data.train.ids.is_cpu else _kernels(epoch) / number


def _kernels(run: Callable[[], None]) -> int:
    """How many kernels a run launches on a GPU, copies and fills of memory included."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
    on_gpu = torch.autograd.DeviceType.CUDA
    return sum(event.device_type == on_gpu for event in profile.events())


def _best(run: Callable[[], object], device: torch.device, times: int = 20) -> float:
    """The least seconds of several runs, each waited for."""

    def waited() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()

    waited()
    return min(seconds(waited) for _ in range(times))


def product_rate(device: torch.device, size: int) -> float:
    """Floating-point operations/s of a product of two square float32 matrices."""
    x = torch.randn(size, size, device=device)
    out = torch.empty_like(x)
    return 2 * size**3 / _best(lambda: torch.mm(x, x, out=out), device)


def copy_seconds(moved: int, device: torch.device) -> float:
    """Seconds of a copy that reads and writes so many bytes, in a row of copies that leaves them
    where they are near at hand.
    """
    source = torch.zeros(max(moved // 8, 1), device=device)
    to, copies = torch.empty_like(source), 20

    def copy() -> None:
        for _ in range(copies):
            to.copy_(source)

    return _best(copy, device) / copies


def launch_seconds() -> float:
    """Seconds of a kernel that adds to a single number, in a replayed graph of many."""
    x, kernels, graph = torch.zeros(1, device="cuda"), 1000, torch.cuda.CUDAGraph()
    x.add_(1)
    with torch.cuda.graph(graph):
        for _ in range(kernels):
            x.add_(1)
    return _best(graph.replay, x.device) / kernels


def cell_costs(config: TrainConfig, data: MultiDomainData, rounds: int) -> dict[str, Any]:
    """What a step of a cell takes, and what it consists of."""
    model, device = make_model(config, data, seed=1), torch.device(config.device)
    generator = torch.Generator().manual_seed(1)
    order = epoch_order(data.train, config.batch_size, "mixed", generator)
    work = work_of_a_step(model, next(order.batches(data.train)))
    taken, kernels = step_seconds(model.to(device), config, data.to(device), order, rounds)
    with torch_threads():
        copying = copy_seconds(work["bytes"], device)
    return {**work, "seconds": taken, "kernels": kernels, "copy_seconds": copying}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("floor", __doc__, device=True)
    parser.add_argument("--processed", type=Path, default=paths.processed_dir("movielens").parent)
    parser.add_argument("--backbones", nargs="+", default=[*BACKBONES], choices=BACKBONES)
    parser.add_argument("--variants", nargs="+", default=["base", "mlora"], choices=VARIANTS)
    parser.add_argument("--steps", type=int, default=100, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--product", type=int, default=4096, help="size of the large product")
    quick = {"backbones": ["mlp"], "steps": 5, "rounds": 1, "product": 64}
    return options.parse(parser, arguments, quick)


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results, those that are there after each cell."""
    whole = movielens_or_random(args.processed / "movielens", 2)
    data = part_of(whole, args.steps * TrainConfig.of().batch_size, 1)
    device = torch.device(args.device)
    with torch_threads():
        rate = product_rate(device, args.product)
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "device": args.device,
        "data": data.name,
        "steps": args.steps,
        "product": args.product,
        "operations_per_second": rate,
        "launch_seconds": launch_seconds() if args.device == "cuda" else 0.0,
        "cells": {},
    }
    for config in cell_configs(args):
        costs = cell_costs(config, data, args.rounds)
        store_cell(args, "floor", config, costs, found, floor_page)
        print(f"{config.backbone} {config.variant}: done", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    prepare(args.device, args.threads)
    measure(args)


if __name__ == "__main__":
    main()
