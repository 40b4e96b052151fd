"""Exact AUC, per domain and weighted over domains."""

import torch
from torch import Tensor

from mlorakit.kernels.groups import DomainGroups


def auc(score: Tensor, label: Tensor) -> float:
    """Area under the ROC curve, exact, ties counted half.

    The share of pairs of a positive and a negative that the scores order rightly, from the sum of
    the positives' ranks (Mann and Whitney). A single class leaves it undefined.

    Args:
        score: of shape (N,).
        label: of shape (N,), 0 or 1.

    Returns:
        The AUC, or nan where the rows hold one class only or a score is nan.
    """
    positives = int(label.sum().item())
    negatives = label.numel() - positives
    if positives == 0 or negatives == 0 or bool(score.isnan().any()):
        return float("nan")
    ordered, order = torch.sort(score)
    _, tie, size = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    last_rank = size.cumsum(0).double()
    mean_rank = last_rank - (size.double() - 1) / 2  # rows that tie share their mean rank
    ranks = mean_rank[tie][label[order] > 0.5].sum().item()
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def domain_auc(score: Tensor, label: Tensor, groups: DomainGroups) -> list[float]:
    """`auc` of each domain; rows sorted by domain."""
    ends = groups.ends.tolist()
    starts = [0, *ends[:-1]]
    return [auc(score[a:b], label[a:b]) for a, b in zip(starts, ends, strict=True)]


def mean_auc(aucs: list[float]) -> float:
    """Unweighted mean over the domains that have both classes; MLoRA's early-stopping score."""
    defined = [value for value in aucs if value == value]
    return sum(defined) / len(defined) if defined else float("nan")


def weighted_auc(aucs: list[float], rows: list[int]) -> float:
    """MLoRA's WAUC: sum_d n_d AUC_d / sum_d n_d, over the domains that have both classes."""
    pairs = [(value, n) for value, n in zip(aucs, rows, strict=True) if value == value]
    total = sum(n for _, n in pairs)
    return sum(value * n for value, n in pairs) / total if total else float("nan")
