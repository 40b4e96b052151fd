"""Many reviews in Amazon's format, of the size of Amazon-6 or larger, written fast."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl

from mlorakit.data.amazon import SUFFIX
from mlorakit.progress import progress

USERS, ITEMS = 445_789, 172_653
"""Of Amazon-6 (papers' data statistics), at `FULL` reviews and more."""

FULL = 4_000_000
_SHARES = np.array([1, 4, 4, 1, 8, 2]) / 20  # of the six categories, unequal as the real ones are
_BLOCK = 500_000
_TEXT = "A review of some forty words, " * 7


def draw_pairs(reviews: int, share: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Users and items of a category's reviews, some of them more than once.

    A category has its share of items and, as most users write in one, of users. Popular items have
    many times the reviews of rare ones.
    """
    size = min(1.0, reviews / share / FULL)
    users, items = (max(10, round(share * size * n)) for n in (USERS, ITEMS))
    first = rng.integers(USERS)  # categories overlap in some users
    user = (first + rng.integers(users, size=reviews)) % USERS
    item = (items * rng.random(reviews) ** 2).astype(np.int64)
    return user, item


def write_reviews(folder: Path, reviews: int, seed: int = 1) -> None:
    """Write six categories of reviews, `reviews` in all."""
    rng = np.random.default_rng(seed)
    for number, share in enumerate(_SHARES, 1):
        user, item = draw_pairs(round(share * reviews), share, rng)
        path = folder / f"Domain_{number}{SUFFIX}"
        bar = progress(total=len(user), description=f"writing {path.name}", unit="reviews")
        with bar, gzip.open(path, "wb", compresslevel=1) as stream:
            for start in range(0, len(user), _BLOCK):
                block = slice(start, start + _BLOCK)
                frame = pl.DataFrame({"user": user[block], "item": number * 10**6 + item[block]})
                stream.write(_lines(frame))
                bar.update(frame.height)


def _lines(frame: pl.DataFrame) -> bytes:
    line = pl.concat_str(
        pl.lit('{"overall": 5.0, "verified": true, "reviewerID": "A'),
        pl.col("user").cast(pl.String).str.zfill(13),
        pl.lit('", "asin": "B'),
        pl.col("item").cast(pl.String).str.zfill(9),
        pl.lit(f'", "reviewText": "{_TEXT}", "unixReviewTime": 1500000000}}\n'),
    )
    return frame.select(line.str.join("")).item().encode()
