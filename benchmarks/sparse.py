"""What a ticket costs to serve: a compact sparse model beside the dense network.

`python -m benchmarks.sparse` builds LT4REC's network of 20 fields and times, in rounds in which all
take turns,
1. the dense network,
2. the network with a mask multiplied in at every call, as in training, and
3. `CompactTicket`, which holds the kept weights alone,
at the shares of weights that four rounds of pruning keep: a row at a time, many rows at a time, the
whole model and its trunk alone. It writes reports/benchmarks/sparse.json and sparse.md, or
sparse_cuda.json and sparse_cuda.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import options, results
from benchmarks.pages import sparse_page
from benchmarks.timing import seconds, torch_threads
from mlorakit.data.tasks import PADDING, TaskField
from mlorakit.kernels.magnitude import rounds
from mlorakit.models.compact import CompactTicket
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.runtime import prepare
from mlorakit.tensor_files import read_tensors
from mlorakit.tickets import full_mask, kept, prune

ROUNDS, FINAL_RATE = 4, 0.2
"""Of LT4REC's pruning: 66.87, 44.72, 29.91 and 20 % of the weights are left."""

CALLS = {1: 200, 4096: 4}
"""Calls timed together, by rows of a call."""

TASK = "ctr"
_IDS = 10_000  # of a table; what lies in its cache matters little beside the trunk
_VALUES = 5  # of a multi-valued field


class TicketError(ValueError):
    """Masks that are not those of the benchmark's network."""


@dataclass(frozen=True)
class Served:
    """A model that is timed.

    Args:
        side: `dense`, `masked` or `compact`.
        kept: weights of the trunk that take part.
        trunk_bytes: of the tensors that the trunk holds, its mask included.
        whole: ids of shape (B, C) to logits.
        trunk: inputs of the trunk, of shape (B, n_in), to its output.
    """

    side: str
    kept: int
    trunk_bytes: int
    whole: Callable[[Tensor], Tensor]
    trunk: Callable[[Tensor], Tensor]


def network(device: str) -> LT4REC:
    """LT4REC's network at its full size: 15 single-valued fields and 5 multi-valued ones."""
    torch.manual_seed(1)
    fields = tuple(
        TaskField(f"field_{i}", f"table_{i}", 1 if i < 15 else _VALUES) for i in range(20)
    )
    return LT4REC(fields, {field.table: _IDS for field in fields}).eval().to(device)


def random_ids(rows: int, model: LT4REC, device: str) -> Tensor:
    """Ids of shape (rows, C); a multi-valued field has at least one value."""
    generator = torch.Generator().manual_seed(rows)
    columns = 15 + 5 * _VALUES
    ids = torch.randint(_IDS, (rows, columns), generator=generator)
    more = torch.arange(columns) % _VALUES > 0
    more[:15] = False
    absent = more & (torch.rand(rows, columns, generator=generator) < 0.5)
    return ids.masked_fill(absent, PADDING).int().to(device)


def pruned_masks(model: LT4REC) -> list[Mask]:
    """Masks of all weights and of rounds 1 to 4, by the magnitudes of the model's own weights."""
    masks = [full_mask(model)]
    for goal in rounds(kept(masks[0]), FINAL_RATE, ROUNDS):
        masks.append(prune(model, masks[-1], goal))
    return masks


def stored_masks(model: LT4REC, folder: Path, seed: int) -> list[Mask]:
    """The masks of a cell of prune.ipynb, round 0 first.

    Args:
        model: that they are meant for.
        folder: of the cell, such as reports/lt4rec/cells/video_logs/prune-ctr.
        seed: which of its tickets.

    Raises:
        TicketError: a round is missing, or the masks have other shapes than the model's weights.
    """
    shapes = {name: weight.shape for name, weight in model.prunable().items()}
    device = str(next(model.parameters()).device)
    masks = []
    for number in range(ROUNDS + 1):
        path = folder / f"seed-{seed}-round-{number}.safetensors"
        if not path.is_file():
            raise TicketError(f"{path} is not there; notebooks/prune.ipynb writes it.")
        tensors, _ = read_tensors(path, device)
        found = {name: tensor.shape for name, tensor in tensors.items()}
        if found != shapes:
            raise TicketError(
                f"{path} holds masks {_sizes(found)}; the benchmark's network has {_sizes(shapes)}."
            )
        masks.append({name: tensors[name].float() for name in shapes})
    return masks


def _sizes(shapes: dict[str, torch.Size]) -> str:
    return ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())


def _trunk(layers: nn.ModuleList, mask: Mask | None, x: Tensor) -> Tensor:
    for i, layer in enumerate(layers):
        x = torch.relu_(layer(x, None if mask is None else mask[f"trunk.{i}.weight"]))
    return x


def _bytes(tensors: Sequence[Tensor]) -> int:
    """Memory of tensors; of a sparse one its values and both indices."""
    parts: list[Tensor] = []
    for t in tensors:
        sparse = t.layout is torch.sparse_csr
        parts += [t.values(), t.col_indices(), t.crow_indices()] if sparse else [t]
    return sum(part.numel() * part.element_size() for part in parts)


def served(model: LT4REC, masks: list[Mask]) -> list[Served]:
    """The dense network, then for each mask the masked network and the compact ticket."""
    tensors = [p for layer in model.trunk for p in layer.parameters()]
    dense = Served(
        side="dense",
        kept=kept(full_mask(model)),
        trunk_bytes=_bytes(tensors),
        whole=partial(model, task=TASK),
        trunk=partial(_trunk, model.trunk, None),
    )
    found = [dense]
    for mask in masks:
        masked = Served(
            side="masked",
            kept=kept(mask),
            trunk_bytes=_bytes([*tensors, *mask.values()]),
            whole=partial(model, task=TASK, mask=mask),
            trunk=partial(_trunk, model.trunk, mask),
        )
        compact = CompactTicket(model, mask, TASK).eval()
        found += [
            masked,
            Served(
                side="compact",
                kept=compact.kept,
                trunk_bytes=_bytes([*compact.trunk.buffers()]),
                whole=compact,
                trunk=compact.represent,
            ),
        ]
    return found


@torch.inference_mode()
def largest_difference(models: list[Served], ids: Tensor) -> float:
    """Between the logits of a compact ticket and of the masked network of the same mask."""
    differences = [
        (masked.whole(ids) - compact.whole(ids)).abs().max()
        for masked, compact in zip(models[1::2], models[2::2], strict=True)
    ]
    return torch.stack(differences).max().item()


@torch.inference_mode()
def call_seconds(
    models: list[Served], model: LT4REC, calls: dict[int, int], n_rounds: int, device: str
) -> dict[str, dict[str, list[list[float]]]]:
    """Seconds of a call, by what is called (`whole`, `trunk`) and rows: each model's rounds.

    In a round all models take turns; a first round of each is not counted.
    """

    def timed(call: Callable[[Tensor], Tensor], x: Tensor, times: int) -> float:
        def work() -> None:
            for _ in range(times):
                call(x)
            if device == "cuda":
                torch.cuda.synchronize()

        return seconds(work) / times

    found: dict[str, dict[str, list[list[float]]]] = {"whole": {}, "trunk": {}}
    for rows, times in calls.items():
        ids = random_ids(rows, model, device)
        inputs = {"whole": ids, "trunk": model.input(ids)}
        for part, x in inputs.items():
            taken = [
                [timed(getattr(entry, part), x, times) for entry in models]
                for _ in range(n_rounds + 1)
            ]
            found[part][str(rows)] = [list(each) for each in zip(*taken[1:], strict=True)]
            print(f"{part}, {rows} rows: done", flush=True)
    return found


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("sparse", __doc__, device=True)
    parser.add_argument(
        "--tickets", type=Path, help="cell of prune.ipynb whose masks to take; else by random init"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the tickets")
    parser.add_argument("--rounds", type=int, default=9)
    return options.parse(parser, arguments, {"rounds": 1})


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results.

    Raises:
        TicketError: see `stored_masks`.
    """
    model = network(args.device)
    if args.tickets is None:
        masks = pruned_masks(model)
    else:
        masks = stored_masks(model, args.tickets, args.seed)
    models = served(model, masks)
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "device": args.device,
        "tickets": None if args.tickets is None else f"{args.tickets}, seed {args.seed}",
        "weights": models[0].kept,
        "difference": largest_difference(models, random_ids(1000, model, args.device)),
        "models": [
            {"side": entry.side, "kept": entry.kept, "trunk_bytes": entry.trunk_bytes}
            for entry in models
        ],
        "seconds": call_seconds(models, model, CALLS, args.rounds, args.device),
    }
    stem = options.file_stem("sparse", args.device)
    results.store(args.reports, stem, found, sparse_page(found))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    prepare("cpu", args.threads)  # threads and memory; serving may sum in any order
    try:
        with torch_threads():
            measure(args)
    except TicketError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
