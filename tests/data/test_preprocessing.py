"""Raw files to a processed data set."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlorakit.data import preprocessing
from mlorakit.data.movielens import read_movielens
from mlorakit.data.preprocessing import dataset_spec, preprocess
from mlorakit.data.routes import MIRROR
from mlorakit.data.rows import DataError
from mlorakit.data.sources import fetch
from mlorakit.data.splits import SPLITS, stratified_split

from ..conftest import RawFiles, SetParams


@pytest.fixture
def raw(prepared: Path) -> Path:
    """Generated raw files: 40 users, 30 movies, 1,000 ratings."""
    return prepared / "data" / "raw" / "generated"


@pytest.fixture
def describe(set_params: SetParams) -> Callable[..., None]:
    """Describes the data set `mine` in params.yaml."""

    def put(domain: str = "gender", fields: Any = "user,movie", **more: Any) -> None:
        described = {"source": "movielens", "domain": domain, "fields": fields}
        set_params(datasets={"mine": described | more})

    return put


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def frames(folder: Path) -> list[pl.DataFrame]:
    return [pl.read_parquet(folder / f"{part}.parquet") for part in SPLITS]


def in_order(values: Iterable[str]) -> list[str]:
    return sorted(set(values), key=lambda value: int(value) if value.isdigit() else value)


def run(raw: Path, into: Path, *, strict: bool = True, split_seed: int = 123) -> dict:
    return preprocess("mine", {"movielens": raw}, into, strict=strict, split_seed=split_seed)


@pytest.mark.parametrize(
    ("domain", "fields"),
    [
        ("gender", "user,movie"),
        ("age", "user,movie,occupation,genres"),
        ("occupation", "movie,age,zip,year"),
        ("gender", "user"),
    ],
)
def test_ids_are_those_of_a_dictionary_of_train_values(
    describe: Callable[..., None], raw: Path, project: Path, domain: str, fields: str
) -> None:
    describe(domain, fields)
    described = run(raw, project / "out")
    names = [*fields.split(","), domain]
    assert [field["name"] for field in described["fields"]] == names

    rows, _ = read_movielens(raw, strict=True)
    values = in_order(rows[domain])
    codes = np.array([values.index(value) for value in rows[domain]])
    split = stratified_split(codes, rows["label"].to_numpy(), 123)
    for field in described["fields"]:
        column = np.array(rows[field["name"]].to_list())
        known = in_order(column[split == 0])
        ids = {value: n for n, value in enumerate(known, 1)}
        assert field["size"] == len(known) + 1
        assert field["distinct"] == len(set(column))
        for number, frame in enumerate(frames(project / "out")):
            expected = [ids.get(value, 0) for value in column[split == number]]
            assert frame[field["name"]].to_list() == expected
        table = pl.read_parquet(project / "out" / f"values_{field['name']}.parquet")
        assert table.rows() == [(n, value) for value, n in ids.items()]
    for number, frame in enumerate(frames(project / "out")):
        assert frame["domain"].to_list() == codes[split == number].tolist()
        assert frame["label"].to_list() == rows["label"].to_numpy()[split == number].tolist()


def test_a_value_that_only_test_has_is_unknown(
    describe: Callable[..., None], raw_files: RawFiles, project: Path
) -> None:
    # The only rating of a domain goes to test (floor(3 / 5) = 0), so the man stays unknown.
    describe("gender", "user,movie")
    users = "".join(f"{n}::F::1::0::1\n" for n in range(3, 13))
    folder = raw_files(users=users, ratings="".join(f"{n}::9::1::0\n" for n in range(3, 13)))
    rows = [row for row in (folder / "ratings.dat").read_text().splitlines() if row[:3] != "2::"]
    (folder / "ratings.dat").write_text("\n".join([*rows, "2::10::5::0"]) + "\n")
    run(folder, project / "out")
    test = frames(project / "out")[2]
    assert test.filter(pl.col("domain") == 1).select("user", "gender").rows() == [(0, 0)]
    assert "2" not in pl.read_parquet(project / "out" / "values_user.parquet")["user"].to_list()


def test_whole_numbers_are_sorted_by_size(
    describe: Callable[..., None], raw: Path, project: Path
) -> None:
    describe("occupation", "user")
    described = run(raw, project / "out")
    codes = [domain["value"] for domain in described["domains"]]
    assert codes == sorted(codes, key=int)
    assert codes != sorted(codes)
    assert described["domains"][codes.index("12")]["name"] == "programmer"
    users = pl.read_parquet(project / "out" / "values_user.parquet")["user"].to_list()
    assert users == sorted(users, key=int)


def test_columns_are_small_integers(
    describe: Callable[..., None], raw: Path, project: Path
) -> None:
    describe()
    run(raw, project / "out")
    for frame in frames(project / "out"):
        assert frame.schema == {
            "user": pl.Int32,
            "movie": pl.Int32,
            "gender": pl.Int32,
            "domain": pl.Int32,
            "label": pl.UInt8,
        }


def test_domains_are_counted_per_split(
    describe: Callable[..., None], raw: Path, project: Path
) -> None:
    describe()
    described = run(raw, project / "out")
    assert [(d["id"], d["value"], d["name"]) for d in described["domains"]] == [
        (0, "F", "female"),
        (1, "M", "male"),
    ]
    for part, frame in zip(SPLITS, frames(project / "out"), strict=True):
        for domain in described["domains"]:
            rows = frame.filter(pl.col("domain") == domain["id"])
            assert domain[f"rows_{part}"] == rows.height
            assert domain[f"positives_{part}"] == rows["label"].sum()
    table = pl.read_parquet(project / "out" / "domains.parquet")
    assert table.to_dicts() == described["domains"]


def test_the_description_holds_the_hash_of_every_other_file(
    describe: Callable[..., None], raw: Path, project: Path
) -> None:
    describe()
    described = run(raw, project / "out")
    files = content(project / "out")
    stored = json.loads(files.pop("dataset.json"))
    assert stored["files"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }
    assert set(files) == {
        *(f"{part}.parquet" for part in SPLITS),
        *(f"values_{field}.parquet" for field in ("user", "movie", "gender")),
        "domains.parquet",
    }
    assert described == stored | {"examples": []}


def test_two_runs_give_the_same_bytes(
    describe: Callable[..., None], raw: Path, project: Path
) -> None:
    describe()
    run(raw, project / "first")
    run(raw, project / "second")
    assert content(project / "first") == content(project / "second")


def test_another_split_seed_changes_the_rows_and_not_their_number(
    describe: Callable[..., None], raw: Path, project: Path
) -> None:
    describe()
    run(raw, project / "first", split_seed=1)
    run(raw, project / "second", split_seed=2)
    first, second = frames(project / "first"), frames(project / "second")
    assert [f.height for f in first] == [f.height for f in second]
    assert not first[2].equals(second[2])


def test_malformed_rows_are_counted_with_examples(
    describe: Callable[..., None], raw_files: RawFiles, project: Path
) -> None:
    describe()
    folder = raw_files(ratings="1::10::6::9\n9::9::5::9\n1::10::6::9\n", users="7::X::1::0::1\n")
    described = run(folder, project / "out", strict=False)
    assert described["rows"] == [
        {
            "file": "ratings.dat",
            "read": 7,
            "kept": 4,
            "rejected": {"rating is not 1 to 5": 2, "user is not in users.dat": 1},
        },
        {"file": "users.dat", "read": 3, "kept": 2, "rejected": {"gender is not F or M": 1}},
        {"file": "movies.dat", "read": 2, "kept": 2, "rejected": {}},
    ]
    assert described["examples"] == [
        "ratings.dat, line 5: rating is not 1 to 5: '1::10::6::9'",
        "ratings.dat, line 6: user is not in users.dat: '9::9::5::9'",
        "ratings.dat, line 7: rating is not 1 to 5: '1::10::6::9'",
        "users.dat, line 3: gender is not F or M: '7::X::1::0::1'",
    ]
    assert sum(frame.height for frame in frames(project / "out")) == 4


def test_a_strict_run_that_stops_leaves_the_earlier_folder(
    describe: Callable[..., None], raw: Path, raw_files: RawFiles, project: Path
) -> None:
    describe()
    run(raw, project / "out")
    before = content(project / "out")
    with pytest.raises(DataError, match=r"ratings\.dat, line 5"):
        run(raw_files(ratings="1::10::6::9\n"), project / "out")
    assert content(project / "out") == before


def test_a_run_that_breaks_while_writing_leaves_the_earlier_folder(
    describe: Callable[..., None], raw: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe()
    run(raw, project / "out")
    before, beside = content(project / "out"), sorted(project.iterdir())

    def breaks(*arguments: object) -> None:
        raise OSError("disk is full")

    monkeypatch.setattr(preprocessing, "_domain_table", breaks)
    with pytest.raises(OSError, match="disk is full"):
        run(raw, project / "out", split_seed=9)
    assert content(project / "out") == before
    assert sorted(project.iterdir()) == beside


def test_a_run_replaces_the_whole_folder(
    describe: Callable[..., None], raw: Path, project: Path
) -> None:
    describe(fields="user,movie,zip")
    run(raw, project / "out")
    describe(fields="user,movie")
    run(raw, project / "out")
    assert not (project / "out" / "values_zip.parquet").exists()


def test_raw_files_without_a_usable_row_are_refused(
    describe: Callable[..., None], raw_files: RawFiles, project: Path
) -> None:
    describe()
    folder = raw_files()
    (folder / "ratings.dat").write_text("1::10::6::9\n")
    with pytest.raises(DataError, match=r"No row of .* is usable.*rating is not 1 to 5"):
        run(folder, project / "out", strict=False)
    assert not (project / "out").exists()


@pytest.mark.parametrize("fields", ["user,movie", "user movie", "user, movie", ["user", "movie"]])
def test_fields_may_be_text_or_a_list_and_the_domain_is_one(
    describe: Callable[..., None], fields: Any
) -> None:
    describe("gender", fields)
    assert dataset_spec("mine").fields == ("user", "movie", "gender")
    describe("user", fields)
    assert dataset_spec("mine").fields == ("user", "movie")


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"domain": "sex"}, "column 'sex' is not one of user, movie, gender, age"),
        ({"fields": "user,film"}, "column 'film' is not one of user, movie, gender, age"),
        ({"colour": "red"}, "datasets.mine.colour: "),
        ({"domain": 3}, "datasets.mine.domain: "),
    ],
)
def test_a_description_that_is_not_understood_is_refused_in_one_sentence(
    describe: Callable[..., None], described: dict, message: str
) -> None:
    describe(**described)
    with pytest.raises(DataError) as refused:
        dataset_spec("mine")
    text = str(refused.value)
    assert text.startswith("params.yaml, datasets.mine")
    assert message in text
    assert "\n" not in text


@pytest.mark.usefixtures("project")
def test_an_unknown_data_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="no data set 'movielenz'; it describes movielens, "):
        dataset_spec("movielenz")


@pytest.fixture
def movielens(
    tmp_path: Path, real_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """MovieLens-1M's raw files."""
    monkeypatch.setenv(MIRROR, str(real_file("ml-1m/ratings.dat").parent.parent))
    fetch("movielens", tmp_path / "ml-1m")
    return tmp_path / "ml-1m"


@pytest.mark.realdata
@pytest.mark.usefixtures("project")
def test_movielens_by_gender_has_the_published_counts(movielens: Path, tmp_path: Path) -> None:
    described = preprocess(
        "movielens", {"movielens": movielens}, tmp_path / "out", strict=True, split_seed=123
    )
    female, male = described["domains"]
    assert [female["value"], male["value"]] == ["F", "M"]
    rows = [sum(domain[f"rows_{part}"] for part in SPLITS) for domain in (female, male)]
    assert rows == [246_440, 753_769]
    positives = [sum(domain[f"positives_{part}"] for part in SPLITS) for domain in (female, male)]
    shares = [100 * p / n for p, n in zip(positives, rows, strict=True)]
    assert shares == pytest.approx([23.76, 22.26], abs=0.005)
    by_part = [female[f"rows_{part}"] + male[f"rows_{part}"] for part in SPLITS]
    assert by_part == [600_125, 200_042, 200_042]
    assert {field["name"]: field["distinct"] for field in described["fields"]} == {
        "user": 6040,
        "movie": 3706,
        "gender": 2,
    }
    assert [(account["read"], account["rejected"]) for account in described["rows"]] == [
        (1_000_209, {}),
        (6040, {}),
        (3883, {}),
    ]
