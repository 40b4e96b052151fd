"""Downloads from a local web server: what is accepted, and how each failure is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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
