"""TFRecord files of tf.train.Example records, plain or gzip, as frames.

A record is its length (8 bytes), a checksum of these, its data, and a checksum of that
(tensorflow.org/tutorials/load_data/tfrecord). Every checksum is verified.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import polars as pl
from crc32c import crc32c

from mlorakit.data.example import DTYPES, ExampleError, Feature, decode, encode
from mlorakit.data.rows import DataError
from mlorakit.data.wire import Ints
from mlorakit.whole import whole_file

__all__ = ["Feature", "read_tfrecord", "write_tfrecord"]

BLOCK = 1 << 20
"""Bytes, once unpacked, that are read and decoded at a time; they fit into a core's cache."""

_HEADER = struct.Struct("<QI")  # length of the data, checksum of the length
_FOOTER = struct.Struct("<I")  # checksum of the data
_GZIP = b"\x1f\x8b"
_KEPT = 16 << 20
_AGAIN = "Fetch the file again"


@dataclass(frozen=True)
class Block:
    """Whole records in a row.

    Args:
        data: holds their data.
        start: first byte of each record's data: (n_records,).
        stop: byte behind each record's data: (n_records,).
        number: of the first record in the file, from 1.
        offset: of `data` in the unpacked file.
    """

    data: bytes
    start: Ints
    stop: Ints
    number: int
    offset: int


def read_tfrecord(path: Path, schema: Sequence[Feature]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read a file as a whole.

    Args:
        path: of a plain or gzip file, told apart by its first bytes.
        schema: features to read.

    Returns:
        A frame with a row per record and a column per feature of the schema, of type List(String)
        (text in UTF-8), List(Float32) or List(Int64), the list empty where the record lacks the
        feature; and the names of the file's other features.

    Raises:
        DataError: the file is empty, cut or damaged; a record is no Example, its text is not
            UTF-8, or one of its features is of another kind than in the schema.
        ValueError: a name occurs twice in the schema.
    """
    columns = _columns(schema)
    # glibc returns freed memory to the system, unless a block of this size was freed before; to
    # take it again for every block of records costs a quarter of the time.
    np.empty(_KEPT, np.uint8)
    frames, others = [pl.DataFrame(schema=columns)], set[str]()
    for block in _blocks(path):
        try:
            frame, more = decode(block.data, block.start, block.stop, schema)
        except ExampleError as error:
            at = block.start[error.record] - _HEADER.size
            raise _fault(
                path, block.number + error.record, block.offset + at, error.wrong
            ) from None
        frames.append(frame)
        others |= more
    return pl.concat(frames, rechunk=True), tuple(sorted(others))


def write_tfrecord(
    path: Path, frame: pl.DataFrame, schema: Sequence[Feature], compress: bool = True
) -> None:
    """Write a file as a whole; equal frames give equal bytes.

    Args:
        path: of the file; its folder is made.
        frame: with exactly the schema's columns, of the types that `read_tfrecord` returns.
        schema: features to write; in a record they stand in the order of their names.
        compress: write gzip.

    Raises:
        ValueError: the frame is not of the schema, holds a null, or has no rows although the file
            is to be plain: that file would have no bytes, and reading refuses it.
    """
    _check(frame, schema)
    if not (compress or frame.height):
        raise ValueError(f"{path} would have no bytes, as the frame has no rows; compress it.")
    with whole_file(path) as temporary, temporary.open("wb") as file:
        # Without a name and a time, which gzip would put into its header.
        packed = gzip.GzipFile("", "wb", 6, file, mtime=0) if compress else None
        with packed or file as stream:
            for data in encode(frame, schema):
                length = len(data).to_bytes(8, "little")
                stream.write(length + _FOOTER.pack(_checksum(length)))
                stream.write(data + _FOOTER.pack(_checksum(data)))


def _columns(schema: Sequence[Feature]) -> dict[str, pl.DataType]:
    columns = {feature.name: DTYPES[feature.kind] for feature in schema}
    if len(columns) < len(schema):
        names = [feature.name for feature in schema]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Feature {twice!r} is in the schema more than once; name it once.")
    return columns


def _check(frame: pl.DataFrame, schema: Sequence[Feature]) -> None:
    columns = _columns(schema)
    given = dict(frame.schema)
    for name in sorted({*given, *columns}):
        if given.get(name) != columns.get(name):
            raise ValueError(
                f"Column {name!r} is {given.get(name, 'missing')} in the frame and "
                f"{columns.get(name, 'missing')} in the schema; give a frame of the schema."
            )
        lists = frame[name]
        if lists.null_count() or (lists.list.drop_nulls().list.len() < lists.list.len()).any():
            raise ValueError(f"Column {name!r} holds a null; give an empty list for no value.")


def _blocks(path: Path) -> Iterator[Block]:
    """The records of a file."""
    with _unpacked(path) as stream:
        rest, number, offset = b"", 1, 0
        damage, more = "", b"..."
        while more and not damage:
            # At least as much as is left over, so that a long record is copied few times.
            more, damage = _read(stream, max(BLOCK, len(rest)))
            block = _split(path, rest + more, number, offset)
            if block.start.size:
                yield block
            end = int(block.stop[-1]) + _FOOTER.size if block.stop.size else 0
            rest, number, offset = block.data[end:], number + block.start.size, offset + end
    if damage:
        raise _fault(path, number, offset, f"the gzip stream is broken here ({damage}). {_AGAIN}")
    if rest:
        raise _fault(path, number, offset, f"{_cut(rest)}. {_AGAIN}")


@contextmanager
def _unpacked(path: Path) -> Iterator[BufferedReader | gzip.GzipFile]:
    """A file opened to read what it holds once unpacked."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        file.seek(0)
        if not head:
            wrong = f"the file has no bytes, where even an empty gzip file has some. {_AGAIN}"
            raise _fault(path, 1, 0, wrong)
        # The length of a plain file's first record may begin with gzip's two bytes.
        if head.startswith(_GZIP) and not _is_header(head):
            with gzip.GzipFile(fileobj=file) as stream:
                yield stream
        else:
            yield file


def _read(stream: BufferedReader | gzip.GzipFile, size: int) -> tuple[bytes, str]:
    """Some bytes, fewer than `size` only at the end or before damage, and what the damage is."""
    pieces = []
    try:
        while size > 0 and (piece := stream.read1(size)):
            pieces.append(piece)
            size -= len(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return b"".join(pieces), str(error)
    return b"".join(pieces), ""


def _split(path: Path, data: bytes, number: int, offset: int) -> Block:
    """The whole records that `data` begins with, once their checksums are verified."""
    view = memoryview(data)
    start: list[int] = []
    stop: list[int] = []
    at = 0
    while len(data) - at >= _HEADER.size:
        length, of_length = _HEADER.unpack_from(data, at)
        first = at + _HEADER.size
        last = first + length
        wrong = ""
        if _checksum(view[at : at + 8]) != of_length:
            wrong = "the checksum of its length is wrong; it is damaged or no TFRecord"
        elif last + _FOOTER.size > len(data):
            break
        elif _checksum(view[first:last]) != _FOOTER.unpack_from(data, last)[0]:
            wrong = f"the checksum of its {length} bytes of data is wrong"
        if wrong:
            raise _fault(path, number + len(start), offset + at, f"{wrong}. {_AGAIN}")
        start.append(first)
        stop.append(last)
        at = last + _FOOTER.size
    return Block(data, np.array(start, np.int64), np.array(stop, np.int64), number, offset)


def _cut(rest: bytes) -> str:
    """What is wrong with a file that ends with these bytes, less than a record."""
    if len(rest) < _HEADER.size:
        return f"the file ends after {len(rest)} of the {_HEADER.size} bytes of its header"
    length, _ = _HEADER.unpack_from(rest)
    found = len(rest) - _HEADER.size
    wanted = length + _FOOTER.size
    return f"the file ends after {found} of the {wanted} bytes of its data and their checksum"


def _fault(path: Path, number: int, offset: int, wrong: str) -> DataError:
    return DataError(f"{path}, record {number} at byte {offset}: {wrong}.")


def _is_header(head: bytes) -> bool:
    return len(head) == _HEADER.size and _checksum(head[:8]) == _HEADER.unpack(head)[1]


def _checksum(data: bytes | memoryview) -> int:
    """CRC-32C, masked as TFRecord has it, so that data with checksums in it can be checked."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
