"""The claims of both papers, the test that decides each, and the verdict on this run's numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd

from mlorakit.models.baselines import MAMDR_BASELINES
from mlorakit.report.claim_lt4rec import (
    memory,
    multiply_adds,
    reads_its_own_fields,
    shared_beyond_chance,
    sparse_beats,
    speedup,
)
from mlorakit.report.claim_mlora import (
    SMALL_OVERHEAD,
    mlora_minus,
    mlora_minus_baselines,
    new_domain,
    overhead,
    two_stage_minus_joint,
)
from mlorakit.report.claim_numbers import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Finding, Numbers
from mlorakit.report.task_methods import SINGLE


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Args:
        name: short.
        paper: whose.
        text: what is claimed.
        test: what decides it.
        form: how its numbers are written.
        find: the tests on a run's numbers.
    """

    name: str
    paper: str
    text: str
    test: str
    form: str
    find: Callable[[Numbers], list[Finding]]


CLAIMS = (
    Claim(
        name="mlora_beats_base",
        paper="MLoRA",
        text="A low-rank adapter per domain raises WAUC over the base model, in every backbone.",
        test="WAUC of mlora − base above 0; paired t-test over seeds, corrected",
        form="{:+.4f}",
        find=partial(mlora_minus, "base"),
    ),
    Claim(
        name="mlora_beats_control",
        paper="MLoRA",
        text="The low-rank term itself raises WAUC, in every backbone.",
        test="WAUC of mlora − control above 0; paired t-test over seeds, corrected",
        form="{:+.4f}",
        find=partial(mlora_minus, "control"),
    ),
    Claim(
        name="mlora_beats_baselines",
        paper="MLoRA",
        text="MLoRA raises WAUC over the multi-domain baselines that it is compared with.",
        test=(
            "WAUC of the MLP with MLoRA − shared-bottom, MMoE, PLE and STAR, each of which has to "
            "be run, above 0; paired t-test over seeds, corrected"
        ),
        form="{:+.4f}",
        find=partial(mlora_minus_baselines, MAMDR_BASELINES),
    ),
    Claim(
        name="mlora_beats_shared_lora",
        paper="MLoRA",
        text="An adapter per domain raises WAUC over one that all domains share.",
        test=(
            "WAUC of the MLP with MLoRA − MLP with one LoRA above 0; paired t-test over seeds, "
            "corrected"
        ),
        form="{:+.4f}",
        find=partial(mlora_minus_baselines, ("shared_lora",)),
    ),
    Claim(
        name="mlora_two_stage",
        paper="MLoRA",
        text=(
            "The variant in two stages, shared weights first and then the adapters, raises WAUC "
            "over joint training: why there is one, as we read it."
        ),
        test="WAUC of mlora in two stages − joint above 0; paired t-test over seeds, corrected",
        form="{:+.4f}",
        find=two_stage_minus_joint,
    ),
    Claim(
        name="mlora_small_overhead",
        paper="MLoRA",
        text="The adapters are a small overhead in every backbone, embeddings counted.",
        test=f"weights added, below {SMALL_OVERHEAD:.0%} of the base model's",
        form="{:.1%}",
        find=partial(overhead, "share"),
    ),
    Claim(
        name="mlora_small_overhead_layers",
        paper="MLoRA",
        text="The adapters are a small overhead in every backbone, embeddings not counted.",
        test=f"weights added, below {SMALL_OVERHEAD:.0%} of the base model's beside embeddings",
        form="{:.1%}",
        find=partial(overhead, "share_of_layers"),
    ),
    Claim(
        name="mlora_small_compute",
        paper="MLoRA",
        text="The adapters cost little compute in every backbone.",
        test=f"multiply-adds of a row's adapter, below {SMALL_OVERHEAD:.0%} of the base model's",
        form="{:.1%}",
        find=partial(overhead, "share_of_multiply_adds"),
    ),
    Claim(
        name="mlora_new_domain",
        paper="MLoRA",
        text="A new domain is served better once an adapter of its own is trained, and only that.",
        test=(
            "WAUC on held-out domains by adapters trained on all their rows, minus that without "
            "adaptation, above 0; paired t-test over seeds, corrected"
        ),
        form="{:+.4f}",
        find=new_domain,
    ),
    Claim(
        name="mlora_online",
        paper="MLoRA",
        text="In an online test at Alibaba.com, CTR and order conversion rise.",
        test="none: the traffic is private",
        form="{}",
        find=lambda numbers: [],
    ),
    Claim(
        name="sparse_beats_single",
        paper="LT4REC",
        text="Sparse sharing beats the single-task model on CVR.",
        test="better in each metric of CVR, as lt4rec_differences decides it",
        form="{:+.5f}",
        find=partial(sparse_beats, SINGLE),
    ),
    Claim(
        name="sparse_beats_hard",
        paper="LT4REC",
        text="Sparse sharing beats layer-level (hard) sharing on CVR.",
        test="better in each metric of CVR, as lt4rec_differences decides it",
        form="{:+.5f}",
        find=partial(sparse_beats, "hard"),
    ),
    Claim(
        name="sharing_beyond_chance",
        paper="LT4REC",
        text="The sharing pattern is learned, not designed: the tickets find weights in common.",
        test=(
            "share of the trunk that both tickets keep, minus that of independent masks: below 0 "
            "speaks against it; above 0 does not decide, since the tickets' initial weights are "
            "the same"
        ),
        form="{:+.2%}",
        find=shared_beyond_chance,
    ),
    Claim(
        name="sharing_follows_the_labels",
        paper="LT4REC",
        text="The sharing pattern is learned, not designed: a ticket reads what decides its label.",
        test=(
            "on generated logs, rank correlation of which label a field decides and which ticket "
            "reads more of it, above 0"
        ),
        form="{:+.2f}",
        find=reads_its_own_fields,
    ),
    Claim(
        name="sparsity_cuts_multiply_adds",
        paper="LT4REC",
        text="Weight sparsity cuts compute: the multiply-adds of each score and of both.",
        test="multiply-adds of the chosen tickets over the dense network's, below 1",
        form="{:.3f}",
        find=multiply_adds,
    ),
    Claim(
        name="sparsity_cuts_time",
        paper="LT4REC",
        text="Weight sparsity cuts compute: the time of a call, at every share kept.",
        test="dense network's time over a ticket's, above 1 in every round of benchmarks.sparse",
        form="{:.2f}",
        find=speedup,
    ),
    Claim(
        name="sparsity_cuts_memory",
        paper="LT4REC",
        text="Weight sparsity cuts memory, at every share of weights kept.",
        test="bytes of a ticket's trunk over the dense one's, below 1; from benchmarks.sparse",
        form="{:.3f}",
        find=memory,
    ),
)
"""In the order of the page. A claim says what holds in all cases; see `verdict_of`."""


def verdict_of(found: list[str]) -> str:
    """The verdict on a claim from those of its tests.

    A claim speaks of all cases: one test against it is enough, and only tests that all support it
    are. Without a test it is undecided.
    """
    if NOT_SUPPORTED in found:
        return NOT_SUPPORTED
    return SUPPORTED if found and UNDECIDED not in found else UNDECIDED


def claim_tests(numbers: Numbers) -> pd.DataFrame:
    """A row per claim and test: see `Finding`."""
    rows = [
        {
            "paper": claim.paper,
            "claim": claim.name,
            "dataset": finding.dataset,
            "subject": finding.subject,
            "value": finding.value,
            "p": finding.p,
            "n_seeds": finding.n_seeds,
            "verdict": finding.verdict,
        }
        for claim in CLAIMS
        for finding in claim.find(numbers)
    ]
    return pd.DataFrame(rows).astype({"n_seeds": "Int64"}) if rows else pd.DataFrame()


def claims(tests: pd.DataFrame) -> pd.DataFrame:
    """A row per claim: what it was tested on, its tests by verdict, and its own verdict.

    Args:
        tests: see `claim_tests`.
    """
    rows = []
    for claim in CLAIMS:
        own = [] if tests.empty else tests[tests["claim"] == claim.name].to_dict("records")
        verdicts = [test["verdict"] for test in own]
        rows.append(
            {
                "paper": claim.paper,
                "claim": claim.name,
                "text": claim.text,
                "test": claim.test,
                "datasets": ", ".join(dict.fromkeys(test["dataset"] for test in own)),
                **{
                    kind.replace(" ", "_"): verdicts.count(kind)
                    for kind in (SUPPORTED, NOT_SUPPORTED, UNDECIDED)
                },
                "verdict": verdict_of(verdicts),
            }
        )
    return pd.DataFrame(rows)
