"""Pages of what things cost: evaluation, seeds, steps, memory, many adapters, the pipeline."""

from statistics import median
from typing import Any

from benchmarks.pages import machine_table
from benchmarks.peers import PEERS
from benchmarks.tables import markdown, ratios, spread
from mlorakit.models import BACKBONE_TITLES


def _head(title: str, module: str, found: dict[str, Any]) -> list[str]:
    """Title, command, note and machine."""
    options = "" if found.get("device", "cpu") == "cpu" else f" --device {found['device']}"
    return [
        f"# {title}",
        "",
        f"Made by `python -m benchmarks.{module}{options}` (part of `make bench`).",
        *(["", found["note"]] if found["note"] else []),
        "",
        machine_table(found["environment"]),
    ]


def evaluation_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.evaluation`."""
    lines = [
        *_head("Evaluation", "evaluation", found),
        f"Scores and exact AUCs per domain of the validation rows, which every epoch ends with, on "
        f"{found['share']:.0%} of the rows. `evaluation` is timed apart from the epoch that holds "
        "one; its share is that of two neighbouring rounds: median, smallest and largest value. "
        f"`predict` is that of DeepCTR-Torch {found['deepctr_torch']} on the same rows, 8,192 at a "
        "time, which gives probabilities and no AUC.",
    ]
    for name, cells in found["cells"].items():
        rows = [
            _evaluation_row(backbone, variant, times)
            for backbone, variants in cells.items()
            for variant, times in variants.items()
        ]
        header = ["backbone", "variant", "epoch, s", "evaluation, s", "share of the epoch, %"]
        header += ["DeepCTR-Torch's predict, s", "times ours"]
        lines += ["", f"## {_data(found, name)}", "", markdown(header, rows).rstrip()]
    lines += ["", "## Exact AUC of each domain beside scikit-learn's", ""]
    rows = []
    for name, auc in found["auc"].items():
        ours, theirs = auc["seconds"]["mlorakit"], auc["seconds"]["scikit-learn"]
        times = [f"{median(each) * 1e3:.1f}" for each in (ours, theirs)]
        ratio = spread(ratios(theirs, ours))
        rows.append([_data(found, name), f"{auc['rows']:,}", *times, ratio, _small(auc)])
    header = ["data", "rows", "mlorakit, ms", "scikit-learn, ms", "times ours", "difference"]
    return "\n".join([*lines, markdown(header, rows)])


def _evaluation_row(backbone: str, variant: str, times: dict[str, list[float]]) -> list[str]:
    share = [100 * value for value in ratios(times["evaluation"], times["epoch"])]
    row = [BACKBONE_TITLES[backbone], variant]
    row += [f"{median(times[side]):.3f}" for side in ("epoch", "evaluation")]
    row.append(spread(share, 1))
    if "deepctr_torch" not in times:
        return [*row, "", ""]
    theirs = times["deepctr_torch"]
    return [*row, f"{median(theirs):.3f}", spread(ratios(theirs, times["evaluation"]), 1)]


def _data(found: dict[str, Any], name: str) -> str:
    return name if found["data"][name] == name else f"{name} ({found['data'][name]})"


def _small(auc: dict[str, Any]) -> str:
    return f"{auc['difference']:.0e}" if auc["difference"] else "0"


def seeds_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.seeds`."""
    many = str(found["seeds"])
    rows = []
    for backbone, variants in found["cells"].items():
        for variant, cell in variants.items():
            one, all_seeds = cell["seconds"]["1"], cell["seconds"][many]
            row = [BACKBONE_TITLES[backbone], variant]
            row += [f"{median(times):.2f}" for times in (one, all_seeds)]
            row += [spread(ratios(all_seeds, one)), "yes" if cell["equal"] else "no"]
            rows.append([*row, str(len(one))])
    header = ["backbone", "variant", "one seed, s", f"{many} seeds, s", "ratio", "equal", "rounds"]
    lines = [
        *_head("Several seeds", "seeds", found),
        f"Seconds of train.ipynb's cell that trains, with one seed and with {many}, "
        f"{found['epochs']} epochs each, on {found['share']:.0%} of the rows of {found['data']}. "
        "The two take turns; a ratio is that of two neighbouring rounds: its median, smallest and "
        f"largest value. `equal`: the first seed's history among the {many} is that of the seed "
        "alone.",
        "",
        markdown(header, rows),
    ]
    return "\n".join(lines)


def grid_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.grid`."""
    cells = [
        (BACKBONE_TITLES[backbone], variant, cell["seconds"], cell["epochs"])
        for backbone, variants in found["cells"].items()
        for variant, cell in variants.items()
    ]
    rows = [[title, variant, f"{s:.1f}", str(epochs)] for title, variant, s, epochs in cells]
    total = [f"{sum(cell[2] for cell in cells):.1f}", str(sum(cell[3] for cell in cells))]
    lines = [
        *_head("The whole table", "grid", found),
        f"Seconds of train.ipynb's cell that trains, {found['seeds']} seeds until each stops, on "
        f"{found['share']:.0%} of the rows of {found['data']}; once, one cell after the other.",
        "",
        markdown(["backbone", "variant", "seconds", "epochs"], [*rows, ["all", "", *total]]),
    ]
    return "\n".join(lines)


def floor_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.floor`."""
    on_gpu = found["device"] != "cpu"
    rows = []
    for backbone, variants in found["cells"].items():
        for variant, cell in variants.items():
            bounds = step_bounds(found, cell)
            row = [BACKBONE_TITLES[backbone], variant, f"{median(cell['seconds']) * 1e6:,.0f}"]
            row += [f"{cell['operations'] / 1e6:,.0f}", f"{cell['bytes'] / 1e6:.1f}"]
            row += [f"{cell['kernels']:.0f}"] if on_gpu else []
            row += [f"{bound * 1e6:,.0f}" for bound in bounds.values()]
            rows.append(
                [*row, max(bounds, key=bounds.__getitem__), spread(over_floor(found, cell))]
            )
    header = ["backbone", "variant", "step, us", "million operations", "MB moved"]
    header += ["kernels"] if on_gpu else []
    names = ("operations", "bytes", *(["launches"] if on_gpu else []))
    header += [*(f"{name}, us" for name in names), "the most", "step / the most"]
    launches = (
        " Launches are the kernels of a step, as PyTorch's profiler counts them, times the "
        f"{found['launch_seconds'] * 1e6:.2f} us that a kernel on one number takes in a replayed "
        "graph."
        if on_gpu
        else " The bytes mostly stay in the processor's caches, and so do the copy's."
    )
    lines = [
        *_head("A training step beside its floor", "floor", found),
        f"A step is the mean of an epoch of {found['steps']} steps on {found['data']}, laying the "
        "batches out included. It takes at least as long as each of the bounds. Operations are the "
        "multiplications and additions of the matrix products, at the "
        f"{found['operations_per_second'] / 1e9:,.0f} billion a second of a product of float32 "
        f"matrices of {found['product']:,} rows and columns. Bytes are those of the weights, their "
        "gradients and moments, and of what the backward pass needs of the forward pass, at the "
        f"rate of a copy that moves as many.{launches} The ratio is that of the rounds: its "
        "median, smallest and largest value.",
        "",
        markdown(header, rows),
    ]
    return "\n".join(lines)


def step_bounds(found: dict[str, Any], cell: dict[str, Any]) -> dict[str, float]:
    """Seconds that a step takes at least, by what takes them."""
    bounds = {
        "operations": cell["operations"] / found["operations_per_second"],
        "bytes": cell["copy_seconds"],
    }
    if found["device"] != "cpu":
        bounds["launches"] = cell["kernels"] * found["launch_seconds"]
    return bounds


def over_floor(found: dict[str, Any], cell: dict[str, Any]) -> list[float]:
    """A step's time over the largest of its bounds, per round."""
    most = max(step_bounds(found, cell).values())
    return [taken / most for taken in cell["seconds"]]


def training_memory_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.training_memory`."""
    rows = []
    for backbone, sides in found["bytes"].items():
        for side, taken in sides.items():
            beyond = taken["peak"] - taken["imports"]
            title = PEERS[side].title if side in PEERS else f"mlorakit, {side}"
            sizes = [f"{value / 1e6:,.0f}" for value in (taken["imports"], taken["peak"], beyond)]
            rows.append([BACKBONE_TITLES[backbone], title, *sizes])
    header = ["backbone", "side", "after imports, MB", "peak, MB", "beyond imports, MB"]
    lines = [
        *_head("Memory of training", "training_memory", found),
        f"Peak memory of a process that loads {found['data']} ({found['share']:.0%} of its rows), "
        "trains an epoch and, of mlorakit, scores validation and test rows; and its peak before "
        "that, with all imported. A process of its own for each.",
        "",
        markdown(header, rows),
    ]
    return "\n".join(lines)


def lora_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.lora`."""
    n_in, n_out, rank = found["shape"]
    peft = f", and PEFT {found['peft']}'s mixed batches" if found["peft"] else ""
    lines = [
        *_head("Adapters of many domains", "lora", found),
        f"Milliseconds of a step of one layer, {n_in} to {n_out}, rank {rank}, dropout 0.5, rows "
        "of all domains mixed, drawing the batches included. `layer` is the forward and backward "
        "pass of `DomainLoRA`, `loop` of the same layer with a loop over domains, `with Adam` adds "
        "the optimizer's step, whose weights grow with the domains; `forward` is the forward pass "
        f"in evaluation{peft}, which are for inference only, sort no rows and have no bias per "
        "domain and no ReLU. All take turns; values are medians.",
    ]
    for rows, of_domains in found["seconds"].items():
        differences = found["differences"][rows].values()
        largest = max(value for each in differences for value in each.values())
        lines += [
            "",
            f"## {int(rows):,} rows",
            "",
            _lora_table(of_domains),
            f"Outputs of all sides differ by at most {largest:.0e}.",
        ]
    return "\n".join(lines) + "\n"


def _lora_table(of_domains: dict[str, dict[str, list[float]]]) -> str:
    names = list(next(iter(of_domains.values())))
    fewest = min(of_domains, key=int)
    rows = []
    for n_domains, times in of_domains.items():
        row = [n_domains, *(f"{median(times[name]) * 1e3:.2f}" for name in names)]
        row.append(spread(ratios(times["layer"], of_domains[fewest]["layer"])))
        row.append(spread(ratios(times["loop"], times["layer"]), 1))
        if "PEFT" in times:
            row.append(spread(ratios(times["PEFT"], times["forward"]), 1))
        rows.append(row)
    header = ["domains", *names, f"layer / layer at {fewest}", "loop / layer"]
    return markdown([*header, *(["PEFT / forward"] if "PEFT" in names else [])], rows)


def pipeline_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.pipeline`."""
    lines = [
        *_head("Overhead of the pipeline", "pipeline", found),
        f"One cell of the grid, {found['cell']}, in a copy of the project: the training alone, in "
        "a process that has all loaded; the notebook by papermill, with the kernel's start, the "
        "imports, figures and files; and the stage by `dvc repro`, which hashes its inputs and "
        "results beside. The three take turns; values are medians, the share is that of "
        "neighbouring rounds.",
        "",
        pipeline_table(found["seconds"]),
    ]
    repro = found["nothing_to_do"]
    if repro["seconds"]:
        lines.append(
            f"`dvc repro` with nothing to do: {spread(repro['seconds'], 1)} seconds, "
            f"{repro['stages']} stages."
        )
    else:
        lines.append(
            f"`dvc repro` with nothing to do was not timed: {repro['stale']} of {repro['stages']} "
            "stages are not up to date. Run `make repro` first."
        )
    return "\n".join(lines) + "\n"


def pipeline_table(seconds: dict[str, list[float]]) -> str:
    """Seconds of a cell in each shell around its training.

    Args:
        seconds: of each round: `training`, `papermill` and `dvc`.
    """
    beyond = {name: over_training(seconds, name) for name in ("papermill", "dvc")}
    rows = [["training alone", f"{median(seconds['training']):.2f}", "", ""]]
    for name, title in (("papermill", "papermill"), ("dvc", "dvc repro")):
        added = [a - b for a, b in zip(seconds[name], seconds["training"], strict=True)]
        share = spread([100 * value for value in beyond[name]], 1)
        rows.append([title, f"{median(seconds[name]):.2f}", f"{median(added):.2f}", share])
    return markdown(["", "seconds", "beyond training", "share of the whole, %"], rows)


def over_training(seconds: dict[str, list[float]], name: str) -> list[float]:
    """The share of a shell's time that is not training, per round."""
    pairs = zip(seconds[name], seconds["training"], strict=True)
    return [(whole - training) / whole for whole, training in pairs]
