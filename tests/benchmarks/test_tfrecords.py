"""The benchmark of reading TFRecord files on a few records: its sides, its table, its page."""

from pathlib import Path

import polars as pl
import pytest

from benchmarks import results, tfrecords
from benchmarks.pages import tfrecords_page
from benchmarks.peers import PeerMissingError
from benchmarks.tables import tfrecords_table
from mlorakit.data.tfrecord import write_tfrecord

ROWS = {"label": [[1], [0]], "cvrlabel": [[0.5], [0.0]], "tag": [["a", "ä"], ["-1"]]}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    schema = [*tfrecords.NUMBERS, tfrecords.Feature("tag", "bytes")]
    frame = pl.DataFrame(ROWS).cast({"cvrlabel": pl.List(pl.Float32)})
    write_tfrecord(tmp_path / "sample.gz", frame, schema)
    return tmp_path / "sample.gz"


def test_the_table_divides_neighbouring_rounds() -> None:
    rates = {"gzip": {"mlorakit": [400.0, 900.0, 600.0], "tfrecord": [100.0, 300.0, 100.0]}}
    row = tfrecords_table(rates).splitlines()[2]
    assert row == "| gzip | 600 | 100 | 4.00 (3.00 to 6.00) | 3 |"


def test_features_that_are_no_numbers_are_text(sample: Path) -> None:
    schema = [(feature.name, feature.kind) for feature in tfrecords.schema_of(sample)]
    assert schema == [("tag", "bytes"), ("label", "int64"), ("cvrlabel", "float")]


def test_without_the_peer_the_benchmark_says_how_to_get_it(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PeerMissingError, match="tfrecord is not installed; run `make bench`"):
        tfrecords.peers_records(sample, "gzip")


def test_a_run_writes_its_numbers_and_its_page(sample: Path, tmp_path: Path) -> None:
    pytest.importorskip("tfrecord", reason="The extra `bench` is not installed.")
    command = ["--sample", str(sample), "--records", "5", "--rounds", "2", "--note", "A note."]
    tfrecords.measure(tfrecords.parse([*command, "--reports", str(tmp_path)]))
    found = results.read_json(tmp_path / "tfrecords.json")
    assert [found[name] for name in ("records", "features", "differ", "lists")] == [6, 3, 0, 6]
    assert {name: list(sides) for name, sides in found["rates"].items()} == {
        "gzip": ["mlorakit", "tfrecord"],
        "plain": ["mlorakit", "tfrecord"],
    }
    page = (tmp_path / "tfrecords.md").read_text()
    assert page == tfrecords_page(found)
    assert "A note." in page
