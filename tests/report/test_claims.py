"""The claims page."""

import math

import pandas as pd
import pytest

from mlorakit.report import claims as page
from mlorakit.report.claim_numbers import (
    NOT_SUPPORTED,
    SUPPORTED,
    TABLES,
    UNDECIDED,
    Finding,
    Numbers,
)
from mlorakit.report.claims import CLAIMS, Claim, claim_tests, claims, verdict_of
from mlorakit.report.claims_readable import readable_claim_tests, readable_claims

NOTHING = Numbers({name: pd.DataFrame() for name in TABLES}, None, ())


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, UNDECIDED], UNDECIDED),
        ([SUPPORTED, UNDECIDED, NOT_SUPPORTED], NOT_SUPPORTED),
        ([], UNDECIDED),
    ],
)
def test_a_claim_needs_all_its_tests(found: list[str], verdict: str) -> None:
    assert verdict_of(found) == verdict


def test_every_claim_of_both_papers_stands_on_the_page_whatever_was_run() -> None:
    tests = claim_tests(NOTHING)
    assert tests.empty
    frame = claims(tests)
    assert len(frame) == len(CLAIMS) == len({claim.name for claim in CLAIMS})
    assert set(frame["paper"]) == {"MLoRA", "LT4REC"}
    assert set(frame["verdict"]) == {UNDECIDED}
    assert set(readable_claims(frame)["tests"]) == {"none"}
    assert readable_claim_tests(tests).empty


@pytest.fixture
def two_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim with two tests and one without any."""
    tests = [
        Finding("movielens", "MLP", 0.01234, 0.03, 5, SUPPORTED),
        Finding("benchmarks.sparse", "a row at a time", -0.5, math.nan, None, NOT_SUPPORTED),
    ]
    made = (
        Claim("first", "MLoRA", "It helps.", "a test", "{:+.4f}", lambda numbers: tests),
        Claim("second", "LT4REC", "It is fast.", "another", "{:.2f}", lambda numbers: []),
    )
    monkeypatch.setattr(page, "CLAIMS", made)


@pytest.mark.usefixtures("two_claims")
def test_tests_are_listed_and_counted_by_claim() -> None:
    tests = claim_tests(NOTHING)
    assert tests["claim"].tolist() == ["first", "first"]
    assert tests["value"].tolist() == [0.01234, -0.5]
    assert tests["n_seeds"].tolist() == [5, pd.NA]
    first, second = claims(tests).to_dict("records")
    assert (first["supported"], first["not_supported"], first["undecided"]) == (1, 1, 0)
    assert (first["verdict"], second["verdict"]) == (NOT_SUPPORTED, UNDECIDED)


@pytest.mark.usefixtures("two_claims")
def test_a_person_reads_counts_and_verdicts() -> None:
    shown = readable_claims(claims(claim_tests(NOTHING)))
    assert shown.iloc[0].to_dict() == {
        "paper": "MLoRA",
        "name": "first",
        "claim": "It helps.",
        "what decides it": "a test",
        "tested on": "movielens, benchmarks.sparse",
        "tests": "1 supported, 1 not supported",
        "verdict": "not supported",
    }


def test_a_person_reads_values_in_their_units() -> None:
    tests = pd.DataFrame(
        [
            ["mlora_beats_base", "movielens", "MLP", 0.00123, 0.0341, 5, SUPPORTED],
            ["mlora_small_overhead", "movielens", "MLP", 0.1402, math.nan, pd.NA, NOT_SUPPORTED],
            ["mlora_beats_baselines", "movielens", "PLE", math.nan, math.nan, pd.NA, UNDECIDED],
            [
                "sparsity_cuts_time",
                "benchmarks.sparse",
                "a row at a time",
                2.345,
                math.nan,
                pd.NA,
                SUPPORTED,
            ],
        ],
        columns=["claim", "dataset", "subject", "value", "p", "n_seeds", "verdict"],
    )
    shown = readable_claim_tests(tests)
    assert shown["value"].tolist() == ["+0.0012", "14.0%", "", "2.35"]
    assert shown["p (Holm)"].tolist() == ["0.0341", "", "", ""]
    assert shown["seeds"].tolist() == ["5", "", "", ""]
