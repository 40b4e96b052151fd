"""A file of the reader's own: columns, labels, several values, splits."""

import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlorakit.data.own import label_of, labelled, read_table, several, single, split_of
from mlorakit.data.rows import DataError

TABLE = {"clicked": [1, 0, 1], "shop": ["a", "b", "a"], "age": [30, 7, None]}


@pytest.fixture(params=["csv", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    frame, file = pl.DataFrame(TABLE), tmp_path / f"mine.{request.param}"
    (frame.write_csv if request.param == "csv" else frame.write_parquet)(file)
    return file


def test_both_formats_give_the_same_columns(path: Path) -> None:
    frame = read_table(path, ("age", "clicked"))
    assert frame.columns == ["line", "age", "clicked"]
    assert frame["line"].to_list() == [1, 2, 3]
    assert single(frame["age"]).values.to_list() == ["7", "30"]
    assert single(frame["age"]).codes.tolist() == [1, 0, -1]


def test_a_missing_column_is_told_with_those_that_are_there(path: Path) -> None:
    with pytest.raises(DataError, match="has no column sku; its columns are clicked, shop, age"):
        read_table(path, ("clicked", "sku"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", None, "is not there; put the file there, or mend `path`"),
        ("a.xlsx", b"", "is neither a .csv nor a .parquet file"),
        ("a.parquet", b"no parquet", "cannot be read as a .parquet file"),
        ("a.csv", b"clicked\n1,2,3\n", "cannot be read as a .csv file"),
        ("a.csv", b"", "cannot be read as a .csv file"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_table(tmp_path / name, ("clicked",))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "column", [[1, 0], [True, False], ["1", "0"], [1.0, 0.0], ["true", "FALSE"], ["1.0", "0.0"]]
)
def test_labels_may_be_numbers_or_words(column: list) -> None:
    frame = pl.DataFrame({"line": [1, 2], "y": column, "d": ["a", "b"]})
    kept, _ = labelled(frame, "mine.csv", "y", "d", None, strict=True)
    assert label_of(kept["y"]).tolist() == [1, 0]


def test_rows_without_label_domain_or_part_are_counted() -> None:
    frame = pl.DataFrame(
        {
            "line": range(1, 7),
            "y": ["1", "2", None, "0", "1", "0"],
            "d": ["a", "a", "a", "", None, "a"],
            "part": ["train", "train", "train", "test", "test", "dev"],
        }
    )
    kept, account = labelled(frame, "mine.csv", "y", "d", "part", strict=False)
    assert kept.rows() == [("1", "a", "train")]
    assert account.rejected == {
        "y is not 0 or 1": 2,
        "d is empty": 2,
        "part is not one of train, validation, test": 1,
    }
    with pytest.raises(DataError, match=r"mine\.csv, row 2: y is not 0 or 1: '2,a,train'"):
        labelled(frame, "mine.csv", "y", "d", "part", strict=True)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["b|a", "", None, "c| a |a|c", "a"]),
        pl.Series([["b", "a"], [], None, ["c", "a", "a", "c"], ["a"]]),
    ],
    ids=["text", "lists"],
)
def test_several_values_take_as_many_places(column: pl.Series) -> None:
    coded = several(column, "|", most=3)
    assert coded.values.to_list() == ["a", "b", "c"]
    assert coded.codes.tolist() == [[1, 0, -1], [-1] * 3, [-1] * 3, [2, 0, -1], [0, -1, -1]]
    assert coded.distinct() == 3


def test_values_beyond_the_most_are_left_out() -> None:
    coded = several(pl.Series(["a|b|c", "d"]), "|", most=2)
    assert coded.values.to_list() == ["a", "b", "d"]
    assert coded.codes.tolist() == [[0, 1], [2, -1]]


def splits(by: str, values: list) -> list[int]:
    frame = pl.DataFrame({"when": values})
    n = len(values)
    return split_of(
        frame,
        by,
        "when",
        np.zeros(n, np.int32),
        np.zeros(n, np.uint8),
        1,  # type: ignore[arg-type]
    ).tolist()


def test_a_column_may_say_the_split() -> None:
    assert splits("column", ["test", "train", "validation"]) == [2, 0, 1]


@pytest.mark.parametrize(
    "times",
    [
        [100, 9, 20, 3, 50],
        ["100", "9", "20", "3", "50"],
        ["2024-05-01", "2024-02-01", "2024-03-01", "2023-12-31", "2024-04-01"],
        [datetime.date(2024, month, 1) for month in (5, 2, 3, 1, 4)],
    ],
)
def test_times_of_any_type_are_put_in_order(times: list) -> None:
    assert splits("time", times) == [2, 0, 0, 0, 1]


@pytest.mark.parametrize("times", [["1", None, "3"], [1, None, 3], ["1", "", "3"]])
def test_a_missing_time_is_refused(times: list) -> None:
    with pytest.raises(DataError, match="Column when has 1 rows without a time"):
        splits("time", times)
