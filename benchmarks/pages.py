"""The benchmarks' pages in Markdown, from what their JSON files hold."""

from typing import Any

from benchmarks.tables import (
    TOLERANCE,
    markdown,
    parity_table,
    pruning_table,
    sampling_table,
    sparse_table,
    sparse_verdict,
    tfrecords_table,
)


def parity_page(stored: dict[str, Any]) -> str:
    """The page of `benchmarks.parity`."""
    peers, ours = stored.get("peer", {}), stored["ours"]
    lines = [
        "# Base models beside DeepCTR-Torch",
        "",
        "Test WAUC on MovieLens-1M by gender: the same split, fields, settings and early stopping, "
        "each model trained by each library's own loop. Made by `python -m benchmarks.parity`"
        " (part of `make bench`); ours come from the pipeline (`make repro`).",
        "",
        parity_table(peers, ours),
        f"A difference of less than {TOLERANCE} is about what the seed makes; who is below by less "
        "is so by chance as far as this shows.",
        "",
        _settings(peers),
        "",
        "What differs beyond the library:",
        "",
        *(f"* {note}" for note in stored["notes"]["all"]),
        *(f"* {name}: {note}." for name, note in stored["notes"].items() if name != "all"),
    ]
    return "\n".join(lines) + "\n"


def _settings(peers: dict[str, Any]) -> str:
    """The settings and data of the peer's results, one line per distinct set."""
    distinct: dict[str, list[str]] = {}
    for name, result in peers.items():
        settings = ", ".join(f"{k} {v}" for k, v in result["settings"].items())
        line = (
            f"DeepCTR-Torch {result['deepctr_torch']}, seed {result['seed']}, {settings}, "
            f"data {result['data'][:12]}"
        )
        distinct.setdefault(line, []).append(name)
    return "\n".join(f"Settings of {', '.join(names)}: {line}." for line, names in distinct.items())


def machine_table(environment: dict[str, Any]) -> str:
    """What the timings depend on besides the code."""
    return markdown(["machine", ""], [[k, str(value)] for k, value in environment.items() if value])


def pruning_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.pruning`."""
    options = "" if found["device"] == "cpu" else f" --device {found['device']}"
    lines = [
        "# Global magnitude pruning",
        "",
        f"Made by `python -m benchmarks.pruning{options}`; the 500 million weights by adding "
        "`--large`.",
        *(["", found["note"]] if found["note"] else []),
        "",
        machine_table(found["environment"]),
        f"A fifth of {found['weights']:,} normal float32 weights in five matrices is kept. The two "
        "take turns in one process; a ratio is that of two neighbouring rounds: its median, "
        "smallest and largest value. `torch.nn.utils.prune.global_unstructured` also multiplies "
        "the weights by their masks. Bytes per weight are those of a call's peak beyond the "
        "weights, its result included (1 byte for a bool mask, 4 for a float one), in a process of "
        f"its own. The masks differ at {found['differ']:,} weights: of equal magnitudes at the "
        "threshold ours keeps the first, torch any.",
        "",
        pruning_table(found["weights"], found["seconds"], found["bytes_per_weight"]),
    ]
    return "\n".join(lines)


def sparse_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.sparse`."""
    options = "" if found["device"] == "cpu" else f" --device {found['device']}"
    models, weights = found["models"], found["weights"]
    masks = "The masks keep the largest initial weights."
    if found["tickets"]:
        masks = f"The masks are those of {found['tickets']}."
    lines = [
        "# What a ticket costs to serve",
        "",
        f"Made by `python -m benchmarks.sparse{options}` (part of `make bench`).",
        *(["", found["note"]] if found["note"] else []),
        "",
        machine_table(found["environment"]),
        f"LT4REC's network with a trunk of {weights:,} weights, for one task, in float32. `masked` "
        "multiplies the weights by the mask at every call, as training does; with the mask "
        "multiplied in once it is `dense`. `compact` is `CompactTicket`: the kept weights in "
        f"compressed rows. {masks} All models take turns in one process; times are medians, and a "
        "ratio is the dense network's time over a model's in the same round, above 1 where the "
        "model is faster: its median, smallest and largest value over "
        f"{len(found['seconds']['whole']['1'][0])} rounds. Logits of `compact` and `masked` differ "
        f"by at most {found['difference']:.1g}.",
        "",
        "Both tasks' scores take two tickets, each with a pass of its own, where a trunk that the "
        "tasks share in all weights is passed once.",
    ]
    for part, title in (("whole", "From ids to logits"), ("trunk", "The trunk alone")):
        times = found["seconds"][part]
        lines += ["", f"## {title}", "", sparse_table(models, times, weights)]
        lines += [_sparse_sentence(models, times[size], weights, size) for size in times]
    return "\n".join(lines) + "\n"


def _sparse_sentence(
    models: list[dict[str, Any]], times: list[list[float]], weights: int, size: str
) -> str:
    said = [
        f"{verdict} at {', '.join(shares)}"
        for verdict, shares in sparse_verdict(models, times, weights).items()
        if shares
    ]
    rows = "a row" if size == "1" else f"{int(size):,} rows"
    return f"* Compact against dense, {rows} at a time: {'; '.join(said)} kept."


def tfrecords_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.tfrecords`."""
    lines = [
        "# Reading TFRecord files",
        "",
        "Made by `python -m benchmarks.tfrecords` (part of `make bench`).",
        *(["", found["note"]] if found["note"] else []),
        "",
        machine_table(found["environment"] | found["versions"]),
        f"Records per second of `read_tfrecord` beside the package `tfrecord` on LT4REC's public "
        f"sample, repeated to {found['records']:,} records of {found['features']} features, all of "
        "which are read. The two take turns in one process; a ratio is that of two neighbouring "
        "rounds: its median, smallest and largest value. mlorakit verifies all checksums and "
        "returns a frame of all records; tfrecord verifies none, yields one record at a time, "
        "which is dropped, and unpacks a gzip file twice, at first to learn its size. Of the "
        f"sample's {found['lists']:,} lists the two read {found['differ']:,} differently.",
        "",
        tfrecords_table(found["rates"]),
    ]
    return "\n".join(lines)


def sampling_page(found: dict[str, Any]) -> str:
    """The page of `benchmarks.sampling`."""
    sides, made = found["side_by_side"], found["preprocessing"]
    rows = made["rows"]
    sizes = [
        ["reviews read", f"{made['read']:,}"],
        ["positives (distinct users and items)", f"{made['kept']:,}"],
        *([f"rows of {part}", f"{count:,}"] for part, count in rows.items()),
        *([f"distinct values of {name}", f"{n:,}"] for name, n in made["distinct"].items()),
        ["raw files, GB", f"{made['raw_bytes'] / 1e9:.2f}"],
        ["seconds", f"{made['seconds']:.0f}"],
        ["peak memory of the process, GB", f"{made['peak_bytes'] / 1e9:.2f}"],
    ]
    lines = [
        "# Sampling negatives",
        "",
        "Made by `python -m benchmarks.sampling` (part of `make bench`).",
        *(["", found["note"]] if found["note"] else []),
        "",
        machine_table(found["environment"]),
        "## Beside a loop over users",
        "",
        f"The negatives of one category of {sides['positives']:,} positives, {sides['users']:,} "
        f"users and {sides['items']:,} items, by `sample_negatives` and by a pandas loop that "
        "groups by user and draws from the items that the user did not touch. The two take turns "
        "in one process; times are medians, a ratio is that of two neighbouring rounds: its "
        f"median, smallest and largest value over {len(sides['seconds']['mlorakit'])} rounds.",
        "",
        sampling_table(sides["negatives"], sides["seconds"]),
        "## Preprocessing many reviews",
        "",
        "Six generated categories in Amazon's format, read, counted, negatives sampled, split, "
        "written as parquet, in a process of its own whose memory includes its libraries'.",
        "",
        markdown(["", ""], sizes),
    ]
    return "\n".join(lines)
