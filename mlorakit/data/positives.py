"""Positives of several domains to labelled rows: negatives drawn, everything split."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlorakit.data.raw_rows import Coded, RawRows, sorted_values, to_codes
from mlorakit.data.rows import DataError
from mlorakit.data.sampling import draw_ctr_ratio, sample_negatives
from mlorakit.data.splits import split_by_time, split_in_order, stratified_split

# What a domain's numbers are drawn for, beside the seed and the domain's place.
_RATIO, _NEGATIVES, _SPLIT = range(3)


@dataclass(frozen=True)
class _Domain:
    """A domain's rows; users and items count from 0 in their own lists."""

    users: pl.Series
    items: pl.Series
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    label: NDArray[np.uint8]
    split: NDArray[np.int8]
    ctr_ratio: float


def with_negatives(
    domains: Iterable[tuple[str, pl.DataFrame]],
    *,
    field: str,
    ctr_ratio: tuple[float, ...],
    by_time: bool,
    seed: int,
) -> RawRows:
    """Rows of the fields `user`, `item` and the domain, as MAMDR and MLoRA make them.

    Positives are split once per domain, negatives by themselves for each user.

    Args:
        domains: name and positives of each, taken one after the other: a frame with the string
            columns `user` and `item`, every pair once, and `time` (Int64) if `by_time`.
        field: what the domain is called as a field.
        ctr_ratio: positives per negative; of two numbers, each domain draws its own between them.
        by_time: the earliest positives are for training; else they are drawn.
        seed: of ratios, negatives and split, for each domain by its place.

    Returns:
        The rows, positives before negatives in every domain; without accounts.

    Raises:
        DataError: a domain is empty.
    """
    made = {}
    for place, (name, frame) in enumerate(domains):
        if frame.is_empty():
            raise DataError(f"Domain {name!r} has no usable row; leave it out of the data set.")
        ratio = draw_ctr_ratio(ctr_ratio[0], ctr_ratio[-1], (seed, _RATIO, place))
        made[name] = _domain(frame, ratio, by_time, seed, place)
    names = pl.Series(list(made), dtype=pl.String)
    domain = np.repeat(np.arange(len(made), dtype=np.int32), [len(d.label) for d in made.values()])
    in_order = sorted_values(names)
    return RawRows(
        domain=(coded := Coded(to_codes(names, in_order)[domain], in_order)),
        fields={
            "user": _joined([(d.users, d.user) for d in made.values()]),
            "item": _joined([(d.items, d.item) for d in made.values()]),
            field: coded,
        },
        label=np.concatenate([d.label for d in made.values()]),
        split=np.concatenate([d.split for d in made.values()]),
        accounts=[],
        facts={"ctr_ratios": {name: d.ctr_ratio for name, d in made.items()}},
    )


def _domain(frame: pl.DataFrame, ctr_ratio: float, by_time: bool, seed: int, place: int) -> _Domain:
    users, items = sorted_values(frame["user"]), sorted_values(frame["item"])
    user, item = to_codes(frame["user"], users), to_codes(frame["item"], items)
    all_in_one = np.zeros(len(user), np.int8)
    if by_time:
        split = split_by_time(all_in_one, frame["time"].to_numpy())
    else:
        split = stratified_split(all_in_one, all_in_one, (seed, _SPLIT, place))
    for_user, negative = sample_negatives(
        user, item, len(items), ctr_ratio, (seed, _NEGATIVES, place)
    )
    label = np.zeros(len(user) + len(for_user), np.uint8)
    label[: len(user)] = 1
    return _Domain(
        users,
        items,
        np.concatenate((user, for_user)),
        np.concatenate((item, negative)),
        label,
        np.concatenate((split, split_in_order(for_user))),  # each user's are in random order
        ctr_ratio,
    )


def _joined(parts: list[tuple[pl.Series, NDArray[np.int32]]]) -> Coded:
    """Columns of several domains as one."""
    values = sorted_values(pl.concat([values for values, _ in parts]))
    return Coded(
        np.concatenate([to_codes(of_domain, values)[codes] for of_domain, codes in parts]), values
    )
