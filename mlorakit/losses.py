"""LT4REC's two losses, on logits."""

import torch
from torch import Tensor

_CLIP = 1e-8  # of probabilities, as in the released code


def focal_loss(logit: Tensor, label: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    r"""Focal loss (arXiv 1708.02002, eq. 5) with LT4REC's constants, mean over the batch.

    .. math:: -\alpha_t (1 - p_t)^\gamma \log p_t

    where p_t is the probability of the row's own class, and alpha_t is alpha for a positive row and
    1 - alpha for a negative one.

    Args:
        logit: of shape (B,).
        label: of shape (B,), 0 or 1.
        alpha: weight of positive rows.
        gamma: how much less a row counts that is right already.
    """
    # In float32 a probability above 1 - 6e-8 is 1, so each class's is taken from its own sigmoid.
    positive = torch.sigmoid(logit).clamp_min(_CLIP)
    negative = torch.sigmoid(-logit).clamp_min(_CLIP)
    own, other = (
        torch.where(label > 0.5, positive, negative),
        torch.where(label > 0.5, negative, positive),
    )
    weight = torch.where(label > 0.5, alpha, 1 - alpha)
    return -(weight * other.pow(gamma) * own.log()).mean()


def masked_squared_error(logit: Tensor, target: Tensor, applies: Tensor) -> Tensor:
    """Squared error of the probability, mean over the rows that the task applies to.

    LT4REC's loss of the share watched: rows that were not clicked have none.

    Args:
        logit: of shape (B,).
        target: of shape (B,), in [0, 1].
        applies: bool tensor of shape (B,).

    Returns:
        The mean; 0, without a gradient, where no row applies.
    """
    error = (torch.sigmoid(logit) - target).square() * applies
    return error.sum() / applies.sum().clamp_min(1)
