"""TFRecord files: read, refused where they are damaged, and written."""

import contextlib
import gzip
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlorakit.data import tfrecord
from mlorakit.data.rows import DataError
from mlorakit.data.tfrecord import Feature, read_tfrecord, write_tfrecord

# Written by protobuf, with the checksums of the package google-crc32c:
# {"label": [1]}, and {"label": [-1, 300], "name": ["Ä", ""], "score": [1.5, -inf]}.
FIRST = bytes.fromhex(
    "12 00 00 00 00 00 00 00  24 1f 64 25"
    "0a 10 0a 0e 0a 05 6c 61 62 65 6c 12 05 1a 03 0a 01 01  f5 d6 54 7b"
)
SECOND = bytes.fromhex(
    "46 00 00 00 00 00 00 00  72 35 b9 a5"
    "0a 44 0a 19 0a 05 6c 61 62 65 6c 12 10 1a 0e 0a 0c ff ff ff ff ff ff ff ff ff 01 ac 02"
    "0a 10 0a 04 6e 61 6d 65 12 08 0a 06 0a 02 c3 84 0a 00"
    "0a 15 0a 05 73 63 6f 72 65 12 0c 12 0a 0a 08 00 00 c0 3f 00 00 80 ff  17 88 44 2d"
)
PLAIN = FIRST + SECOND
PACKED = gzip.compress(PLAIN, mtime=0)
SCHEMA = (Feature("label", "int64"), Feature("name", "bytes"), Feature("score", "float"))
ROWS = [([1], [], []), ([-1, 300], ["Ä", ""], [1.5, float("-inf")])]


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "part"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content", [PLAIN, PACKED, gzip.compress(FIRST, mtime=0) + gzip.compress(SECOND, mtime=0)]
)
def test_plain_and_gzip_files_are_read(tmp_path: Path, content: bytes) -> None:
    frame, others = read_tfrecord(written(tmp_path, content), SCHEMA)
    assert frame.columns == ["label", "name", "score"]
    assert frame.dtypes == [pl.List(pl.Int64), pl.List(pl.String), pl.List(pl.Float32)]
    assert frame.rows() == ROWS
    assert others == ()


def test_features_that_are_not_asked_for_are_named(tmp_path: Path) -> None:
    frame, others = read_tfrecord(written(tmp_path, PLAIN), [Feature("none", "float")])
    assert frame.rows() == [([],), ([],)]
    assert others == ("label", "name", "score")


@pytest.mark.parametrize("block", [1, 40, 120])
@pytest.mark.parametrize("content", [PLAIN * 5, gzip.compress(PLAIN * 5, mtime=0)])
def test_records_may_lie_across_blocks(
    tmp_path: Path, content: bytes, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecord, "BLOCK", block)
    assert read_tfrecord(written(tmp_path, content), SCHEMA)[0].rows() == ROWS * 5
    damaged = bytearray(PLAIN * 5)
    damaged[3 * len(PLAIN) + 12] = 0x0B
    with pytest.raises(DataError, match=r"record 7 at byte 360: the checksum of its 18 bytes"):
        read_tfrecord(written(tmp_path, bytes(damaged)), SCHEMA)


def test_a_file_of_one_long_record_is_read(tmp_path: Path) -> None:
    text = "x" * (3 * tfrecord.BLOCK)
    frame = pl.DataFrame({"name": [[text, "y"]]})
    write_tfrecord(tmp_path / "long", frame, [Feature("name", "bytes")], compress=False)
    assert read_tfrecord(tmp_path / "long", [Feature("name", "bytes")])[0].equals(frame)


def test_a_length_that_begins_like_gzip_is_no_gzip(tmp_path: Path) -> None:
    schema = [Feature("a", "bytes")]
    path = tmp_path / "plain"
    frame = pl.DataFrame({"a": [["x" * (0x8B1F - 23)]]})  # tags, lengths and the name take 23
    write_tfrecord(path, frame, schema, compress=False)
    assert path.read_bytes()[:2] == b"\x1f\x8b"
    assert read_tfrecord(path, schema)[0].equals(frame)


def test_a_schema_names_a_feature_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Feature 'label' is in the schema more than once; name"):
        read_tfrecord(written(tmp_path, PLAIN), [*SCHEMA, Feature("label", "bytes")])


def changed(content: bytes, at: int, to: bytes) -> bytes:
    return content[:at] + to + content[at + len(to) :]


AT = len(FIRST)  # byte 34
LENGTH = r"the checksum of its length is wrong; it is damaged or no TFRecord"
DATA = r"the checksum of its 70 bytes of data is wrong"
HEADER = r"the file ends after %d of the 12 bytes of its header"
REST = r"the file ends after %d of the 74 bytes of its data and their checksum"
STREAM = r"the gzip stream is broken here \(%s\)"


@pytest.mark.parametrize(
    ("content", "record", "wrong"),
    [
        (b"", "1 at byte 0", "the file has no bytes, where even an empty gzip file has some"),
        (b"<html>no TFRecord", "1 at byte 0", LENGTH),
        (changed(PLAIN, 8, b"\0"), "1 at byte 0", LENGTH),
        (changed(PLAIN, AT + 1, b"\1"), "2 at byte 34", LENGTH),
        (changed(PLAIN, AT + 60, b"?"), "2 at byte 34", DATA),
        (changed(PLAIN, AT + 82, b"\0"), "2 at byte 34", DATA),
        (PLAIN[: AT + 5], "2 at byte 34", HEADER % 5),
        (PLAIN[: AT + 12], "2 at byte 34", REST % 0),
        (PLAIN[:-1], "2 at byte 34", REST % 73),
        (PLAIN + b"rest", "3 at byte 120", HEADER % 4),
        (PLAIN + bytes(12), "3 at byte 120", LENGTH),
        (gzip.compress(PLAIN + b"rest", mtime=0), "3 at byte 120", HEADER % 4),
        (gzip.compress(changed(PLAIN, AT + 60, b"?"), mtime=0), "2 at byte 34", DATA),
        (PACKED[:-9], "3 at byte 120", STREAM % "Compressed file ended before the end.*"),
        (PACKED[:20], "1 at byte 0", STREAM % "Compressed file ended before the end.*"),
        (changed(PACKED, len(PACKED) - 8, b"????"), "3 at byte 120", STREAM % "CRC check failed.*"),
        (PACKED + b"rest", "3 at byte 120", STREAM % r"Not a gzipped file \(b're'\)"),
        (changed(PACKED, 10, b"\xff"), "1 at byte 0", STREAM % "Error -3 while decompressing.*"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, record: str, wrong: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(
        DataError,
        match=rf"^{re.escape(str(path))}, record {record}: {wrong}\. Fetch the file again\.$",
    ):
        read_tfrecord(path, SCHEMA)


def test_records_that_are_no_examples_of_the_schema_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, PACKED)
    schema = (Feature("label", "int64"), Feature("name", "float"))
    with pytest.raises(
        DataError,
        match=re.escape(
            f"{path}, record 2 at byte 34: its feature 'name' is a list of kind bytes, and the "
            "schema says float. Correct the schema."
        ),
    ):
        read_tfrecord(path, schema)


@settings(max_examples=300)
@given(at=st.integers(0, len(PACKED) - 1), to=st.integers(1, 255))
@pytest.mark.parametrize("content", [PLAIN, PACKED])
def test_a_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, to: int
) -> None:
    at %= len(content)
    path = written(tmp_path_factory.mktemp("fuzz"), changed(content, at, bytes([content[at] ^ to])))
    if content is PACKED:  # some bits mean nothing: of the header, and where a deflate stream ends
        with contextlib.suppress(DataError):
            frame, others = read_tfrecord(path, SCHEMA)
            assert (frame.rows(), others) == (ROWS, ())
    else:
        with pytest.raises(DataError, match=r"record [123] at byte (0|34|120): "):
            read_tfrecord(path, SCHEMA)


@settings(max_examples=100)
@given(size=st.integers(0, len(PACKED) - 1))
@pytest.mark.parametrize("content", [PLAIN, PACKED])
def test_a_cut_file_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int
) -> None:
    size %= len(content)
    path = written(tmp_path_factory.mktemp("fuzz"), content[:size])
    if content is PLAIN and size == AT:  # all that is left is whole, and nothing says how much was
        assert read_tfrecord(path, SCHEMA)[0].rows() == ROWS[:1]
    else:
        with pytest.raises(DataError):
            read_tfrecord(path, SCHEMA)


FRAMES = st.lists(
    st.tuples(
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
        st.lists(st.text(max_size=20), max_size=4),
        st.lists(st.floats(width=32), max_size=4),
    ),
    max_size=8,
)
TYPES = {"label": pl.List(pl.Int64), "name": pl.List(pl.String), "score": pl.List(pl.Float32)}


@given(rows=FRAMES, compress=st.booleans(), block=st.sampled_from([16, 1 << 20]))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple], compress: bool, block: int
) -> None:
    path = tmp_path_factory.mktemp("written") / "part"
    frame = pl.DataFrame(rows, schema=TYPES, orient="row")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfrecord, "BLOCK", block)
        write_tfrecord(path, frame, SCHEMA, compress or not rows)
        read, others = read_tfrecord(path, SCHEMA)
    assert (read.schema, others) == (frame.schema, ())
    assert repr(read.rows()) == repr(rows)  # as text, for NaN is not NaN


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS, schema=TYPES, orient="row")
    plain, packed = tmp_path / "new" / "plain", tmp_path / "new" / "packed.gz"
    write_tfrecord(plain, frame, SCHEMA, compress=False)
    write_tfrecord(packed, frame, SCHEMA)
    first = packed.read_bytes()
    assert gzip.decompress(first) == plain.read_bytes()
    assert first[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # no name and no time
    os.utime(packed, (0, 0))
    write_tfrecord(tmp_path / "other", frame[:, ::-1], SCHEMA[::-1])
    assert (tmp_path / "other").read_bytes() == first
    # Protobuf writes SECOND so, which has every feature.
    write_tfrecord(plain, frame[1:], SCHEMA, compress=False)
    assert plain.read_bytes() == SECOND
    assert sorted(path.name for path in plain.parent.iterdir()) == ["packed.gz", "plain"]


def test_a_failure_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[bytes]:
        raise KeyboardInterrupt

    path = written(tmp_path, PLAIN)
    monkeypatch.setattr(tfrecord, "encode", broken)
    with pytest.raises(KeyboardInterrupt):
        write_tfrecord(path, pl.DataFrame(schema=TYPES), SCHEMA)
    assert path.read_bytes() == PLAIN


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pl.DataFrame({"label": [1], "name": [["a"]]}, schema_overrides={"label": pl.Int64}),
            r"^Column 'label' is Int64 in the frame and List\(Int64\) in the schema; give a frame",
        ),
        (
            pl.DataFrame({"label": [[1]]}),
            r"^Column 'name' is missing in the frame and List\(String\) in the schema; give a",
        ),
        (
            pl.DataFrame({"label": [[1]], "name": [["a"]], "other": [1]}),
            "^Column 'other' is Int64 in the frame and missing in the schema; give a frame of",
        ),
        (
            pl.DataFrame({"label": [[1], None], "name": [["a"], []]}),
            "^Column 'label' holds a null; give an empty list for no value.",
        ),
        (
            pl.DataFrame({"label": [[1], []], "name": [["a", None], []]}),
            "^Column 'name' holds a null; give an empty list for no value.",
        ),
        (
            pl.DataFrame(schema={"label": pl.List(pl.Int64), "name": pl.List(pl.String)}),
            "would have no bytes, as the frame has no rows; compress it.",
        ),
    ],
)
def test_a_frame_that_is_not_of_the_schema_is_refused(
    tmp_path: Path, frame: pl.DataFrame, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_tfrecord(tmp_path / "part", frame, SCHEMA[:2], compress=False)
    assert list(tmp_path.iterdir()) == []


TEXTS = """
FEA_SVID FEA_SCP FEA_SICAT1 FEA_SICAT2 FEA_VID FEA_CP FEA_ICAT1 FEA_ICAT2 FEA_ORDER FEA_COVERQUALITY
FEA_AGE FEA_DURATION FEA_ALGID FEA_UID FEA_UGROUP FEA_SIKEYWORD FEA_STAG FEA_IXFTAG FEA_IKEYWORD
FEA_UCAT pctr seqnum
"""
SAMPLE = (
    *(Feature(name, "bytes") for name in TEXTS.split()),
    Feature("label", "int64"),
    Feature("cvrlabel", "float"),
)


@pytest.mark.realdata
def test_the_public_sample_has_the_known_counts(
    real_file: Callable[[str], Path], tmp_path: Path
) -> None:
    path = real_file("lt4rec/part-r-00002.gz")
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith("27a61dbb")
    frame, others = read_tfrecord(path, SAMPLE)
    assert (frame.height, frame.width, others) == (4322, 24, ())
    assert all(frame[feature.name].list.len().min() >= 1 for feature in SAMPLE)  # none is empty
    label, watched = (frame[name].list.item() for name in ("label", "cvrlabel"))
    assert label.sum() == 1677
    assert ((watched > 0) == (label == 1)).all()
    assert watched.filter(label == 1).mean() == pytest.approx(0.8178, abs=5e-5)
    assert frame["FEA_UID"].list.first().n_unique() == 500
    assert frame["FEA_STAG"].list.contains("-1").mean() == pytest.approx(0.214, abs=5e-4)
    write_tfrecord(tmp_path / "again", frame, SAMPLE)
    assert read_tfrecord(tmp_path / "again", SAMPLE)[0].equals(frame)
