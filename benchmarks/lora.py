"""What a DomainLoRA layer costs as domains grow, beside a loop over domains and beside PEFT.

`python -m benchmarks.lora` times, in rounds in which all sides and numbers of domains take turns,
1. forward and backward of `DomainLoRA`, and of the same layer with a loop over domains;
2. the same with a step of Adam, whose weights grow with the domains;
3. the forward pass alone, and that of PEFT's mixed batches (`adapter_names`), which PEFT offers for
   inference only.
It writes reports/benchmarks/lora.json and lora.md, or lora_cuda.json and lora_cuda.md, replacing
those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import options, results
from benchmarks.cost_pages import lora_page
from benchmarks.data import random_split
from benchmarks.peers import PeerMissingError, require
from benchmarks.timing import seconds, torch_threads
from mlorakit.data.batches import epoch_order
from mlorakit.kernels.dropout import dropout
from mlorakit.kernels.grouped_lora import grouped_lora_reference
from mlorakit.kernels.groups import DomainGroups
from mlorakit.layers.mlp import DomainLoRA
from mlorakit.runtime import prepare

N_IN, N_OUT, RANK, DROPOUT = 256, 128, 8, 0.5
"""The second layer of the default MLP, with MLoRA's rank for alpha 16."""

PEFT_STEPS = 2  # of a round: a forward pass of PEFT takes as long as hundreds of ours


class Sides:
    """What is timed at one number of domains and one batch size.

    Args:
        rows: B.
        n_domains: D.
        steps: of a round; their batches are drawn as those of an epoch, in the timed call.
        device: `cpu` or `cuda`.
        with_peft: whether PEFT's forward pass is a side.
    """

    def __init__(self, rows: int, n_domains: int, steps: int, device: str, with_peft: bool) -> None:
        generator = torch.Generator().manual_seed(1)
        torch.manual_seed(1)
        self.rows, self.steps, self.device = rows, steps, torch.device(device)
        self.split = random_split(rows * steps, n_domains, generator).to(self.device)
        self.layer = DomainLoRA(N_IN, N_OUT, n_domains, RANK, DROPOUT, dropout_on_shared=False)
        self.layer.reset_adapters()
        nn.init.normal_(self.layer.lora_b_bias, std=0.1)
        self.layer.to(self.device)
        self.adam = torch.optim.Adam(self.layer.parameters(), fused=True)
        self.x = torch.randn(rows, N_IN, generator=generator).to(self.device).requires_grad_()
        self.grad = torch.randn(rows, N_OUT, generator=generator).to(self.device)
        self.peft = peft_model(self.layer) if with_peft else None

    def batches(self) -> Iterator[DomainGroups]:
        """The groups of a round's batches."""
        order = torch.Generator().manual_seed(1)
        for batch in epoch_order(self.split, self.rows, "mixed", order).batches(self.split):
            yield batch.groups

    def ours(self, groups: DomainGroups) -> Tensor:
        """The layer's output, of shape (B, n_out)."""
        return self.layer(self.x, groups)

    def loop(self, groups: DomainGroups) -> Tensor:
        """The same by a loop over domains."""
        layer = self.layer
        h = layer.shared(self.x)
        h = h + grouped_lora_reference(self.x, layer.lora_a, layer.lora_b_bias, groups)
        return dropout(h.relu_(), layer.p, layer.training)

    def train(self, forward: Callable[[DomainGroups], Tensor], adam: bool = False) -> float:
        """Seconds of a step, forward and backward, with or without Adam's."""
        self.layer.train()

        def work() -> None:
            for groups in self.batches():
                self.x.grad = None
                self.layer.zero_grad()
                forward(groups).backward(self.grad)
                if adam:
                    self.adam.step()
            self._wait()

        return seconds(work) / self.steps

    @torch.no_grad()
    def infer(self) -> float:
        """Seconds of a forward pass."""
        self.layer.eval()

        def work() -> None:
            for groups in self.batches():
                self.ours(groups)
            self._wait()

        return seconds(work) / self.steps

    @torch.no_grad()
    def infer_peft(self) -> float:
        """Seconds of PEFT's forward pass over as large a mixed batch."""
        model = self.peft
        assert model is not None
        groups = next(iter(self.batches()))
        names = [str(d) for d in groups.domain.tolist()]

        def work() -> None:
            for _ in range(PEFT_STEPS):
                model(self.x, adapter_names=names)
            self._wait()

        return seconds(work) / PEFT_STEPS

    def times(self) -> dict[str, Callable[[], float]]:
        """The sides by name."""
        found: dict[str, Callable[[], float]] = {
            "layer": lambda: self.train(self.ours),
            "loop": torch_threads()(lambda: self.train(self.loop)),
            "with Adam": lambda: self.train(self.ours, adam=True),
            "forward": self.infer,
        }
        if self.peft is not None:
            found["PEFT"] = torch_threads()(self.infer_peft)
        return found

    @torch.no_grad()
    def differences(self) -> dict[str, float]:
        """The largest difference of each side's output to ours, in evaluation."""
        self.layer.eval()
        groups = next(iter(self.batches()))
        ours = self.ours(groups)
        found = {"loop": (self.loop(groups) - ours).abs().max().item()}
        if self.peft is not None:
            names = [str(d) for d in groups.domain.tolist()]
            bias = self.layer.domain_bias[groups.domain]  # PEFT's adapters have none
            theirs = torch.relu(self.peft(self.x, adapter_names=names) + bias)
            found["PEFT"] = (theirs - ours).abs().max().item()
        return found

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


@torch.no_grad()
def peft_model(layer: DomainLoRA) -> Any:
    """PEFT's model of one linear layer with an adapter per domain, holding a layer's weights.

    Raises:
        PeerMissingError: PEFT is not installed.
    """
    require("peft", "peft")
    peft = importlib.import_module("peft")
    n_domains = layer.lora_b.shape[0]
    base = nn.Sequential(nn.Linear(N_IN, N_OUT))
    base[0].load_state_dict(layer.shared.state_dict())
    config = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["0"])  # scales by 1
    model = peft.get_peft_model(base, config, adapter_name="0")
    for d in range(1, n_domains):
        model.add_adapter(str(d), config)
    adapted = model.base_model.model[0]
    assert layer.lora_a is not None
    for d in range(n_domains):
        adapted.lora_A[str(d)].weight.copy_(layer.lora_a[d])
        adapted.lora_B[str(d)].weight.copy_(layer.lora_b[d].T)
    return model.to(layer.lora_b_bias.device).eval()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = options.make_parser("lora", __doc__, device=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[1024, 8192], help="of a batch")
    parser.add_argument("--domains", type=int, nargs="+", default=[2, 8, 32, 128, 256])
    parser.add_argument("--steps", type=int, default=50, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-peft", action="store_true")
    quick = {"rows": [64], "domains": [2, 5], "steps": 2, "rounds": 1}
    return options.parse(parser, arguments, quick)


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results.

    Raises:
        PeerMissingError: PEFT is not installed.
    """
    found: dict[str, Any] = {
        "environment": results.environment(),
        "note": args.note,
        "device": args.device,
        "peft": None if args.without_peft else peft_version(),
        "shape": [N_IN, N_OUT, RANK],
        "seconds": {},
        "differences": {},
    }
    for rows in args.rows:
        sides = {
            str(d): Sides(rows, d, args.steps, args.device, not args.without_peft)
            for d in args.domains
        }
        # Before Adam has changed the layer's weights, of which PEFT's are copies.
        found["differences"][str(rows)] = {d: side.differences() for d, side in sides.items()}
        timed = {d: side.times() for d, side in sides.items()}
        taken = [
            {d: {name: run() for name, run in runs.items()} for d, runs in timed.items()}
            for _ in range(args.rounds + 1)  # the first is not counted
        ]
        found["seconds"][str(rows)] = {
            d: {name: [times[d][name] for times in taken[1:]] for name in runs}
            for d, runs in timed.items()
        }
        print(f"{rows} rows: done", flush=True)
    results.store(args.reports, options.file_stem("lora", args.device), found, lora_page(found))


def peft_version() -> str:
    """PEFT's version.

    Raises:
        PeerMissingError: it is not installed.
    """
    require("peft", "peft")
    return importlib.metadata.version("peft")


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    args = parse(arguments)
    prepare(args.device, args.threads)
    try:
        measure(args)
    except PeerMissingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
