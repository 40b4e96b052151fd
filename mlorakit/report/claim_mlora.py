"""What this run's tables say of MLoRA's claims."""

import math
from typing import Any

from mlorakit.models import BACKBONE_TITLES
from mlorakit.models.baselines import BASELINE_TITLES
from mlorakit.report.baseline_tables import BASELINE
from mlorakit.report.claim_numbers import UNDECIDED, Finding, Numbers, by_bound, by_p

SMALL_OVERHEAD = 0.1
"""Share of added weights below which an overhead counts as small: our bound, not the paper's."""


def _difference(row: dict[str, Any], subject: str, name: str) -> Finding:
    """What a row's difference says, of which a table has the mean and a corrected p.

    Args:
        row: of a table with data sets and seeds.
        subject: of the finding.
        name: of the difference's column.
    """
    value, p = row[name], row[f"{name}_p"]
    return Finding(row["dataset"], subject, value, p, row["n_seeds"], by_p(value, p))


def mlora_minus(other: str, numbers: Numbers) -> list[Finding]:
    """MLoRA's WAUC minus another variant's, a finding per data set, batch order and backbone.

    p is the paired t-test's over seeds, corrected over the table; one seed has none.
    """
    name = f"mlora_minus_{other}"
    return [
        _difference(row, f"{BACKBONE_TITLES[row['backbone']]}, {row['batch_order']} batches", name)
        for row in numbers.rows("mlora_comparison")
        if not math.isnan(row.get(name, math.nan))
    ]


def overhead(share: str, numbers: Numbers) -> list[Finding]:
    """A share of what MLoRA adds over the base model, a finding per data set and backbone.

    Args:
        share: column of the table: `share` of all weights, `share_of_layers` of those beside
            embeddings and linear weights, or `share_of_multiply_adds` of a row's own adapter.
        numbers: see `read_numbers`.
    """
    return [
        Finding(
            dataset=row["dataset"],
            subject=f"{BACKBONE_TITLES[row['backbone']]}, {row['n_domains']} domains",
            value=row[share],
            p=math.nan,
            n_seeds=None,
            verdict=by_bound(row[share], SMALL_OVERHEAD),
        )
        for row in numbers.rows("mlora_overhead")
    ]


def mlora_minus_baselines(models: tuple[str, ...], numbers: Numbers) -> list[Finding]:
    """WAUC of the MLP with MLoRA minus a baseline's, a finding per data set, batch order and
    baseline.

    p is the paired t-test's over seeds, corrected over the table; one seed has none. A baseline
    that was not run beside others is undecided: a claim names them all.

    Args:
        models: keys of `BASELINES`.
        numbers: see `read_numbers`.
    """
    rows = [
        row
        for row in numbers.rows("mlora_baselines")
        if row["kind"] == BASELINE and not math.isnan(row["mlora_minus"])
    ]
    found = {(row["dataset"], row["batch_order"], row["model"]): row for row in rows}
    pairs = dict.fromkeys((row["dataset"], row["batch_order"]) for row in rows)
    return [
        _minus_baseline(dataset, order, model, found.get((dataset, order, model)))
        for dataset, order in pairs
        for model in models
    ]


def _minus_baseline(dataset: str, order: str, model: str, row: dict[str, Any] | None) -> Finding:
    """Args: the table's row; None of a baseline that was not run."""
    subject = f"{BASELINE_TITLES[model]}, {order} batches"
    if row is None:
        return Finding(dataset, f"{subject}, not run", math.nan, math.nan, None, UNDECIDED)
    return _difference(row, subject, "mlora_minus")


def two_stage_minus_joint(numbers: Numbers) -> list[Finding]:
    """WAUC of MLoRA trained in two stages minus that of joint training, a finding per data set,
    batch order and backbone.

    p is the paired t-test's over seeds, corrected over the table; one seed has none.
    """
    return [
        _difference(
            row,
            f"{BACKBONE_TITLES[row['backbone']]}, {row['batch_order']} batches",
            "two_stage_minus_joint",
        )
        for row in numbers.rows("mlora_two_stage")
        if not math.isnan(row["two_stage_minus_joint"])
    ]


def new_domain(numbers: Numbers) -> list[Finding]:
    """WAUC on new domains by adapters trained on all of their rows, minus that of the shared
    weights alone; a finding per data set and backbone.
    """
    return [
        _difference(
            row, f"{BACKBONE_TITLES[row['backbone']]}, adapters of new domains", "minus_none"
        )
        for row in numbers.rows("mlora_new_domain")
        if row["way"] == "adapter" and row["share"] == 1 and not math.isnan(row["minus_none"])
    ]
