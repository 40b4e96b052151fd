"""What this run's tables say of MLoRA's claims."""

import math

from mlorakit.models import BACKBONE_TITLES
from mlorakit.models.baselines import BASELINE_TITLES, MAMDR_BASELINES
from mlorakit.report.baseline_tables import BASELINE
from mlorakit.report.claim_numbers import Finding, Numbers, by_bound, by_p

SMALL_OVERHEAD = 0.1
"""Share of added weights below which an overhead counts as small: our bound, not the paper's."""


def mlora_minus(other: str, numbers: Numbers) -> list[Finding]:
    """MLoRA's WAUC minus another variant's, a finding per data set, batch order and backbone.

    p is the paired t-test's over seeds, corrected over the table; one seed has none.
    """
    name = f"mlora_minus_{other}"
    return [
        Finding(
            dataset=row["dataset"],
            subject=f"{BACKBONE_TITLES[row['backbone']]}, {row['batch_order']} batches",
            value=row[name],
            p=row[f"{name}_p"],
            n_seeds=row["n_seeds"],
            verdict=by_p(row[name], row[f"{name}_p"]),
        )
        for row in numbers.rows("mlora_comparison")
        if not math.isnan(row.get(name, math.nan))
    ]


def overhead(embeddings: bool, numbers: Numbers) -> list[Finding]:
    """Weights that MLoRA adds over those of the base, a finding per data set and backbone.

    Args:
        embeddings: whether those of embeddings and linear weights count among the base's.
        numbers: see `read_numbers`.
    """
    found: dict[tuple[str, str], Finding] = {}
    for row in numbers.rows("mlora_wauc"):
        if row["variant"] != "mlora":
            continue
        base = row["params"] - row["params_added"]
        share = row["params_added"] / (base if embeddings else base - row["params_embedding"])
        # Batch orders have the same weights.
        found[row["dataset"], row["backbone"]] = Finding(
            dataset=row["dataset"],
            subject=BACKBONE_TITLES[row["backbone"]],
            value=share,
            p=math.nan,
            n_seeds=None,
            verdict=by_bound(share, SMALL_OVERHEAD),
        )
    return list(found.values())


def mlora_minus_baselines(numbers: Numbers) -> list[Finding]:
    """WAUC of the MLP with MLoRA minus a multi-domain baseline's, a finding per data set, batch
    order and baseline that MLoRA's paper compares with.

    p is the paired t-test's over seeds, corrected over the table; one seed has none.
    """
    return [
        Finding(
            dataset=row["dataset"],
            subject=f"{BASELINE_TITLES[row['model']]}, {row['batch_order']} batches",
            value=row["mlora_minus"],
            p=row["mlora_minus_p"],
            n_seeds=row["n_seeds"],
            verdict=by_p(row["mlora_minus"], row["mlora_minus_p"]),
        )
        for row in numbers.rows("mlora_baselines")
        if row["kind"] == BASELINE
        and row["model"] in MAMDR_BASELINES
        and not math.isnan(row["mlora_minus"])
    ]


def multiply_adds_added(numbers: Numbers) -> list[Finding]:
    """Multiply-adds of a row's own adapter over those of the base, a finding per data set and
    backbone.
    """
    return [
        Finding(
            dataset=row["dataset"],
            subject=BACKBONE_TITLES[row["backbone"]],
            value=row["share_of_multiply_adds"],
            p=math.nan,
            n_seeds=None,
            verdict=by_bound(row["share_of_multiply_adds"], SMALL_OVERHEAD),
        )
        for row in numbers.rows("mlora_overhead")
    ]


def new_domain(numbers: Numbers) -> list[Finding]:
    """WAUC on new domains by adapters trained on all of their rows, minus that of the shared
    weights alone; a finding per data set and backbone.
    """
    return [
        Finding(
            dataset=row["dataset"],
            subject=f"{BACKBONE_TITLES[row['backbone']]}, adapters of new domains",
            value=row["minus_none"],
            p=row["minus_none_p"],
            n_seeds=row["n_seeds"],
            verdict=by_p(row["minus_none"], row["minus_none_p"]),
        )
        for row in numbers.rows("mlora_new_domain")
        if row["way"] == "adapter" and row["share"] == 1 and not math.isnan(row["minus_none"])
    ]
