"""Global magnitude pruning: how many weights of several tensors to keep, and which.

LT4REC (arXiv 2008.09872) prunes the matrices of a task's network together, after each round.
`torch.nn.utils.prune.global_unstructured` joins all weights and sorts part of them for that. Here
two passes that count find the smallest magnitude to keep, piece by piece and without a copy.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor

_INTEGERS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
_PIECE = 1 << 22  # weights at a time; smaller pieces spend more on starting threads
_DIGIT = 16  # bits counted in one pass


def rounds(total: int, final_rate: float, n: int) -> list[int]:
    """How many weights LT4REC keeps after each of its rounds of pruning.

    Each round drops the share q = 1 - s^(1/n) of the weights still alive, rounded to a whole number
    (half to even), as `torch.nn.utils.prune` with ``amount=q`` does round by round. Rounding from
    the total instead, ``round(total * s ** (k / n))``, would keep one weight more in LT4REC's third
    round. The last count may therefore differ by a few weights from the total times s.

    Args:
        total: number of weights before the first round.
        final_rate: s in (0, 1], the share left after the last round.
        n: number of rounds, at least 1.

    Returns:
        The n counts. For LT4REC's trunk (532,480 weights, s = 0.2, n = 4) they are 356,091,
        238,132, 159,248 and 106,496.

    Raises:
        ValueError: an argument lies outside its range.
    """
    if total < 0 or not 0 < final_rate <= 1 or n < 1:
        raise ValueError(
            "Pruning needs total >= 0, 0 < final_rate <= 1 and n >= 1, but got "
            f"total {total}, final_rate {final_rate} and n {n}."
        )
    dropped_share = 1 - final_rate ** (1 / n)
    kept = [total]
    for _ in range(n):
        kept.append(kept[-1] - round(kept[-1] * dropped_share))
    return kept[1:]


def _check(weights: Sequence[Tensor], keep: int, masks: Sequence[Tensor]) -> None:
    if len(weights) != len(masks):
        raise ValueError(f"Each tensor needs a mask: {len(weights)} tensors, {len(masks)} masks.")
    for i, (weight, mask) in enumerate(zip(weights, masks, strict=True)):
        name = f"Tensor {i} of shape {tuple(weight.shape)}"
        kind = (weight.dtype, weight.device)
        if weight.dtype not in _INTEGERS or kind != (weights[0].dtype, weights[0].device):
            raise ValueError(
                f"{name} is {weight.dtype} on {weight.device}; all must be of one type "
                f"({', '.join(map(str, _INTEGERS))}) and on one device."
            )
        if (mask.dtype, mask.shape, mask.device) != (torch.bool, weight.shape, weight.device):
            raise ValueError(
                f"{name} needs a bool mask of its shape on {weight.device}, "
                f"but mask {i} is {mask.dtype} of shape {tuple(mask.shape)} on {mask.device}."
            )
        if weight.numel() and weight.detach().amax().isnan():  # amax hands NaN on
            raise ValueError(f"{name} holds NaN, which has no magnitude; did training diverge?")
    alive = sum(int(mask.count_nonzero()) for mask in masks)
    if not 0 <= keep <= alive:
        raise ValueError(f"Between 0 and {alive} weights (those alive) can be kept, not {keep}.")


def _pieces(weights: Sequence[Tensor], masks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """The bits of each magnitude as an integer, zero where pruned, and which are alive.

    Without their sign, floats are ordered as the integers of the same bits are.
    """
    for weight, mask in zip(weights, masks, strict=True):
        integer = _INTEGERS[weight.dtype]
        flat = weight.detach().reshape(-1).view(integer)
        for piece, alive in zip(flat.split(_PIECE), mask.reshape(-1).split(_PIECE), strict=True):
            yield (piece & torch.iinfo(integer).max).mul_(alive), alive


def _threshold(weights: Sequence[Tensor], masks: Sequence[Tensor], keep: int) -> tuple[int, int]:
    """The bits of the smallest magnitude to keep, and how many weights of just that one to keep."""
    known = width = 8 * weights[0].element_size() - 1  # bits from `known` upwards are found
    threshold = 0
    while known:
        shift = max(known - _DIGIT, 0)
        bins = 1 << (known - shift)
        counts = torch.zeros(bins, dtype=torch.int64, device=weights[0].device)
        for bits, _ in _pieces(weights, masks):
            if known < width:
                bits = bits[(bits >> known) == (threshold >> known)] & ((1 << known) - 1)
            counts += torch.bincount(bits >> shift, minlength=bins)
        from_top = counts.cpu().flip(0).cumsum(0)
        # Pruned weights stand among the zeros, below all others, and so raise no other count.
        place = int(torch.searchsorted(from_top, keep))
        keep -= int(from_top[place - 1]) if place else 0
        threshold += (bins - 1 - place) << shift
        known = shift
    return threshold, keep


def keep_largest_reference(
    weights: Sequence[Tensor], keep: int, masks: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """What `keep_largest` computes, by one stable sort of all magnitudes."""
    magnitude = torch.cat([weight.detach().abs().flatten() for weight in weights])
    if masks is not None:
        magnitude[~torch.cat([mask.flatten() for mask in masks])] = -1
    kept = torch.zeros_like(magnitude, dtype=torch.bool)
    kept[magnitude.argsort(descending=True, stable=True)[:keep]] = True
    parts = kept.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]


def keep_largest(
    weights: Sequence[Tensor], keep: int, masks: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """Masks of the weights that are largest in magnitude over all tensors, exactly `keep` of them.

    Of equal magnitudes the first are kept, in the order of the tensors and of the flat indices
    within each. The result is therefore the same on every device and with any number of threads.

    Args:
        weights: tensors of any shapes, of one floating-point type and on one device.
        keep: how many weights to keep.
        masks: a bool tensor per weight tensor, of its shape, False where a weight was pruned
            before; such a weight never comes back. None if all are alive.

    Returns:
        A bool tensor per weight tensor, of its shape, True where the weight is kept.

    Raises:
        ValueError: `keep` is negative or above the number of weights alive, a weight (even a
            pruned one) is NaN, or types or shapes do not fit.
    """
    if masks is None:  # a view of one element per tensor, without memory
        masks = [w.new_ones((), dtype=torch.bool).expand(w.shape) for w in weights]
    _check(weights, keep, masks)
    if not weights:
        return []
    threshold, ties = _threshold(weights, masks, keep)
    kept = [torch.empty(w.shape, dtype=torch.bool, device=w.device) for w in weights]
    parts = chain.from_iterable(mask.view(-1).split(_PIECE) for mask in kept)
    for (bits, alive), part in zip(_pieces(weights, masks), parts, strict=True):
        torch.gt(bits, threshold, out=part)
        if ties:
            first = ((bits == threshold) & alive).nonzero()[:ties, 0]
            part[first] = True
            ties -= len(first)
    return kept
