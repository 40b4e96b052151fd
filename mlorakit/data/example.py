"""tf.train.Example messages as columns, a block of records at a time, and rows as messages.

An Example is messages in messages (tensorflow/core/example/feature.proto): Example.features,
Features.feature, each with `key` and `value`, Feature.bytes_list, .float_list or .int64_list, and
each list's `value`.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from mlorakit.data import wire
from mlorakit.data.wire import Ints

Kind = Literal["bytes", "float", "int64"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of lists; a list's field number in a Feature is its kind's place here, from 1."""

DTYPES: dict[Kind, pl.DataType] = {
    "bytes": pl.List(pl.String),
    "float": pl.List(pl.Float32),
    "int64": pl.List(pl.Int64),
}
"""The column type of each kind."""

# Tags of a message's first and second field: of messages, of text, and of packed numbers.
_FIRST, _SECOND = 8 + wire.LEN, 16 + wire.LEN
_UNPACKED = {"bytes": _FIRST, "float": 8 + wire.FIXED32, "int64": 8 + wire.VARINT}

_NO_EXAMPLE = "its data is no tf.train.Example. Read only files of such records"


@dataclass(frozen=True)
class Feature:
    """A feature of the records that are to be read or written.

    Args:
        name: of the feature, and of its column.
        kind: of its list.

    Raises:
        ValueError: there is no such kind.
    """

    name: str
    kind: Kind

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"Feature {self.name!r} has the kind {self.kind!r}; choose one of: "
                f"{', '.join(KINDS)}."
            )


class ExampleError(ValueError):
    """A record that is no Example, or not one of the schema.

    Args:
        record: its place in the block, from 0.
        wrong: what is wrong with it, and what to do.
    """

    def __init__(self, record: int, wrong: str) -> None:
        super().__init__(f"record {record} of the block: {wrong}.")
        self.record, self.wrong = record, wrong


def decode(
    block: bytes, start: Ints, stop: Ints, schema: Sequence[Feature]
) -> tuple[pl.DataFrame, set[str]]:
    """Examples as a frame.

    Args:
        block: holds the messages.
        start: first byte of each: (n_records,).
        stop: byte behind each: (n_records,).
        schema: the columns, with distinct names.

    Returns:
        One row per message and one list column per feature, and the names of other features. A
        feature that a record lacks is an empty list.

    Raises:
        ExampleError: a message is no Example, a feature's list is of another kind than in the
            schema, or text is not UTF-8.
    """
    names = {kind: [f.name for f in schema if f.kind == kind] for kind in KINDS}
    decoder = _Decoder(block, start.size)
    starts, stops, others = decoder.features(start, stop, [*chain(*names.values())])
    columns: dict[str, pl.Series] = {}
    for kind in KINDS:
        rows = slice(len(columns), len(columns) + len(names[kind]))
        lists = decoder.lists(kind, names[kind], starts[rows].ravel(), stops[rows].ravel())
        for i, name in enumerate(names[kind]):
            columns[name] = lists.slice(i * start.size, start.size)
    return pl.DataFrame({feature.name: columns[feature.name] for feature in schema}), others


class _Decoder:
    """The levels of a block of Examples, from the outermost in.

    Messages are given by their first bytes and the bytes behind them; an empty one is like one
    that is missing, as the format has it.
    """

    def __init__(self, block: bytes, n_records: int) -> None:
        self.text = pl.lit(pl.Series([block]))
        self.data = np.frombuffer(block + bytes(wire.PADDING), np.uint8)
        self.n_records = n_records

    def features(self, start: Ints, stop: Ints, names: list[str]) -> tuple[Ints, Ints, set[str]]:
        """The features of records.

        Returns:
            Starts and stops of the named ones, both of shape (n_names, n_records), and the names
            of the others.
        """
        record = np.arange(self.n_records)
        found = self.fields(start, stop, record, _FIRST)
        entries = self.fields(*self.only(found, _FIRST, record), record, _FIRST)
        record = entries.message
        found = self.fields(entries.start, entries.stop, record, _FIRST, _SECOND)
        key = self.only(found, _FIRST, record)
        place = self.places(*key, names)
        unknown = place < 0
        others, no_text = self.strings(key[0][unknown], key[1][unknown])
        if no_text.size:
            raise ExampleError(int(record[unknown][no_text].min()), _NO_EXAMPLE)
        # As in any map, the last of several entries with one key counts; -1 is the empty value
        # behind all others.
        entry = np.full((len(names), self.n_records), -1)
        known = np.flatnonzero(~unknown)
        entry[place[known], record[known]] = known
        starts, stops = (np.append(a, 0)[entry] for a in self.only(found, _SECOND, record))
        return starts, stops, set(others.unique())

    def fields(self, start: Ints, stop: Ints, record: Ints, *tags: int) -> wire.Fields:
        """The fields of messages, given the record of each and the tags that they may have.

        The format has readers pass over other tags. That would turn a SequenceExample, whose first
        field is like an Example's, into half of it.
        """
        try:
            found = wire.read_fields(self.data, start, stop)
        except wire.WireError as error:
            raise ExampleError(int(record[error.place]), _NO_EXAMPLE) from None
        unknown = np.logical_and.reduce([found.tag != tag for tag in tags])
        if unknown.any():
            raise ExampleError(int(record[found.message[unknown]].min()), _NO_EXAMPLE)
        return found

    def only(self, found: wire.Fields, tag: int, record: Ints) -> tuple[Ints, Ints]:
        """Start and stop of each message's value with a tag, given the record of each message.

        The format lets a writer split a message into several fields of one tag; none does.
        """
        start, stop = np.zeros((2, record.size), np.int64)
        chosen = found.tag == tag
        message = found.message[chosen]
        start[message], stop[message] = found.start[chosen], found.stop[chosen]
        if (several := record[np.bincount(message, minlength=record.size) > 1]).size:
            raise ExampleError(
                int(several.min()),
                "its data is a tf.train.Example that was split into parts. Write it as a whole",
            )
        return start, stop

    def places(self, start: Ints, stop: Ints, names: list[str]) -> Ints:
        """Each key's place among the names, or -1."""
        place = np.full(start.size, -1)
        # The eight bytes from each byte on, as numbers, which compare faster than text.
        words = np.ndarray(self.data.size - 7, "<u8", self.data, strides=(1,))
        keys = [name.encode() for name in names]
        for size in {len(key) for key in keys}:
            as_long = np.flatnonzero(stop - start == size)
            parts = {
                at: words[start[as_long] + at] & np.uint64(2 ** (8 * min(size - at, 8)) - 1)
                for at in range(0, size, 8)
            }
            for i, key in enumerate(keys):
                if len(key) == size:
                    same = np.ones(as_long.size, bool)
                    for at, part in parts.items():
                        same &= part == int.from_bytes(key[at : at + 8], "little")
                    place[as_long[same]] = i
        return place

    def lists(self, kind: Kind, names: list[str], start: Ints, stop: Ints) -> pl.Series:
        """The lists of features of one kind; one feature's records follow the other's."""
        record = np.tile(np.arange(self.n_records), len(names))
        tags = {other: 8 * number + wire.LEN for number, other in enumerate(KINDS, start=1)}
        found = self.fields(start, stop, record, *tags.values())
        for other, tag in tags.items():
            if other != kind:
                wrong = f"is a list of kind {other}, and the schema says {kind}. Correct the schema"
                self.blame(found.message[found.tag == tag], names, wrong)
        lists = self.only(found, tags[kind], record)
        found = self.fields(*lists, record, _FIRST, _UNPACKED[kind]).by_message()
        counts = np.ones(found.message.size, np.int64)
        if kind == "bytes":
            values, no_text = self.strings(found.start, found.stop)
            wrong = "holds bytes that are not UTF-8. Mend the file"
            self.blame(found.message[no_text], names, wrong)
        else:
            read = wire.read_floats if kind == "float" else wire.read_ints
            try:
                numbers, counts = read(self.data, found.start, found.stop)
            except wire.WireError as error:
                place = record[found.message[error.place]]
                raise ExampleError(int(place), _NO_EXAMPLE) from None
            values = pl.Series(numbers)
        return _as_lists(values, np.bincount(found.message, counts, record.size).astype(np.int64))

    def blame(self, features: Ints, names: list[str], wrong: str) -> None:
        """Raise for the first record of these features, places among (n_names, n_records)."""
        if features.size:
            first = features[(features % self.n_records).argmin()]
            name = names[first // self.n_records]
            raise ExampleError(int(first % self.n_records), f"its feature {name!r} {wrong}")

    def strings(self, start: Ints, stop: Ints) -> tuple[pl.Series, Ints]:
        """Stretches of the block as text, and the places of those that are not UTF-8."""
        stretches = pl.DataFrame({"start": start, "length": stop - start})
        cut = stretches.select(self.text.bin.slice("start", "length")).to_series()
        try:
            return cut.cast(pl.String), np.empty(0, np.int64)
        except pl.exceptions.ComputeError:
            is_text = [text.decode(errors="ignore").encode() == text for text in cut]
            return cut, np.flatnonzero(~np.array(is_text))


def _as_lists(values: pl.Series, lengths: Ints) -> pl.Series:
    """Values in a row as lists of some lengths."""
    row = pl.Series(np.repeat(np.arange(lengths.size), lengths)).set_sorted()
    grouped = pl.DataFrame({"row": row, "value": values}).group_by("row", maintain_order=True)
    lists = grouped.agg("value")["value"]
    if lists.len() == lengths.size:
        return lists
    place = pl.Series(np.where(lengths > 0, np.cumsum(lengths > 0) - 1, -1))
    return lists.gather(place.set(place < 0, None)).fill_null([])


def encode(frame: pl.DataFrame, schema: Sequence[Feature]) -> Iterator[bytes]:
    """The rows of a frame as Examples, byte for byte the same whatever the order of its columns.

    Args:
        frame: with a column of the schema's kind per feature, without nulls.
        schema: the features to write.
    """
    features = sorted(schema, key=lambda feature: feature.name)
    for part in frame.iter_slices(10_000):  # rows as Python objects take much memory
        for row in part.select(feature.name for feature in features).iter_rows():
            yield wire.field(1, b"".join(map(_entry, features, row)))


def _entry(feature: Feature, values: list[Any]) -> bytes:
    """The entry of a feature in the map of an Example; an empty list is there too."""
    if feature.kind == "bytes":
        content = b"".join(wire.field(1, value.encode()) for value in values)
    elif not values:
        content = b""
    elif feature.kind == "float":
        content = wire.field(1, struct.pack(f"<{len(values)}f", *values))
    else:
        content = wire.field(1, b"".join(map(wire.varint, values)))
    value = wire.field(KINDS.index(feature.kind) + 1, content)
    return wire.field(1, wire.field(1, feature.name.encode()) + wire.field(2, value))
