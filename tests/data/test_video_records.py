"""Video logs from TFRecord files to rows of two tasks."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlorakit.data.example import Feature
from mlorakit.data.rows import DataError
from mlorakit.data.tfrecord import write_tfrecord
from mlorakit.data.video_fields import BUCKETS, FIELDS, SAMPLE_SCHEMA
from mlorakit.data.video_records import read_video_logs, video_schema

from ..conftest import SetParams

SCHEMA = list(SAMPLE_SCHEMA)


def record(**changes: Any) -> dict[str, list]:
    """A record of one value per feature, clicked and watched by half."""
    values = {name: [f"{name[4:]}-a"] for name in FIELDS}
    values |= {"FEA_ORDER": ["4"], "pctr": ["0.25"], "seqnum": ["s"], "label": [1]}
    return values | {"cvrlabel": [0.5]} | changes


def write(folder: Path, *records: dict, name: str = "part-0", schema: list = SCHEMA) -> Path:
    kinds = {"bytes": pl.String, "int64": pl.Int64, "float": pl.Float32}
    frame = pl.DataFrame(records, schema={f.name: pl.List(kinds[f.kind]) for f in schema})
    write_tfrecord(folder / name, frame, schema)
    return folder


def read(folder: Path, *, strict: bool = True) -> pl.DataFrame:
    return read_video_logs(folder, SCHEMA, strict)[0]


def test_a_record_by_hand(tmp_path: Path) -> None:
    tags = ["x", "y", "x"]
    folder = write(
        tmp_path,
        record(FEA_STAG=tags, FEA_SICAT1=["-1"]),
        record(FEA_STAG=["-1"], FEA_UCAT=[], label=[0], cvrlabel=[0.0]),
    )
    frame, (account,) = read_video_logs(folder, SCHEMA, strict=True)
    assert (account.file, account.read, account.kept) == ("part-0", 2, 2)
    assert frame["FEA_VID"].to_list() == ["VID-a", "VID-a"]
    assert frame["FEA_SICAT1"].to_list() == [None, "SICAT1-a"]
    assert frame["FEA_STAG"].to_list() == [tags, []]
    assert frame["FEA_UCAT"].to_list() == [["UCAT-a"], []]
    assert frame["click"].to_list() == [1, 0]
    assert frame["conversion"].to_list() == [0.5, 0]
    assert frame["converts"].to_list() == [True, False]
    assert frame["position"].to_list() == [4, 4]
    assert frame["logged_ctr"].to_list() == [0.25, 0.25]
    assert [frame[name].dtype for name in ("click", "conversion", "cluster")] == [
        pl.UInt8,
        pl.Float32,
        pl.Int64,
    ]


def test_more_than_the_whole_video_counts_as_the_whole(tmp_path: Path) -> None:
    frame = read(write(tmp_path, record(cvrlabel=[1.5]), record(cvrlabel=[0.0])))
    assert frame["conversion"].to_list() == [1, 0]
    assert frame["converts"].to_list() == [True, False]  # a click on a video that was not watched


def test_a_missing_value_among_others_is_no_value(tmp_path: Path) -> None:
    frame = read(write(tmp_path, record(FEA_STAG=["x", "-1"])))
    assert frame["FEA_STAG"].to_list() == [["x"]]


@pytest.mark.parametrize("value", [["-1"], [], ["much"], ["nan"], ["0.1", "0.2"]])
def test_no_logged_probability_is_null_and_loses_no_row(tmp_path: Path, value: list) -> None:
    frame = read(write(tmp_path, record(pctr=value), record(FEA_ORDER=["-1"])))
    assert frame["logged_ctr"].to_list() == [None, 0.25]
    assert frame["position"].to_list() == [4, None]


def test_a_session_has_one_number_across_files(tmp_path: Path) -> None:
    write(tmp_path, record(seqnum=["b"]), record(seqnum=["b"]), record(seqnum=["a"]))
    write(tmp_path, record(seqnum=["a"]), record(seqnum=["c"]), name="part-1")
    frame, accounts = read_video_logs(tmp_path, SCHEMA, strict=True)
    assert frame["cluster"].to_list() == [0, 0, 1, 1, 2]
    assert [(account.file, account.kept) for account in accounts] == [("part-0", 3), ("part-1", 2)]


BAD = [
    (record(FEA_VID=["a", "b"]), "FEA_VID has not exactly one value"),
    (record(FEA_AGE=[]), "FEA_AGE has not exactly one value"),
    (record(seqnum=["-1"]), "seqnum is missing"),
    (record(seqnum=[]), "seqnum is missing"),
    (record(label=[2]), "label is not 0 or 1"),
    (record(label=[]), "label is not 0 or 1"),
    (record(label=[0, 1]), "label is not 0 or 1"),
    (record(cvrlabel=[]), "cvrlabel is not one number from 0"),
    (record(cvrlabel=[float("nan")]), "cvrlabel is not one number from 0"),
    (record(cvrlabel=[-0.5]), "cvrlabel is not one number from 0"),
    (record(label=[0]), "cvrlabel is above 0 and label is 0"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_record_that_cannot_be_used_is_counted_or_stops(
    tmp_path: Path, bad: dict, reason: str
) -> None:
    folder = write(tmp_path, record(), bad, record())
    frame, (account,) = read_video_logs(folder, SCHEMA, strict=False)
    assert (account.read, account.kept, account.rejected) == (3, 2, {reason: 1})
    assert frame.height == 2
    with pytest.raises(DataError, match=f"^part-0, record 2: {reason}: 'seqnum "):
        read(folder)


def test_each_record_is_counted_once_however_much_is_wrong(tmp_path: Path) -> None:
    _, (account,) = read_video_logs(
        write(tmp_path, *(bad for bad, _ in BAD), record(FEA_VID=[], label=[7])), SCHEMA, False
    )
    assert (account.read, account.kept) == (len(BAD) + 1, 0)
    assert sum(account.rejected.values()) == len(BAD) + 1
    assert account.rejected["FEA_VID has not exactly one value"] == 2


def test_values_of_any_kind_are_categories(tmp_path: Path) -> None:
    numbers = {"FEA_AGE", "FEA_DURATION", "seqnum"}
    schema = [Feature(f.name, "int64" if f.name in numbers else f.kind) for f in SCHEMA]
    folder = write(tmp_path, record(FEA_AGE=[7], FEA_DURATION=[-1], seqnum=[12]), schema=schema)
    frame, _ = read_video_logs(folder, schema, strict=True)
    assert (frame["FEA_AGE"].item(), frame["FEA_DURATION"].item()) == ("7", None)


def test_a_folder_without_files_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no TFRecord file; its files are named part-\*"):
        read(tmp_path)
    path = write(tmp_path, record()) / "part-0"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part-0, record 1 at byte 0: "):
        read(tmp_path)


@pytest.mark.usefixtures("project")
def test_the_schema_of_the_parameters_is_that_of_the_sample(set_params: SetParams) -> None:
    assert set(video_schema()) == set(SAMPLE_SCHEMA)
    assert len(SAMPLE_SCHEMA) == 24
    set_params(tfrecord_schema={"label": "integer"})
    with pytest.raises(DataError, match=r"params.yaml, tfrecord_schema\.label: Input should be"):
        video_schema()


def test_a_feature_that_the_schema_lacks_is_named(
    project: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (project / "params.yaml").read_text().replace("  FEA_UCAT: bytes\n", "")
    (project / "params.yaml").write_text(text)
    with pytest.raises(DataError, match="tfrecord_schema: FEA_UCAT is missing; give the kind"):
        video_schema()


def test_fields_and_tables_are_those_of_the_released_code() -> None:
    assert len(FIELDS) == 20
    assert sum(field.several for field in FIELDS.values()) == 5
    assert {field.table for field in FIELDS.values()} == set(BUCKETS)
    assert len(BUCKETS) == 12
    # 25.9 million rows of 16 weights, with a row for the missing value: 414.5 million weights.
    assert round(sum(BUCKETS.values()) / 1e6, 1) == 25.9
    assert round(sum(n + 1 for n in BUCKETS.values()) * 16 / 1e6, 1) == 414.5
