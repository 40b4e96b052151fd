"""Downloads from a local web server: what is accepted, and how each failure is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlorakit.data import download
from mlorakit.data.sources import Archive, FetchError, RawFile, fetch

if TYPE_CHECKING:
    from tests.data.conftest import Server, Tiny


def test_the_zip_at_the_url_is_downloaded_once_for_all_files(
    tiny: Tiny, into: Path, server: Server
) -> None:
    tiny.register(archive=tiny.archive(server.serve("/tiny.zip", tiny.zip)))
    fetch("tiny", into)
    assert tiny.alone_in(into, *tiny.content)
    assert server.asked == ["/tiny.zip"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("truncated", "the MD5 of the zip is"),
        ("corrupted", "the MD5 of the zip is"),
        ("a web page", "the MD5 of the zip is"),
        ("broken off", "the connection broke off before the end of the file"),
    ],
)
def test_a_bad_zip_is_refused_and_nothing_is_left(
    damage: str, reason: str, tiny: Tiny, into: Path, server: Server
) -> None:
    body = {
        "truncated": tiny.zip[:-200],
        "corrupted": tiny.zip.replace(b"PK", b"QQ"),
        "a web page": b"<html>log in first</html>",
        "broken off": tiny.zip[:-200],
    }[damage]
    url = server.serve("/tiny.zip", body, missing=200 if damage == "broken off" else 0)
    tiny.register(archive=tiny.archive(url))
    with pytest.raises(FetchError) as caught:
        fetch("tiny", into)
    assert f"{url}: {reason}" in str(caught.value)
    assert tiny.alone_in(into)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("truncated", "it is no zip file"),
        ("another version", "the SHA-256 of ratings.dat is"),
        ("another folder", "There is no item named 'ml-tiny/ratings.dat'"),
    ],
)
def test_the_members_are_checked_where_the_zip_has_no_hash(
    damage: str, reason: str, tiny: Tiny, into: Path, server: Server
) -> None:
    body = {
        "truncated": tiny.zip[:-200],
        "another version": tiny.zipped({"ml-tiny/ratings.dat": b"1::1::1::1\n"}),
        "another folder": tiny.zipped({"other/ratings.dat": b""}),
    }[damage]
    tiny.register(archive=Archive(server.serve("/tiny.zip", body), "ml-tiny/"))
    with pytest.raises(FetchError) as caught:
        fetch("tiny", into)
    assert reason in str(caught.value)
    assert tiny.alone_in(into)


def test_an_error_status_is_named(tiny: Tiny, into: Path, server: Server) -> None:
    tiny.register(archive=tiny.archive(f"{server.url}/gone.zip"))
    with pytest.raises(FetchError, match=r"gone\.zip: the server answered 404 Not Found"):
        fetch("tiny", into)


def test_a_failed_download_of_nothing_leaves_nothing(
    tiny: Tiny, into: Path, server: Server, tmp_path: Path
) -> None:
    file = RawFile("a", tiny.sha256["users.dat"], "tiny/a", (f"{server.url}/gone",))
    tiny.register(files=(file,))
    with pytest.raises(FetchError, match="the server answered 404 Not Found"):
        fetch("tiny", into)
    assert unfinished(tmp_path) == []


def test_a_file_with_two_urls_comes_from_the_first_that_is_right(
    tiny: Tiny, into: Path, server: Server
) -> None:
    urls = (
        server.serve("/a", b"wrong"),
        server.serve("/b", tiny.content["users.dat"]),
        server.serve("/c", tiny.content["users.dat"]),
    )
    file = RawFile("users.dat", tiny.sha256["users.dat"], "tiny/users.dat", urls)
    tiny.register(files=(file,))
    fetch("tiny", into)
    assert tiny.alone_in(into, "users.dat")
    assert server.asked == ["/a", "/b"]


def test_no_compressed_transfer_is_asked_for(tiny: Tiny, into: Path, server: Server) -> None:
    # Else a server may send a .gz as its compressed content, which requests would unpack.
    url = server.serve("/users.dat", tiny.content["users.dat"])
    file = RawFile("users.dat", tiny.sha256["users.dat"], "tiny/users.dat", (url,))
    tiny.register(files=(file,))
    fetch("tiny", into)
    assert server.encodings == ["identity"]


def test_the_size_of_a_download_is_told_once(
    tiny: Tiny, into: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.register(archive=tiny.archive(server.serve("/tiny.zip", tiny.zip)))
    fetch("tiny", into)
    printed = capsys.readouterr().err
    assert printed.count("downloading tiny.zip: 100%") == 1


@pytest.fixture
def broken_off(tiny: Tiny, into: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """movies.dat, whose download has broken off after 1,000 bytes; the server has it whole now."""
    monkeypatch.setattr(download, "CHUNK", 100)
    content = tiny.content["movies.dat"]
    url = server.serve("/movies.dat", content[:1000], missing=len(content) - 1000)
    file = RawFile("movies.dat", tiny.sha256["movies.dat"], "tiny/movies.dat", (url,))
    tiny.register(files=(file,))
    with pytest.raises(FetchError, match="the connection broke off before the end of the file"):
        fetch("tiny", into)
    assert tiny.alone_in(into)
    server.serve("/movies.dat", content)
    return content


def unfinished(folder: Path) -> list[bytes]:
    """What the downloads that are not whole have brought."""
    return [path.read_bytes() for path in (folder / "checkpoints" / "downloads").iterdir()]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_transfer_that_broke_off_goes_on_or_starts_anew(
    tiny: Tiny, into: Path, server: Server, broken_off: bytes, tmp_path: Path, goes_on: bool
) -> None:
    assert unfinished(tmp_path) == [broken_off[:1000]]
    server.goes_on = goes_on
    fetch("tiny", into)
    assert server.ranges == [None, "bytes=1000-"]
    assert tiny.alone_in(into, "movies.dat")
    assert unfinished(tmp_path) == []


def test_a_transfer_that_was_whole_is_not_repeated(
    tiny: Tiny, into: Path, server: Server, broken_off: bytes, tmp_path: Path
) -> None:
    (path,) = (tmp_path / "checkpoints" / "downloads").iterdir()
    path.write_bytes(broken_off)  # killed between the transfer and the verification
    fetch("tiny", into)
    assert tiny.alone_in(into, "movies.dat")


@pytest.mark.usefixtures("broken_off")
def test_a_beginning_of_another_version_is_not_kept(
    tiny: Tiny, into: Path, server: Server, tmp_path: Path
) -> None:
    (path,) = (tmp_path / "checkpoints" / "downloads").iterdir()
    path.write_bytes(b"?" * 1000)
    with pytest.raises(FetchError, match=r"the SHA-256 of movies\.dat is"):
        fetch("tiny", into)
    assert unfinished(tmp_path) == []
    fetch("tiny", into)
    assert tiny.alone_in(into, "movies.dat")
