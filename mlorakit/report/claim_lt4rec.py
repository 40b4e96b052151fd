"""What this run's tables and benchmark say of LT4REC's claims."""

import math
import statistics
from typing import Any

from scipy.stats import kendalltau, norm

from mlorakit.data.tasks import TASKS
from mlorakit.report.claim_numbers import (
    MEASURED_BY,
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    Finding,
    Numbers,
    by_bound,
    by_p,
)
from mlorakit.report.task_methods import METRICS, SINGLE, method_title
from mlorakit.report.task_tables import SPARSE
from mlorakit.statistics import holm


def sparse_beats(other: str, numbers: Numbers) -> list[Finding]:
    """Sparse sharing minus another method, a finding per data set and metric of CVR.

    The verdict is that of the table, whose test asks for more than a p below 0.05; where neither
    method beats a constant prediction nothing is decided.
    """
    verdicts = {"better": SUPPORTED, "worse": NOT_SUPPORTED}
    return [
        Finding(
            dataset=row["dataset"],
            subject=f"{METRICS[row['metric']]}, minus {method_title(other)}",
            value=row["difference"],
            p=row["p_holm"],
            n_seeds=row["n_seeds"],
            verdict=verdicts.get(row["verdict"], UNDECIDED),
        )
        for row in numbers.rows("lt4rec_differences")
        if row["other"] == other and row["metric"].startswith("cvr")
    ]


def shared_beyond_chance(numbers: Numbers) -> list[Finding]:
    """Weights that both tickets keep minus those of independent masks, over the trunk's weights.

    Fewer than by chance would speak against common ground. More does not speak for it: both tickets
    start from the same initial weights, of which the large ones tend to survive whatever the task.
    Of two independent masks the number is hypergeometric in each layer; p is two-sided, by the
    normal distribution of the mean over seeds, corrected over the data sets.
    """
    deviations: dict[str, list[float]] = {}
    trunks = []
    for row in numbers.rows("lt4rec_overlap"):
        if row["layer"] == "trunk":
            trunks.append(row)
        else:
            deviations.setdefault(row["dataset"], []).append(_chance_variance(row))
    values, ps = [], []
    for row in trunks:
        excess = row["shared"] - row["shared_by_chance"]
        spread = math.sqrt(sum(deviations[row["dataset"]]) / row["n_seeds"])
        values.append(excess / row["weights"])
        tested = spread > 0 and row["n_seeds"] > 1
        ps.append(float(2 * norm.sf(abs(excess) / spread)) if tested else None)
    return [
        Finding(
            dataset=row["dataset"],
            subject=f"trunk of {row['weights']:,} weights",
            value=value,
            p=p,
            n_seeds=row["n_seeds"],
            verdict=NOT_SUPPORTED if by_p(value, p) == NOT_SUPPORTED else UNDECIDED,
        )
        for row, value, p in zip(trunks, values, _corrected(ps), strict=True)
    ]


def _chance_variance(row: dict[str, Any]) -> float:
    """Variance of the number of weights that two independent masks of a layer share."""
    total = row["weights"]
    ctr, cvr = (row["shared"] + row[f"private_{task}"] for task in TASKS)
    if total < 2:
        return 0.0
    return ctr * cvr * (total - ctr) * (total - cvr) / (total**2 * (total - 1))


def _corrected(ps: list[float | None]) -> list[float]:
    return [math.nan if p is None else p for p in holm(ps)]


def reads_its_own_fields(numbers: Numbers) -> list[Finding]:
    """Whether a task's ticket reads more of the fields that decide this task alone.

    A finding per data set with such fields planted: Kendall's rank correlation, over the fields, of
    how much more the click ticket reads a field than the conversion ticket does with which label it
    decides (clicks alone above both and neither above conversions alone). p is two-sided, corrected
    over the data sets.
    """
    n_seeds = {row["dataset"]: row["n_seeds"] for row in numbers.rows("lt4rec_overlap")}
    first, second = TASKS
    side = {first: 1, second: -1}
    sides: dict[str, list[int]] = {}
    reads: dict[str, list[float]] = {}
    for row in numbers.rows("lt4rec_fields"):
        sides.setdefault(row["dataset"], []).append(side.get(row["role"], 0))
        reads.setdefault(row["dataset"], []).append(row[first] - row[second])
    datasets = [name for name, found in sides.items() if len(set(found)) > 1]
    tests = [kendalltau(sides[name], reads[name]) for name in datasets]
    ps = [
        float(test.pvalue) if n_seeds[name] > 1 and not math.isnan(test.pvalue) else None
        for name, test in zip(datasets, tests, strict=True)
    ]
    return [
        Finding(
            dataset=name,
            subject=f"{len(sides[name])} fields",
            value=float(test.statistic),
            p=p,
            n_seeds=n_seeds[name],
            verdict=by_p(test.statistic, p),
        )
        for name, test, p in zip(datasets, tests, _corrected(ps), strict=True)
    ]


def multiply_adds(numbers: Numbers) -> list[Finding]:
    """Multiply-adds of a row's score with the chosen tickets over those of the dense network.

    A finding per data set for the score of each task, and one for both scores: two tickets are two
    passes, where a dense trunk shared by the tasks is passed once.
    """
    costs: dict[str, dict[str, dict[str, Any]]] = {}
    for row in numbers.rows("lt4rec_tasks"):
        costs.setdefault(row["dataset"], {})[row["method"]] = row
    found = []
    for dataset, methods in costs.items():
        if not {SPARSE, SINGLE} <= set(methods):
            continue
        tickets, dense = (
            {task: methods[method][f"multiply_adds_{task}"] for task in TASKS}
            for method in (SPARSE, SINGLE)
        )
        trunk = methods[SINGLE][f"kept_{TASKS[0]}"]
        ratios = {f"{task.upper()} score": tickets[task] / dense[task] for task in TASKS}
        ratios["both scores"] = sum(tickets.values()) / (sum(dense.values()) - trunk)
        found += [
            Finding(dataset, subject, ratio, math.nan, None, by_bound(ratio, 1))
            for subject, ratio in ratios.items()
        ]
    return found


def _compact(measured: dict[str, Any]) -> list[tuple[int, str]]:
    """Place and share of weights of each sparse model of the benchmark that leaves some out."""
    models, weights = measured["models"], measured["weights"]
    # A compact model's mask is that of the masked model before it.
    kept = {i: models[i - 1]["kept"] for i, m in enumerate(models) if m["side"] == "compact"}
    return [(i, f"{n / weights:.2%} kept") for i, n in kept.items() if n < weights]


def speedup(numbers: Numbers) -> list[Finding]:
    """The dense network's time over a ticket's, a finding per share of weights and rows of a call.

    Decided only where all rounds of the benchmark say the same; the value is their median.
    """
    if numbers.sparse is None:
        return []
    found = []
    for place, share in _compact(numbers.sparse):
        for rows, times in numbers.sparse["seconds"]["whole"].items():
            ratios = [dense / own for dense, own in zip(times[0], times[place], strict=True)]
            faster, slower = min(ratios) > 1, max(ratios) < 1
            verdict = SUPPORTED if faster else NOT_SUPPORTED if slower else UNDECIDED
            subject = f"{share}, {'a row' if rows == '1' else f'{int(rows):,} rows'} at a time"
            found.append(
                Finding(MEASURED_BY, subject, statistics.median(ratios), math.nan, None, verdict)
            )
    return found


def memory(numbers: Numbers) -> list[Finding]:
    """Bytes of a ticket's trunk over those of the dense one, a finding per share of weights."""
    if numbers.sparse is None:
        return []
    found = []
    for place, share in _compact(numbers.sparse):
        models = numbers.sparse["models"]
        ratio = models[place]["trunk_bytes"] / models[0]["trunk_bytes"]
        found.append(Finding(MEASURED_BY, share, ratio, math.nan, None, by_bound(ratio, 1)))
    return found
