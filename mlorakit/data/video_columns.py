"""The fields of generated video logs: users, videos and sessions like those of the public sample.

Kept from the sample: sessions of one user and one source video, numbers of values per field,
skewed popularity, repeated values within a list, text that is not ASCII, and the shares of missing
values. Vocabularies are smaller, so that a value has rows enough to be learnt from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlorakit.data.video_fields import MISSING_VALUE, POSITION

Ints = NDArray[np.int64]

POSITIONS = 10
"""Places of a list shown; a session has some of them."""

_SHORTEST, _LONGER = 3, 0.595  # session lengths are 3 plus binomial(7, 0.595): mean 7.17
# Shares of missing values in the public sample.
_MISSING = {
    "FEA_STAG": 0.214,
    "FEA_UCAT": 0.199,
    "FEA_SICAT": 0.097,
    "FEA_COVERQUALITY": 0.036,
    "FEA_ORDER": 0.028,
    "FEA_SIKEYWORD": 0.002,
}
_COARSE, _FINE, _TAGS, _KEYWORDS, _SOURCE_KEYWORDS = 12, 60, 200, 400, 200
_GROUPS, _AGES, _ALGORITHMS, _QUALITIES = 60, 30, 13, 3
_SHORTEST_VIDEO, _LENGTHS = 30, 80  # seconds
_VIDEOS_PER_PROVIDER = 5


@dataclass(frozen=True)
class Column:
    """A field's values.

    Args:
        values: of shape (n_entities, L), places in `names`, -1 behind an entity's last.
        entity: of shape (n_rows,), the user, video or row that a row's values belong to.
        names: of the values.
    """

    values: Ints
    entity: Ints
    names: Sequence[str]

    def texts(self) -> pl.Series:
        """The values of each row as text, of type List(String)."""
        named = [
            [self.names[value] for value in entity if value >= 0] or [MISSING_VALUE]
            for entity in self.values.tolist()
        ]
        return pl.Series(named, dtype=pl.List(pl.String)).gather(self.entity)


def draw_columns(
    sessions: int, users: int, videos: int, rng: np.random.Generator
) -> tuple[Ints, dict[str, Column]]:
    """Draw the rows of some sessions.

    Args:
        sessions: how many.
        users: how many, not all of whom need occur.
        videos: how many, not all of which need occur.
        rng: of all draws.

    Returns:
        The session of each row, ascending, of shape (n_rows,); and a column per field.
    """
    length = _SHORTEST + rng.binomial(POSITIONS - _SHORTEST, _LONGER, size=sessions)
    session = np.repeat(np.arange(sessions), length)
    row = np.arange(len(session))
    user = _popular(users, sessions, rng)[session]
    source = _popular(videos, sessions, rng)[session]
    video = _popular(videos, len(row), rng)
    # A session shows its positions in any order, each once.
    shuffled = rng.random((sessions, POSITIONS)).argsort(1)
    position = shuffled[np.arange(POSITIONS) < length[:, None]]

    fine = _popular(_FINE, videos, rng)
    provider = rng.integers(max(1, videos // _VIDEOS_PER_PROVIDER), size=videos)
    categories = [f"14944{number:02}" for number in range(_COARSE + _FINE)]
    tags = [f"9{number:06}" for number in range(_TAGS)]
    of_user, of_video = np.arange(users), np.arange(videos)
    no_source = rng.random(videos) < _MISSING["FEA_SICAT"]
    coarse = fine % _COARSE

    def single(values: Ints, entity: Ints, names: Sequence[str]) -> Column:
        return Column(values[:, None], entity, names)

    def several(n: int, fewest: int, most: int, names: Sequence[str], entity: Ints) -> Column:
        count = rng.integers(fewest, most + 1, size=n)
        values = _popular(len(names), n * most, rng).reshape(n, most)
        return Column(np.where(np.arange(most) < count[:, None], values, -1), entity, names)

    def without(field: str, column: Column) -> Column:
        gone = rng.random(len(column.values)) < _MISSING[field]
        return Column(np.where(gone[:, None], -1, column.values), column.entity, column.names)

    video_names = [f"v{number:010}" for number in of_video]
    providers = [f"{3_000_000 + number}" for number in range(provider.max() + 1)]
    return session, {
        "FEA_SVID": single(of_video, source, video_names),
        "FEA_SCP": single(provider, source, providers),
        "FEA_SICAT1": single(np.where(no_source, -1, coarse), source, categories),
        "FEA_SICAT2": single(np.where(no_source, -1, _COARSE + fine), source, categories),
        "FEA_VID": single(of_video, video, video_names),
        "FEA_CP": single(provider, video, providers),
        "FEA_ICAT1": single(coarse, video, categories),
        "FEA_ICAT2": single(_COARSE + fine, video, categories),
        POSITION: without(POSITION, single(position, row, _numbers(POSITIONS))),
        "FEA_COVERQUALITY": without(
            "FEA_COVERQUALITY",
            single(_popular(_QUALITIES, videos, rng), video, ["1518780", "1518779", "1518781"]),
        ),
        "FEA_AGE": single(_popular(_AGES, videos, rng), video, _numbers(_AGES)),
        "FEA_DURATION": single(
            rng.integers(_LENGTHS, size=videos), video, _numbers(_LENGTHS, _SHORTEST_VIDEO)
        ),
        "FEA_ALGID": single(_popular(_ALGORITHMS, len(row), rng), row, _numbers(_ALGORITHMS, 8060)),
        "FEA_UID": single(of_user, user, [f"omgid=u{number:07}" for number in of_user]),
        "FEA_UGROUP": single(_popular(_GROUPS, users, rng), user, _numbers(_GROUPS, 100_000)),
        "FEA_SIKEYWORD": without(
            "FEA_SIKEYWORD", several(videos, 1, 8, _numbers(_SOURCE_KEYWORDS, 400_000), source)
        ),
        "FEA_STAG": without("FEA_STAG", several(users, 1, 6, tags, user)),
        "FEA_IXFTAG": several(videos, 1, 6, tags, video),
        "FEA_IKEYWORD": several(
            videos, 2, 8, [f"\u8bcd{number}" for number in range(_KEYWORDS)], video
        ),
        "FEA_UCAT": without("FEA_UCAT", several(users, 1, 6, categories, user)),
    }


def _popular(n: int, size: int, rng: np.random.Generator) -> Ints:
    """Draws among n, the first most often: 1 / (5 + rank), as skewed as shares in the sample."""
    weight = 1 / (5 + np.arange(n))
    return rng.choice(n, size=size, p=weight / weight.sum())


def _numbers(n: int, first: int = 0) -> list[str]:
    return [str(first + number) for number in range(n)]
