"""Protocol buffers' wire format: many messages read at once, fields written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlorakit.data import wire

INTS = st.integers(-(2**63), 2**63 - 1)


def padded(data: bytes) -> wire.Bytes:
    return np.frombuffer(data + b"\xff" * wire.PADDING, np.uint8)


def spans(*parts: bytes) -> tuple[wire.Bytes, wire.Ints, wire.Ints]:
    """Parts in a row, as the readers take them."""
    size = np.array([len(part) for part in parts], np.int64)
    stop = np.cumsum(size)
    return padded(b"".join(parts)), stop - size, stop


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),
        (-1, b"\xff" * 9 + b"\x01"),
        (2**63 - 1, b"\xff" * 8 + b"\x7f"),
        (-(2**63), b"\x80" * 9 + b"\x01"),
    ],
)
def test_varints_are_those_of_the_format(value: int, written: bytes) -> None:
    assert wire.varint(value) == written
    (read,), (behind,) = wire.read_varints(padded(b"\x05" + written), np.array([1]))
    assert (read, behind) == (value, 1 + len(written))


def test_a_varint_longer_than_ten_bytes_ends_behind_its_eleventh() -> None:
    (value,), (behind,) = wire.read_varints(padded(b"\x80" * 10 + b"\x01"), np.array([0]))
    assert (value, behind) == (-1, 11)


def test_fields_of_messages_of_all_wire_types() -> None:
    fixed = b"\x0d\1\2\3\4" + b"\x11\1\2\3\4\5\6\7\x08"  # fields 1 and 2
    messages = (b"\x0a\x02hi" + b"\x18\xac\x02", b"", fixed, b"\x0a\x00")
    data, start, stop = spans(*messages)
    found = wire.read_fields(data, start, stop).by_message()
    assert found.message.tolist() == [0, 0, 2, 2, 3]
    assert found.tag.tolist() == [0x0A, 0x18, 0x0D, 0x11, 0x0A]
    values = [bytes(data[a:b]) for a, b in zip(found.start, found.stop, strict=True)]
    assert values == [b"hi", b"\xac\x02", b"\1\2\3\4", b"\1\2\3\4\5\6\7\x08", b""]


def test_no_messages_have_no_fields() -> None:
    for parts in ((), (b"",)):
        assert wire.read_fields(*spans(*parts)).by_message().tag.size == 0


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\x0a", id="ends behind the tag"),
        pytest.param(b"\x8a", id="ends in the tag"),
        pytest.param(b"\x0a\x80", id="ends in the length"),
        pytest.param(b"\x0a\x03hi", id="ends in the text"),
        pytest.param(b"\x08", id="ends before the varint"),
        pytest.param(b"\x08\x80", id="ends in the varint"),
        pytest.param(b"\x0d\1\2\3", id="ends in the four bytes"),
        pytest.param(b"\x11\1\2\3\4\5\6\7", id="ends in the eight bytes"),
        pytest.param(b"\x00\x01", id="field number 0"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\x0e\x00", id="wire type 6"),
        pytest.param(b"\x80\x80\x80\x80\x10\x01", id="a tag of more than 32 bits"),
        pytest.param(b"\x08" + b"\x80" * 10 + b"\x01", id="a varint of eleven bytes"),
        pytest.param(b"\x8a" + b"\x80" * 9 + b"\x00\x01", id="a tag of eleven bytes"),
        pytest.param(b"\x0a" + b"\xff" * 9 + b"\x01", id="length -1"),
        pytest.param(b"\x0a" + b"\xff" * 8 + b"\x7f", id="length 2^63 - 1"),
    ],
)
def test_a_malformed_message_is_refused(message: bytes) -> None:
    good = b"\x0a\x02hi"
    for parts, place in (((message,), 0), ((good, b"", message, good), 2)):
        with pytest.raises(wire.WireError) as caught:
            wire.read_fields(*spans(*parts))
        assert caught.value.place == place


@given(st.lists(st.lists(INTS)))
def test_ints_are_read_back(lists: list[list[int]]) -> None:
    parts = [b"".join(map(wire.varint, values)) for values in lists]
    values, counts = wire.read_ints(*spans(*parts))
    assert values.tolist() == [value for part in lists for value in part]
    assert counts.tolist() == [len(part) for part in lists]


@given(st.lists(st.lists(st.floats(width=32))))
def test_floats_are_read_back(lists: list[list[float]]) -> None:
    parts = [np.array(values, "<f4").tobytes() for values in lists]
    values, counts = wire.read_floats(*spans(*parts))
    np.testing.assert_array_equal(values, np.array([v for part in lists for v in part], "<f4"))
    assert counts.tolist() == [len(part) for part in lists]


@pytest.mark.parametrize("bad", [b"\x80", b"\x01\xff", b"\x80" * 10 + b"\x01"])
def test_ints_that_do_not_end_are_refused(bad: bytes) -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.read_ints(*spans(b"\x01\x02", b"", bad, b"\x03"))
    assert caught.value.place == 2


def test_parts_of_floats_are_refused() -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.read_floats(*spans(b"\0" * 8, b"\0" * 5))
    assert caught.value.place == 1


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_any_bytes_are_fields_or_refused(parts: list[bytes]) -> None:
    data, start, stop = spans(*parts)
    try:
        found = wire.read_fields(data, start, stop).by_message()
    except wire.WireError:
        return
    for i, part in enumerate(parts):
        mine = found[found.message == i]
        ends = [int(start[i]), *mine.stop.tolist()]
        assert ends[-1] == stop[i]
        assert all(a < b for a, b in zip(ends, mine.start.tolist(), strict=False)), part


def test_a_field_is_its_tag_its_length_and_its_value() -> None:
    assert wire.field(2, b"hi") == b"\x12\x02hi"
    assert wire.field(16, b"\0" * 300) == b"\x82\x01\xac\x02" + b"\0" * 300
