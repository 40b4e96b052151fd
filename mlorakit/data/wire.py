"""Protocol buffers' wire format: read for many messages at once, written one field at a time.

A message is a sequence of fields, each a tag and a value
(https://protobuf.dev/programming-guides/encoding). Messages are read in lockstep: a pass reads the
next field of every message in a few NumPy calls, so there are as many passes as the largest
message has fields.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

VARINT, FIXED64, LEN, FIXED32 = 0, 1, 2, 5
"""Wire types, the last three bits of a tag; 3 and 4, groups, are refused."""

PADDING = 32
"""Bytes that must follow the last message: a varint may be read beyond its message's end."""

_LONGEST = 10  # bytes of a varint
_NOWHERE = np.int64(2) ** 62  # bytes: ends a value behind every message
_WIDTH = np.full(8, _NOWHERE)  # of a value by wire type, where that is fixed
_WIDTH[[FIXED64, FIXED32]] = 8, 4


class WireError(ValueError):
    """A message or value that cannot be read.

    Args:
        place: its place among those that were to be read.
    """

    def __init__(self, place: int) -> None:
        super().__init__(f"number {place} is malformed")
        self.place = place


@dataclass(frozen=True)
class Fields:
    """Fields of many messages, those of a message in its order; arrays of shape (n_fields,).

    Args:
        message: the message that each is in.
        tag: 8 times the field's number plus the wire type.
        start: first byte of the value.
        stop: byte behind the value.
    """

    message: Ints
    tag: Ints
    start: Ints
    stop: Ints

    def __getitem__(self, chosen: NDArray) -> "Fields":
        """Some of the fields."""
        return Fields(self.message[chosen], self.tag[chosen], self.start[chosen], self.stop[chosen])

    def by_message(self) -> "Fields":
        """The fields in the order of the messages."""
        if (self.message[:-1] <= self.message[1:]).all():
            return self
        return self[np.argsort(self.message, kind="stable")]


def read_fields(data: Bytes, start: Ints, stop: Ints) -> Fields:
    """The fields of messages.

    Args:
        data: holds the messages and `PADDING` bytes.
        start: first byte of each message: (n_messages,).
        stop: byte behind each message: (n_messages,).

    Raises:
        WireError: a message is malformed.
    """
    passes = []
    message = np.flatnonzero(start < stop)
    at, limit = start[message], stop[message]
    while message.size:
        tag, at = read_varints(data, at)
        number, value = read_varints(data, at)
        end = value + number
        wire = tag & 7
        if (other := np.flatnonzero(wire != LEN)).size:
            width = np.where(wire == VARINT, value - at, _WIDTH[wire])[other]
            width[width > _LONGEST] = _NOWHERE
            value[other] = at[other]
            end[other] = at[other] + width
        passes.append((message, tag, value, end, limit))
        # A malformed field ends before it began or behind its message: nothing is read after it.
        more = np.flatnonzero((value <= end) & (end < limit))
        message, at, limit = message[more], end[more], limit[more]
    if not passes:
        none = np.empty(0, np.int64)
        return Fields(none, none, none, none)
    message, tag, value, end, limit = (np.concatenate(part) for part in zip(*passes, strict=True))
    _refuse((tag < 8) | (tag >= 2**32) | (end < value) | (end > limit), message)
    return Fields(message, tag, value, end)


def read_varints(data: Bytes, at: Ints) -> tuple[Ints, Ints]:
    """The varints that start at some bytes.

    Returns:
        Their values, and the bytes behind them. A varint longer than 10 bytes, the most that the
        format allows, has the value -1 and ends behind its 11th.
    """
    value = data[at].astype(np.int64)
    at = at + 1
    if not (more := np.flatnonzero(value > 127)).size:
        return value, at
    value[more] &= 127
    for shift in range(7, 7 * _LONGEST, 7):
        byte = data[at[more]].astype(np.int64)
        value[more] |= (byte & 127) << shift
        at[more] += 1
        if not (more := more[byte > 127]).size:
            return value, at
    value[more] = -1
    at[more] += 1
    return value, at


def read_floats(data: Bytes, start: Ints, stop: Ints) -> tuple[NDArray[np.float32], Ints]:
    """The floats that values hold, packed or single, and the number of floats in each value.

    Raises:
        WireError: a value's bytes are no multiple of four.
    """
    width = stop - start
    _refuse(width % 4 != 0, np.arange(width.size))
    return _joined(data, start, width).view("<f4"), width // 4


def read_ints(data: Bytes, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """The varints that values hold, packed or single, and the number of varints in each value.

    Raises:
        WireError: a value does not end where a varint does, or a varint is too long.
    """
    filled = np.flatnonzero(start < stop)
    _refuse(data[stop[filled] - 1] > 127, filled)
    joined = _joined(data, start, stop - start)
    last = np.flatnonzero(joined < 128)  # bytes that end a varint
    first = np.concatenate((np.zeros(1, np.int64), last + 1))[: last.size]
    ends = np.cumsum(stop - start)
    values, behind = read_varints(joined, first)
    _refuse(behind - first > _LONGEST, np.searchsorted(ends, last, side="right"))
    return values, np.diff(np.searchsorted(last, ends), prepend=0)


def _joined(data: Bytes, start: Ints, width: Ints) -> Bytes:
    """The bytes of values, one value after the other."""
    before = np.cumsum(width) - width
    return data[np.repeat(start - before, width) + np.arange(width.sum())]


def _refuse(bad: NDArray[np.bool_], place: Ints) -> None:
    if bad.any():
        raise WireError(int(place[bad].min()))


def varint(value: int) -> bytes:
    """A whole number as a varint; a negative one as its two's complement of 64 bits."""
    value %= 2**64
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)


def field(number: int, value: bytes) -> bytes:
    """A field whose value is a message, a string or packed numbers."""
    return _head(number, len(value)) + value


@lru_cache(maxsize=1 << 12)  # most fields are short and of few numbers
def _head(number: int, size: int) -> bytes:
    return varint(8 * number + LEN) + varint(size)
