"""Examples decoded by columns, beside protobuf's own parser, and rows encoded."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlorakit.data import wire
from mlorakit.data.example import DTYPES, ExampleError, Feature, Kind, decode, encode

SCHEMA = (
    Feature("label", "int64"),
    Feature("a title longer than 8 bytes", "bytes"),
    Feature("score", "float"),
    Feature("Titel ä", "bytes"),
    Feature("model", "bytes"),
)
VALUES: dict[Kind, st.SearchStrategy] = {
    "bytes": st.text(),
    "float": st.floats(width=32),
    "int64": st.integers(-(2**63), 2**63 - 1),
}
ROWS = st.lists(
    st.fixed_dictionaries({f.name: st.lists(VALUES[f.kind], max_size=5) for f in SCHEMA})
)


def framed(rows: list[dict[str, list]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={f.name: DTYPES[f.kind] for f in SCHEMA})


def decoded(*messages: bytes, schema: tuple[Feature, ...] = SCHEMA) -> tuple[pl.DataFrame, set]:
    size = np.array([len(message) for message in messages], np.int64)
    stop = np.cumsum(size)
    return decode(b"".join(messages), stop - size, stop, schema)


def example(**features: bytes) -> bytes:
    """A message of Features that are given in bytes."""
    return wire.field(1, b"".join(entry(name, value) for name, value in features.items()))


def entry(name: str, value: bytes) -> bytes:
    return wire.field(1, wire.field(1, name.encode()) + wire.field(2, value))


def texts(*values: bytes) -> bytes:
    return wire.field(1, b"".join(wire.field(1, value) for value in values))


def ints(*values: int) -> bytes:
    return wire.field(3, wire.field(1, b"".join(map(wire.varint, values))))


@pytest.fixture(scope="module")
def parse() -> Callable[[bytes], Any]:
    """Protobuf's parser of Examples."""
    pytest.importorskip("google.protobuf", reason="The reference is the package protobuf.")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    lists = {"bytes": kinds.TYPE_BYTES, "float": kinds.TYPE_FLOAT, "int64": kinds.TYPE_INT64}
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind) in enumerate(lists.items(), start=1):
        values = file.message_type.add(name=name)
        values.field.add(name="value", number=1, label=kinds.LABEL_REPEATED, type=kind)
        feature.field.add(
            name=name, number=number, type=kinds.TYPE_MESSAGE, type_name=f".t.{name}", oneof_index=0
        )
    features = file.message_type.add(name="Features")
    map_entry = features.nested_type.add(name="FeatureEntry")
    map_entry.options.map_entry = True
    map_entry.field.add(name="key", number=1, type=kinds.TYPE_STRING)
    map_entry.field.add(name="value", number=2, type=kinds.TYPE_MESSAGE, type_name=".t.Feature")
    features.field.add(
        name="feature",
        number=1,
        label=kinds.LABEL_REPEATED,
        type=kinds.TYPE_MESSAGE,
        type_name=".t.Features.FeatureEntry",
    )
    whole = file.message_type.add(name="Example")
    whole.field.add(name="features", number=1, type=kinds.TYPE_MESSAGE, type_name=".t.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example")).FromString


def lists_of(parsed: Any) -> dict[str, list]:
    """The schema's lists in a message that protobuf parsed.

    Raises:
        TypeError: a list is of another kind.
        UnicodeDecodeError: text is not UTF-8.
    """
    row: dict[str, list] = {}
    for feature in SCHEMA:
        found = parsed.features.feature.get(feature.name)
        kind = found.WhichOneof("kind") if found else None
        if kind not in (None, feature.kind):
            raise TypeError(kind)
        values = list(getattr(found, kind).value) if kind else []
        row[feature.name] = [v.decode() if isinstance(v, bytes) else v for v in values]
    return row


@given(rows=ROWS)
def test_rows_are_read_as_protobuf_reads_them(parse: Callable, rows: list[dict]) -> None:
    messages = list(encode(framed(rows), SCHEMA))
    frame, others = decoded(*messages)
    assert others == set()
    assert repr(frame.rows(named=True)) == repr([lists_of(parse(m)) for m in messages])
    # As text, for NaN is not NaN.
    assert repr(frame.rows(named=True)) == repr(
        [{f.name: row[f.name] for f in SCHEMA} for row in rows]
    )


@settings(max_examples=300)
@given(rows=ROWS.filter(len), seed=st.integers(0, 2**32))
def test_damaged_messages_are_read_as_protobuf_reads_them_or_refused(
    parse: Callable, rows: list[dict], seed: int
) -> None:
    messages = list(encode(framed(rows), SCHEMA))
    draw = random.Random(seed)
    place = draw.randrange(len(messages))
    damaged = bytearray(messages[place])
    for _ in range(draw.randint(1, 2)):
        at = draw.randrange(len(damaged))
        kept = draw.choice([1, 1, 0])  # change, insert or remove
        damaged[at : at + kept] = bytes([draw.randrange(256)]) * draw.choice([1, 1, 0])
    messages[place] = bytes(damaged)
    refused = None
    try:
        frame, others = decoded(*messages)
    except ExampleError as error:
        refused = error.record
    assert refused in (None, place)
    if refused is not None:
        return
    parsed = parse(messages[place])
    assert repr(frame.row(place, named=True)) == repr(lists_of(parsed))
    assert others == set(parsed.features.feature) - {feature.name for feature in SCHEMA}


def test_features_may_come_in_any_order_or_not_at_all() -> None:
    schema = (Feature("a", "bytes"), Feature("b", "int64"))
    frame, others = decoded(
        example(b=ints(1, -2), a=texts(b"x", b"", b"y")),
        example(a=texts(b"\xc3\xa4")),
        b"",
        wire.field(1, b""),
        example(z=ints(7), b=ints(3), y=texts(b"\xff")),
        example(a=b"", b=wire.field(3, b"")),
        schema=schema,
    )
    assert frame.schema == {"a": pl.List(pl.String), "b": pl.List(pl.Int64)}
    assert frame.rows() == [
        (["x", "", "y"], [1, -2]),
        (["ä"], []),
        ([], []),
        ([], []),
        ([], [3]),
        ([], []),
    ]
    assert others == {"y", "z"}


def test_no_record_is_a_frame_without_rows() -> None:
    frame, others = decoded()
    assert (frame.height, frame.columns, others) == (0, [f.name for f in SCHEMA], set())


def test_a_feature_that_no_record_has_is_empty_everywhere() -> None:
    frame, _ = decoded(example(label=ints(1)), example(label=ints(2)))
    assert frame["score"].to_list() == frame["model"].to_list() == [[], []]
    assert frame["score"].dtype == pl.List(pl.Float32)


@pytest.mark.parametrize(
    ("kind", "packed", "single"),
    [
        (
            "float",
            b"\x0a\x08\x00\x00\xc0\x3f\x00\x00\x80\xff",
            b"\x0d\x00\x00\xc0\x3f\x0d\x00\x00\x80\xff",
        ),
        ("int64", b"\x0a\x04\x07\xac\x02\x00", b"\x08\x07\x08\xac\x02\x08\x00"),
    ],
)
def test_numbers_may_be_packed_or_not(kind: Kind, packed: bytes, single: bytes) -> None:
    number = {"float": 2, "int64": 3}[kind]
    schema = (Feature("a", kind),)
    lists = [packed, single, packed + single, single + packed + b"\x0a\x00"]
    messages = [example(a=wire.field(number, content)) for content in lists]
    values = {"float": [1.5, -math.inf], "int64": [7, 300, 0]}[kind]
    frame, _ = decoded(*messages, schema=schema)
    assert frame["a"].to_list() == [values, values, values * 2, values * 2]


def test_the_last_of_several_entries_counts() -> None:
    twice = wire.field(1, entry("label", ints(1)) + entry("z", b"") + entry("label", ints(2, 3)))
    frame, _ = decoded(example(label=ints(9)), twice)
    assert frame["label"].to_list() == [[9], [2, 3]]


def test_names_alike_are_told_apart() -> None:
    names = ["12345678", "123456789", "12345678a", "a2345678", "1234567\0", "1", "\0", ""]
    schema = tuple(Feature(name, "int64") for name in names)
    frame, others = decoded(
        wire.field(1, b"".join(entry(name, ints(i)) for i, name in enumerate(names))),
        wire.field(1, wire.field(1, wire.field(2, ints(5))) + entry("1234567", b"")),  # no key
        schema=schema,
    )
    assert frame.row(0) == tuple([i] for i in range(len(names)))
    assert frame.row(1) == (*([] for _ in names[1:]), [5])
    assert others == {"1234567"}


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        (
            example(label=texts(b"1")),
            "its feature 'label' is a list of kind bytes, and the schema says int64. Correct",
        ),
        (
            example(score=ints()),
            "its feature 'score' is a list of kind int64, and the schema says float. Correct",
        ),
        (
            example(model=texts(b"a", b"\xc3")),
            "its feature 'model' holds bytes that are not UTF-8. Mend the file",
        ),
        (wire.field(1, entry("label", ints(1)) + b"\x0a"), "its data is no tf.train.Example. Read"),
        (b"no Example", "its data is no tf.train.Example. Read"),
        (wire.field(1, b"\x0a\x03\x0a\x01\xff"), "its data is no tf.train.Example. Read"),
        (example(score=b"\x12\x05\x0a\x03\0\0\0"), "its data is no tf.train.Example. Read"),
        (example(label=b"\x1a\x03\x0a\x01\x80"), "its data is no tf.train.Example. Read"),
        # A SequenceExample: its context, and then lists of features.
        (
            example(label=ints(1)) + wire.field(2, entry("steps", b"")),
            "its data is no tf.train.Example. Read",
        ),
        (example(label=ints(1)) * 2, "its data is a tf.train.Example that was split into parts"),
        (example(label=ints(1) * 2), "its data is a tf.train.Example that was split into parts"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(message: bytes, wrong: str) -> None:
    good = example(label=ints(1), model=texts(b"a"))
    for messages, record in (((message,), 0), ((good, b"", good, message, message, good), 3)):
        with pytest.raises(ExampleError) as caught:
            decoded(*messages)
        assert caught.value.record == record
        assert caught.value.wrong.startswith(wrong)


def test_a_kind_must_be_known() -> None:
    with pytest.raises(ValueError, match="'a' has the kind 'text'; choose one of: bytes, float, i"):
        Feature("a", "text")  # type: ignore[arg-type]


def test_features_are_written_in_the_order_of_their_names() -> None:
    frame = framed([{f.name: [] for f in SCHEMA}])
    (message,) = encode(frame, SCHEMA)
    assert [*encode(frame[frame.columns[::-1]], SCHEMA[::-1])] == [message]
    places = [message.index(name.encode()) for name in sorted(frame.columns)]
    assert places == sorted(places)
    assert example(model=texts(), score=wire.field(2, b""))[2:] in message  # empty, yet there
