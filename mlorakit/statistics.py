"""Statistics over seeds."""

import statistics
from dataclasses import dataclass

from scipy.stats import ttest_rel


@dataclass(frozen=True)
class PairedDifference:
    """How far one variant lies from another over the seeds that both ran.

    Args:
        mean: of the differences.
        std: their standard deviation, None with one seed.
        p: two-sided p-value of the paired t-test, None with one seed or no spread.
    """

    mean: float
    std: float | None
    p: float | None


def paired_difference(first: dict[str, float], second: dict[str, float]) -> PairedDifference:
    """First - second, paired by seed.

    Raises:
        ValueError: the two have no seed in common.
    """
    seeds = sorted(set(first) & set(second))
    if not seeds:
        raise ValueError(
            f"No seed in common: one side ran {sorted(first)}, the other {sorted(second)}."
        )
    differences = [first[s] - second[s] for s in seeds]
    if len(seeds) == 1:
        return PairedDifference(differences[0], None, None)
    std = statistics.stdev(differences)
    test = ttest_rel([first[s] for s in seeds], [second[s] for s in seeds]) if std > 0 else None
    return PairedDifference(
        statistics.fmean(differences), std, float(test.pvalue) if test is not None else None
    )


def holm(p_values: list[float | None]) -> list[float | None]:
    """Holm's step-down correction of the p-values of one family (Scand. J. Stat. 6, 1979).

    Args:
        p_values: None where a comparison has none; it does not count.

    Returns:
        Corrected p-values in the same order.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        corrected[i] = running
    return corrected
