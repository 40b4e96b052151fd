"""What a training step of the multi-domain baselines costs beside that of the MLP.

`python -m benchmarks.baselines` times steps on batches that mix domains (forward, backward, Adam),
in rounds in which all models take turns, with two domains and with 21. It writes
reports/benchmarks/baselines.json and baselines.md, replacing those of an earlier run.
"""

# Before torch: it sets how libgomp's idle threads wait.
import mlorakit  # noqa: F401  # isort: skip

import argparse
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks import results
from benchmarks.data import movielens_or_random, sample
from benchmarks.tables import markdown
from benchmarks.timing import seconds
from mlorakit import paths
from mlorakit.data.batches import epoch_batches
from mlorakit.data.dataset import MultiDomainData, Rows
from mlorakit.models import Backbone, build_model
from mlorakit.models.baselines import BASELINE_SETTINGS, BASELINE_TITLES, BASELINES, build_baseline
from mlorakit.runtime import prepare
from mlorakit.training import make_optimizer

DATASETS = {"movielens": 2, "movielens_occupation": 21}
"""What is trained on, and its number of domains."""

BATCH = 1024
TITLES = {"base": "MLP", "mlora": "MLP + MLoRA", **BASELINE_TITLES}


def models_of(data: MultiDomainData, names: list[str]) -> dict[str, Backbone]:
    """The MLP's base and MLoRA, and baselines of the sizes that MAMDR has for Amazon."""
    sizes: dict[str, Any] = {"field_sizes": data.field_sizes, "n_domains": data.n_domains}
    models = {v: build_model("mlp", v, alpha=16, seed=1, **sizes) for v in ("base", "mlora")}
    for name in names:
        settings = BASELINE_SETTINGS["amazon"][name]
        models[name] = build_baseline(name, settings=settings, seed=1, **sizes)
    return models


def train_steps(model: Backbone, optimizer: torch.optim.Optimizer, split: Rows) -> None:
    """A pass over a split, as in `mlorakit.training.fit`, without what surrounds it there."""
    model.train()
    for batch in epoch_batches(split, BATCH, "mixed", torch.Generator().manual_seed(1)):
        loss = F.binary_cross_entropy_with_logits(model(batch.ids, batch.groups), batch.label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def step_seconds(
    data: MultiDomainData, names: list[str], steps: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of a step in each round, per model; a first round is not counted.

    Args:
        data: whose training rows, or a part of them, are trained on.
        names: of the baselines.
        steps: of a round.
        rounds: that count.
    """
    split = sample(data.train, steps * BATCH)
    trained = {k: (m, make_optimizer(m, 1e-3, 1e-5)) for k, m in models_of(data, names).items()}

    def once(name: str) -> float:
        return seconds(lambda: train_steps(*trained[name], split))

    taken = [{name: once(name) for name in trained} for _ in range(rounds + 1)]
    n_steps = -(-len(split) // BATCH)
    return {k: [times[k] / n_steps for times in taken[1:]] for k in trained}


def page(found: dict[str, Any]) -> str:
    """The page in Markdown."""
    environment = [[k, str(value)] for k, value in found["environment"].items() if value]
    lines = [
        "# Multi-domain baselines: the cost of a training step",
        "",
        "Made by `python -m benchmarks.baselines`.",
        "",
        markdown(["machine", ""], environment),
        f"Batches of {BATCH} rows that mix the domains, embeddings of 8, MAMDR's sizes for Amazon, "
        f"fp32, on the CPU; {found['steps']} steps per round, the models take turns. A ratio is "
        "that of two times in one round: its median, smallest and largest value.",
    ]
    for name, times in found["seconds"].items():
        base = times["base"]
        rows = []
        for model, own in times.items():
            ratio = sorted(a / b for a, b in zip(own, base, strict=True))
            text = f"{median(ratio):.2f} ({ratio[0]:.2f} to {ratio[-1]:.2f})"
            rows.append([TITLES[model], f"{1000 * median(own):.2f}", text])
        domains = f"{DATASETS[name]} domains ({found['data'][name]})"
        table = markdown(["model", "ms per step", "MLP's times"], rows)
        lines += ["", f"## {domains}", "", table.rstrip()]
    return "\n".join(lines).rstrip() + "\n"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines", description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--reports", type=Path, default=results.folder())
    parser.add_argument("--processed", type=Path, default=paths.processed_dir("movielens").parent)
    parser.add_argument("--models", nargs="*", default=[*BASELINES], choices=BASELINES)
    parser.add_argument("--steps", type=int, default=20, help="per round")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args(arguments)


def measure(args: argparse.Namespace) -> None:
    """Measure and write the results."""
    data = {name: movielens_or_random(args.processed / name, d) for name, d in DATASETS.items()}
    found = {
        "environment": results.environment(),
        "steps": args.steps,
        "data": {name: value.name for name, value in data.items()},
        "seconds": {
            name: step_seconds(value, args.models, args.steps, args.rounds)
            for name, value in data.items()
        },
    }
    results.write_json(args.reports / "baselines.json", found)
    results.write_text(args.reports / "baselines.md", page(found))


def main() -> None:
    """Measure as the pipeline trains: its threads, denormal numbers taken for zero."""
    args = parse()
    prepare("cpu", args.threads)
    measure(args)


if __name__ == "__main__":
    main()
