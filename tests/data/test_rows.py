"""Rows of a text file, and what became of each of them."""

from pathlib import Path

import polars as pl
import pytest

from mlorakit.data.rows import DataError, RowAccount, account_for, merged, read_lines


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file.dat"
    path.write_bytes(content)
    return path


def columns_of(path: Path, separator: str = "::") -> list[tuple[str | None, ...]]:
    return read_lines(path, separator, ("a", "b")).select("a", "b").rows()


def test_lines_are_numbered_and_split(tmp_path: Path) -> None:
    frame = read_lines(written(tmp_path, b"1::x\n2::y\n"), "::", ("a", "b"))
    assert frame.columns == ["line", "row", "a", "b"]
    assert frame.rows() == [(1, "1::x", "1", "x"), (2, "2::y", "2", "y")]


@pytest.mark.parametrize("content", [b"1::x\r\n2::y\r\n", b"1::x\n2::y", b"1::x\r\n2::y\n"])
def test_ends_of_lines_are_no_part_of_a_value(tmp_path: Path, content: bytes) -> None:
    assert columns_of(written(tmp_path, content)) == [("1", "x"), ("2", "y")]


@pytest.mark.parametrize("row", [b"1", b"", b"1::2::3", b"1::2::", b"::1::2", b"1:2"])
def test_a_row_with_another_number_of_columns_has_none(tmp_path: Path, row: bytes) -> None:
    assert columns_of(written(tmp_path, row + b"\n3::4\n")) == [(None, None), ("3", "4")]


def test_empty_values_are_values(tmp_path: Path) -> None:
    assert columns_of(written(tmp_path, b"::x\n1::\n")) == [("", "x"), ("1", "")]


def test_other_separators(tmp_path: Path) -> None:
    assert columns_of(written(tmp_path, b"1\tx::y\n"), "\t") == [("1", "x::y")]


def test_every_byte_is_a_character(tmp_path: Path) -> None:
    ((value, _),) = columns_of(written(tmp_path, bytes(set(range(256)) - {10, 13}) + b"::x\n"))
    assert len(value or "") == 254
    assert columns_of(written(tmp_path, b"Caf\xe9::x\n")) == [("Café", "x")]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert columns_of(written(tmp_path, b"")) == []


REJECTIONS = {"a is x": pl.col("a") == "x", "b is y": pl.col("b") == "y"}
FRAME = pl.DataFrame(
    {
        "line": [1, 2, 3, 4],
        "row": ["p::q", "x::y", "p::y", "x::q"],
        "a": ["p", "x", "p", "x"],
        "b": ["q", "y", "y", "q"],
    }
)


def test_a_row_is_rejected_for_the_first_reason_that_holds() -> None:
    kept, account = account_for(FRAME, "file.dat", REJECTIONS, strict=False)
    assert kept.rows(named=True) == [{"a": "p", "b": "q"}]
    assert account == RowAccount(
        file="file.dat",
        read=4,
        kept=1,
        rejected={"a is x": 2, "b is y": 1},
        examples=(
            "file.dat, line 2: a is x: 'x::y'",
            "file.dat, line 3: b is y: 'p::y'",
            "file.dat, line 4: a is x: 'x::q'",
        ),
    )


def test_a_condition_without_an_answer_rejects_nothing() -> None:
    frame = pl.DataFrame({"line": [1], "row": ["r"], "a": [None], "b": [None]}, strict=False)
    kept, account = account_for(frame, "file.dat", REJECTIONS, strict=False)
    assert (kept.height, account.rejected) == (1, {})


def test_five_examples_are_enough() -> None:
    frame = pl.DataFrame({"line": range(1, 10), "row": ["x"] * 9, "a": ["x"] * 9, "b": ["q"] * 9})
    _, account = account_for(frame, "file.dat", REJECTIONS, strict=False)
    assert account.rejected == {"a is x": 9}
    assert [e.split(":")[0] for e in account.examples] == [
        f"file.dat, line {n}" for n in range(1, 6)
    ]


def test_strict_stops_at_the_first_rejected_row() -> None:
    with pytest.raises(DataError, match=r"^file\.dat, line 2: a is x: 'x::y'\. Mend the row"):
        account_for(FRAME, "file.dat", REJECTIONS, strict=True)


def test_strict_takes_a_file_without_fault() -> None:
    kept, account = account_for(FRAME.head(1), "file.dat", REJECTIONS, strict=True)
    assert (kept.height, account.rejected, account.examples) == (1, {}, ())


def test_accounts_of_parts_add_up() -> None:
    first = RowAccount("a", 5, 3, {"odd": 1, "late": 1}, tuple("123"))
    second = RowAccount("a", 4, 2, {"odd": 2}, tuple("4567"))
    assert merged([first, second]) == RowAccount("a", 9, 5, {"late": 1, "odd": 3}, tuple("12345"))


def test_kept_rows_may_be_rejected_later() -> None:
    account = RowAccount("a", 5, 4, {"odd": 1})
    assert account.but("twice", 2) == RowAccount("a", 5, 2, {"odd": 1, "twice": 2})
    assert account.but("twice", 0) is account
