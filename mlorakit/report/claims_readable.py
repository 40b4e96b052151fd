"""The claims page as a person reads it."""

import pandas as pd

from mlorakit.report.claim_numbers import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from mlorakit.report.claims import CLAIMS
from mlorakit.report.tables import p_text


def readable_claims(frame: pd.DataFrame) -> pd.DataFrame:
    """`claims` as a person reads it."""
    counts = frame[["supported", "not_supported", "undecided"]].to_numpy().tolist()
    tests = [
        ", ".join(
            f"{n} {kind}"
            for n, kind in zip(row, (SUPPORTED, NOT_SUPPORTED, UNDECIDED), strict=True)
            if n
        )
        for row in counts
    ]
    return pd.DataFrame(
        {
            "paper": frame["paper"],
            "name": frame["claim"],
            "claim": frame["text"],
            "what decides it": frame["test"],
            "tested on": frame["datasets"],
            "tests": [text or "none" for text in tests],
            "verdict": frame["verdict"],
        }
    )


def readable_claim_tests(frame: pd.DataFrame) -> pd.DataFrame:
    """`claim_tests` as a person reads it."""
    if frame.empty:
        return frame
    form = {claim.name: claim.form for claim in CLAIMS}
    return pd.DataFrame(
        {
            "name": frame["claim"],
            "data set": frame["dataset"],
            "test": frame["subject"],
            "value": [
                "" if pd.isna(value) else form[claim].format(value)
                for claim, value in zip(frame["claim"], frame["value"], strict=True)
            ],
            "p (Holm)": frame["p"].map(p_text),
            "seeds": ["" if pd.isna(n) else str(n) for n in frame["n_seeds"]],
            "verdict": frame["verdict"],
        }
    )
