"""Generated video logs: the sample's format, a known truth."""

import json
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mlorakit.data.described import described
from mlorakit.data.prepare import prepare_raw
from mlorakit.data.rows import DataError
from mlorakit.data.tfrecord import read_tfrecord
from mlorakit.data.video_fields import FIELDS, SAMPLE_SCHEMA
from mlorakit.data.video_logs import CANDIDATES, VideoLogsSpec, generate_logs
from mlorakit.data.video_records import read_video_logs

from ..conftest import SetParams

SPEC = VideoLogsSpec(
    sessions=60, users=30, videos=40, overlap=0.5, signal=1.5, position_bias=0.4, parts=2, seed=3
)


def made(folder: Path, **changes: float) -> dict[str, bytes]:
    generate_logs(VideoLogsSpec(**asdict(SPEC) | changes), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def truth_of(files: dict[str, bytes]) -> dict:
    return json.loads(files["truth.json"])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 sessions without overlap: enough rows for shares and effects to show."""
    folder = tmp_path_factory.mktemp("many")
    made(folder, sessions=3000, users=2500, videos=4000, overlap=0)
    return folder


@pytest.fixture(scope="module")
def rows(many: Path) -> pl.DataFrame:
    return read_video_logs(many, list(SAMPLE_SCHEMA), strict=True)[0]


def test_files_hold_the_samples_features_and_a_strict_reader_takes_every_record(
    tmp_path: Path,
) -> None:
    files = made(tmp_path)
    assert sorted(files) == ["part-r-00000.gz", "part-r-00001.gz", "truth.json"]
    for name in ("part-r-00000.gz", "part-r-00001.gz"):
        frame, others = read_tfrecord(tmp_path / name, SAMPLE_SCHEMA)
        assert others == ()
        assert all(frame[feature.name].list.len().min() >= 1 for feature in SAMPLE_SCHEMA)
    frame, accounts = read_video_logs(tmp_path, list(SAMPLE_SCHEMA), strict=True)
    assert frame.height == sum(a.read for a in accounts) == truth_of(files)["rows"]
    assert any(not text.isascii() for text in frame["FEA_IKEYWORD"].explode())


def test_a_session_is_one_users_from_one_source_video_in_one_file(tmp_path: Path) -> None:
    made(tmp_path)
    parts = [read_tfrecord(path, SAMPLE_SCHEMA)[0] for path in sorted(tmp_path.glob("part-*"))]
    sessions = [set(part["seqnum"].explode()) for part in parts]
    assert not sessions[0] & sessions[1]
    frame, _ = read_video_logs(tmp_path, list(SAMPLE_SCHEMA), strict=True)
    assert frame["cluster"].is_sorted()
    by_session = frame.group_by("cluster").agg(
        pl.len(),
        pl.col("FEA_UID", "FEA_SVID", "FEA_UGROUP").n_unique(),
        again=pl.col("position").drop_nulls().is_duplicated().any(),
    )
    assert by_session.height == 60
    assert by_session["len"].is_between(3, 10).all()
    assert (by_session.select("FEA_UID", "FEA_SVID", "FEA_UGROUP") == 1).to_numpy().all()
    assert not by_session["again"].any()


def test_shares_are_like_the_samples(rows: pl.DataFrame) -> None:
    assert rows["click"].cast(float).mean() == pytest.approx(0.388, abs=0.02)
    watched = rows.filter("converts")["conversion"].cast(float)
    assert rows["converts"].equals(rows["click"] == 1)
    assert watched.mean() == pytest.approx(0.8178, abs=0.02)
    assert (watched == 1).mean() == pytest.approx(0.513, abs=0.03)
    missing = {
        name: ((rows[name].list.len() == 0) if field.several else rows[name].is_null()).mean()
        for name, field in FIELDS.items()
    }
    expected = {
        "FEA_STAG": 0.214, "FEA_UCAT": 0.199, "FEA_SICAT1": 0.096, "FEA_SICAT2": 0.097,
        "FEA_COVERQUALITY": 0.036, "FEA_ORDER": 0.028, "FEA_SIKEYWORD": 0.002,
    }  # fmt: skip
    for name, share in missing.items():
        assert share == pytest.approx(expected.get(name, 0), abs=0.03), name
    assert rows["logged_ctr"].is_null().mean() == pytest.approx(0.030, abs=0.005)
    assert 0.01 < (rows["logged_ctr"] > 1).mean() < 0.05  # as in the sample


def spread(rows: pl.DataFrame, field: str, label: str) -> float:
    """F statistic of a label between a field's values: about 1 without an effect."""
    values = rows.select(field, pl.col(label).cast(pl.Float64)).drop_nulls()
    if FIELDS[field].several:
        values = values.with_columns(pl.col(field).list.first()).drop_nulls()
    groups = values.group_by(field).agg(pl.len(), pl.col(label).mean().alias("mean"))
    between = (groups["len"] * (groups["mean"] - values[label].mean()) ** 2).sum()
    within = values[label].var() * values.height - between
    return (between / groups.height) / (within / (values.height - groups.height))


def test_fields_show_in_the_label_that_they_decide_and_not_in_the_other(
    many: Path, rows: pl.DataFrame
) -> None:
    fields = json.loads((many / "truth.json").read_text())["fields"]
    assert fields["both"] == []
    watched = rows.filter("converts")
    for own, other in (("ctr", "cvr"), ("cvr", "ctr")):
        where, label = (rows, "click") if own == "ctr" else (watched, "conversion")
        deciding, idle = (
            [spread(where, field, label) for field in fields[task] if field in CANDIDATES]
            for task in (own, other)
        )
        # Above 1 without an effect too, because a video's rows share most of their values.
        assert sum(deciding) / len(deciding) > 3 * sum(idle) / len(idle)


def test_the_truth_is_better_than_position_and_log_and_the_mean(
    many: Path, rows: pl.DataFrame
) -> None:
    best = json.loads((many / "truth.json").read_text())["best"]
    known = rows.drop_nulls(["position", "logged_ctr"])
    position = roc_auc_score(known["click"], -known["position"].to_numpy())
    logged = roc_auc_score(known["click"], known["logged_ctr"])
    assert 0.52 < position < logged < best["ctr_auc"] < 0.9
    assert 0.01 < best["cvr_mse"] < 0.8 * rows.filter("converts")["conversion"].var()


def test_fields_of_both_show_in_both_labels(tmp_path: Path) -> None:
    fields = truth_of(made(tmp_path, sessions=1500, users=1200, videos=2000, overlap=1))["fields"]
    rows, _ = read_video_logs(tmp_path, list(SAMPLE_SCHEMA), strict=True)
    for where, label in ((rows, "click"), (rows.filter("converts"), "conversion")):
        shown = [spread(where, field, label) for field in fields["both"]]
        assert sum(shown) / len(shown) > 4


def test_without_a_signal_the_best_scores_are_those_of_position_and_mean(tmp_path: Path) -> None:
    best = truth_of(made(tmp_path, sessions=1500, signal=1e-9))["best"]
    rows, _ = read_video_logs(tmp_path, list(SAMPLE_SCHEMA), strict=True)
    # A missing position has no effect, like the mean one.
    position = rows["position"].fill_null(rows["position"].mean()).to_numpy()
    assert best["ctr_auc"] == pytest.approx(roc_auc_score(rows["click"], -position), abs=0.01)
    watched = rows.filter("converts")["conversion"].cast(pl.Float64)
    assert best["cvr_mse"] == pytest.approx(watched.var(), rel=0.005)


@pytest.mark.parametrize(
    ("overlap", "both", "ctr", "cvr"), [(0, 0, 6, 6), (0.5, 6, 3, 3), (1, 11, 1, 0)]
)
def test_the_overlap_is_the_share_of_fields_that_decide_both(
    tmp_path: Path, overlap: float, both: int, ctr: int, cvr: int
) -> None:
    fields = truth_of(made(tmp_path, overlap=overlap))["fields"]
    assert [len(fields[part]) for part in ("both", "ctr", "cvr")] == [both, ctr, cvr]
    assert sorted(name for part in fields.values() for name in part) == sorted(FIELDS)
    assert "FEA_ORDER" in fields["ctr"]


def test_without_bias_the_position_decides_nothing(tmp_path: Path) -> None:
    assert "FEA_ORDER" in truth_of(made(tmp_path, position_bias=0))["fields"]["neither"]


def test_a_stronger_signal_is_easier_to_see(tmp_path: Path) -> None:
    weak = truth_of(made(tmp_path / "weak", sessions=500, signal=0.3, position_bias=0))["best"]
    strong = truth_of(made(tmp_path / "strong", sessions=500, signal=3.0, position_bias=0))["best"]
    assert 0.5 < weak["ctr_auc"] < 0.65 < 0.85 < strong["ctr_auc"]
    assert strong["cvr_mse"] < weak["cvr_mse"]


def test_a_seed_decides_every_byte_and_old_parts_go(tmp_path: Path) -> None:
    first = made(tmp_path / "first")
    made(tmp_path / "again", parts=5)
    (tmp_path / "again" / "part-r-00001.gz.writing").touch()  # of a draw that was killed
    assert made(tmp_path / "again") == first
    assert made(tmp_path / "other", seed=4)["part-r-00000.gz"] != first["part-r-00000.gz"]


@pytest.mark.usefixtures("project")
def test_the_description_of_the_project_is_understood() -> None:
    assert described(VideoLogsSpec, "video_logs").sessions > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sessions": 1}, "params.yaml, video_logs.sessions: "),
        ({"overlap": 1.5}, "params.yaml, video_logs.overlap: "),
        ({"signal": 0}, "params.yaml, video_logs.signal: "),
        ({"rows": 10}, "params.yaml, video_logs.rows: Unexpected"),
    ],
)
@pytest.mark.usefixtures("project")
def test_a_description_that_cannot_be_drawn_is_refused_in_one_sentence(
    set_params: SetParams, change: dict, message: str
) -> None:
    set_params(video_logs=change)
    with pytest.raises(DataError) as refused:
        prepare_raw("video_logs")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
