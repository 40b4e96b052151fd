"""The figures of the summary, read from what the benchmarks wrote.

A function per benchmark takes the content of its JSON file, of which a part may be missing, and
returns the figures that it decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.cost_pages import over_floor, over_training
from benchmarks.peers import PEERS
from benchmarks.speed_pages import fastest_peer, over_fastest
from benchmarks.tables import TOLERANCE, ratios
from mlorakit.models import BACKBONE_TITLES, VARIANTS

Found = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A measured figure and its target.

    Args:
        what: is measured.
        measured: the figure.
        least: that it should reach, if it has such a target.
        most: that it should not pass, if it has such a target.
        unit: behind the figure.
        detail: what else to say of it.
    """

    what: str
    measured: float
    least: float | None = None
    most: float | None = None
    unit: str = "times"
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.least is None and self.most is None:
            return None
        reached = self.least is None or self.measured >= self.least
        return reached and (self.most is None or self.measured <= self.most)


def _extreme(what: str, values: dict[str, float], **bounds: Any) -> Figure:
    """The figure furthest on the side of its target: the least of a lower one, else the most."""
    choose = min if "least" in bounds else max
    name = choose(values, key=lambda key: values[key])
    side = "least" if "least" in bounds else "most"
    return Figure(f"{what}, the {side}", values[name], detail=name, **bounds)


def speed(found: Found) -> list[Figure]:
    """Training beside the fastest peer, and MLoRA's price at 2 and at 21 domains."""
    figures = []
    per_backbone = {
        BACKBONE_TITLES[backbone]: median(over_fastest(sides))
        for backbone, sides in found["training"].items()
        if fastest_peer(sides)
    }
    titles = [PEERS[name].title for name in found["peers"]]
    one = len(titles) == 1
    what = "training rows/s over " + (f"{titles[0]}'s" if one else "the fastest peer's")
    if found["device"] != "cpu":
        figures += [
            Figure(f"{what}, GPU", ratio, least=20, detail=title)
            for title, ratio in per_backbone.items()
            if title in ("MLP", "DeepFM")
        ]
    elif per_backbone:
        number = len(per_backbone)
        of = f"{what}, {number} of {len(BACKBONE_TITLES)} backbones"
        figures.append(Figure(f"{of}, median", median(per_backbone.values()), least=8))
        figures.append(_extreme(of, per_backbone, least=5))
    for name, domains, most in (("movielens", 2, 1.25), ("movielens_occupation", 21, 1.5)):
        prices = {
            BACKBONE_TITLES[backbone]: median(ratios(times["mlora"], times["base"]))
            for backbone, times in found["epochs"].get(name, {}).items()
        }
        if prices:
            what = f"an epoch of mlora over one of base, {domains} domains"
            figures.append(Figure(f"{what}, median of backbones", median(prices.values())))
            figures.append(_extreme(what, prices, most=most))
    return figures


def parity(found: Found) -> list[Figure]:
    """How far our test WAUC lies below DeepCTR-Torch's at most."""
    below = {
        BACKBONE_TITLES[name]: found["peer"][name]["test_wauc"] - sum(seeds) / len(seeds)
        for name, seeds in found["ours"].items()
        if name in found.get("peer", {})
    }
    if not below:
        return []
    return [_extreme("test WAUC below DeepCTR-Torch's", below, most=TOLERANCE, unit="")]


def evaluation(found: Found) -> list[Figure]:
    """Evaluation's share of an epoch, and exact AUCs beside scikit-learn's."""
    shares = {
        f"{BACKBONE_TITLES[backbone]} {variant}, {name}": 100
        * median(ratios(times["evaluation"], times["epoch"]))
        for name, cells in found["cells"].items()
        for backbone, variants in cells.items()
        for variant, times in variants.items()
    }
    aucs = [
        Figure(
            "exact AUC of each domain, scikit-learn's time over ours",
            median(ratios(auc["seconds"]["scikit-learn"], auc["seconds"]["mlorakit"])),
            detail=name,
        )
        for name, auc in found["auc"].items()
    ]
    if not shares:
        return aucs
    return [_extreme("evaluation's share of an epoch", shares, most=10, unit="%"), *aucs]


def seeds(found: Found) -> list[Figure]:
    """Several seeds of a cell beside one."""
    most = 3.0 if found["device"] == "cpu" else 1.5
    where = "CPU" if found["device"] == "cpu" else "GPU"
    costs, equal = {}, True
    for backbone, variants in found["cells"].items():
        for variant, cell in variants.items():
            taken = cell["seconds"]
            name = f"{BACKBONE_TITLES[backbone]} {variant}"
            costs[name] = median(ratios(taken[str(found["seeds"])], taken["1"]))
            equal = equal and cell["equal"]
    what = f"{found['seeds']} seeds of a cell over one, {where}"
    if not equal:
        what += " (a seed's results differ from those of running it alone)"
    return [_extreme(what, costs, most=most)]


def grid(found: Found) -> list[Figure]:
    """Seconds of the whole table."""
    cells = [cell for variants in found["cells"].values() for cell in variants.values()]
    whole = len(cells) == len(BACKBONE_TITLES) * len(VARIANTS) and found["share"] == 1
    counted = whole and found["seeds"] == 5 and not found["max_epochs"]
    most = 300 if counted and found["device"] == "cuda" else None
    what = f"training {len(cells)} cells of {found['seeds']} seeds, set-up excluded"
    return [Figure(what, sum(cell["seconds"] for cell in cells), most=most, unit="s")]


def floor(found: Found) -> list[Figure]:
    """A training step beside the largest of its bounds."""
    over = {
        f"{BACKBONE_TITLES[backbone]} {variant}": median(over_floor(found, cell))
        for backbone, variants in found["cells"].items()
        for variant, cell in variants.items()
    }
    what = "a training step over its floor, " + ("CPU" if found["device"] == "cpu" else "GPU")
    return [Figure(f"{what}, median", median(over.values())), _extreme(what, over)]


def lora(found: Found) -> list[Figure]:
    """Adapters of many domains beside few, a loop, and PEFT."""
    figures = []
    for rows, of_domains in found["seconds"].items():
        fewest, largest = min(of_domains, key=int), max(of_domains, key=int)
        few, many = of_domains[fewest], of_domains[largest]
        batch = f"{int(rows):,} rows" + ("" if found["device"] == "cpu" else ", GPU")
        what = f"a DomainLoRA step at {largest} domains over one at {fewest}, {batch}"
        figures.append(Figure(what, median(ratios(many["layer"], few["layer"])), most=2))
        what = f"a loop over {largest} domains over DomainLoRA, {batch}"
        figures.append(Figure(what, median(ratios(many["loop"], many["layer"]))))
        if "PEFT" in many:
            what = f"PEFT's forward pass of {largest} adapters over DomainLoRA's, {batch}"
            figures.append(Figure(what, median(ratios(many["PEFT"], many["forward"]))))
    return figures


def training_memory(found: Found) -> list[Figure]:
    """Memory of training beyond the imports."""
    beyond = {
        f"{BACKBONE_TITLES[backbone]} {side}": (taken["peak"] - taken["imports"]) / 1e6
        for backbone, sides in found["bytes"].items()
        for side, taken in sides.items()
        if side in ("base", "mlora")
    }
    what = f"peak memory of training on {found['data']} beyond imports"
    return [_extreme(what, beyond, most=1000, unit="MB")]


def pruning(found: Found) -> list[Figure]:
    """Global magnitude pruning beside torch's."""
    ours, theirs = found["seconds"]["mlorakit"], found["seconds"]["torch.nn.utils.prune"]
    what = f"torch.nn.utils.prune's time over ours, {found['weights']:,} weights"
    where = "" if found["device"] == "cpu" else ", GPU"
    return [Figure(what + where, median(ratios(theirs, ours)))]


def sparse(found: Found) -> list[Figure]:
    """The sparsest compact ticket beside the dense network."""
    kept = found["models"][-2]["kept"] / found["weights"]
    where = "" if found["device"] == "cpu" else ", GPU"
    return [
        Figure(
            f"dense network's time over a ticket's of {kept:.0%}, "
            f"{'a row' if rows == '1' else f'{int(rows):,} rows'} at a time{where}",
            median(ratios(times[0], times[-1])),
        )
        for rows, times in found["seconds"]["whole"].items()
    ]


def tfrecords(found: Found) -> list[Figure]:
    """Records/s beside the package tfrecord."""
    return [
        Figure(
            f"TFRecords/s over those of the package tfrecord, {name}",
            median(ratios(sides["mlorakit"], sides["tfrecord"])),
        )
        for name, sides in found["rates"].items()
    ]


def sampling(found: Found) -> list[Figure]:
    """Negatives beside a loop over users, and memory of preprocessing."""
    sides, made = found["side_by_side"]["seconds"], found["preprocessing"]
    ratio = median(ratios(sides["pandas loop"], sides["mlorakit"]))
    return [
        Figure("a pandas loop's time over that of sampling negatives", ratio, least=30),
        Figure(
            f"peak memory of preprocessing {made['read']:,} reviews",
            made["peak_bytes"] / 1e9,
            most=6,
            unit="GB",
            detail=f"{made['seconds']:.0f} s",
        ),
    ]


def pipeline(found: Found) -> list[Figure]:
    """What is not training in a cell of the pipeline, and `dvc repro` with nothing to do."""
    share = 100 * median(over_training(found["seconds"], "dvc"))
    what = "kernel, notebook and DVC in the time of a cell"
    figures = [Figure(what, share, most=20, unit="%", detail=found["cell"])]
    repro = found["nothing_to_do"]
    if repro["seconds"]:
        what = "dvc repro with nothing to do"
        figures.append(Figure(what, median(repro["seconds"]), most=5, unit="s"))
    return figures


FIGURES: dict[str, Callable[[Found], list[Figure]]] = {
    function.__name__: function
    for function in (
        speed,
        parity,
        evaluation,
        seeds,
        grid,
        floor,
        lora,
        training_memory,
        pruning,
        sparse,
        tfrecords,
        sampling,
        pipeline,
    )
}
"""By the benchmark's name."""
