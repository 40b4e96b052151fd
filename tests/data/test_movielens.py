"""MovieLens's three files as labelled rows."""

from pathlib import Path

import polars as pl
import pytest

from mlorakit.data.movielens import (
    AGES,
    COLUMNS,
    OCCUPATIONS,
    VALUE_NAMES,
    liked_and_loved,
    read_movielens,
)
from mlorakit.data.rows import DataError, RowAccount

from ..conftest import RawFiles


def account_of(folder: Path, file: str) -> RowAccount:
    _, accounts = read_movielens(folder, strict=False)
    return {account.file: account for account in accounts}[file]


def test_ratings_are_joined_with_their_users_and_movies(raw_files: RawFiles) -> None:
    frame, accounts = read_movielens(raw_files(), strict=True)
    assert frame.columns == [*COLUMNS, "rating", "label"]
    first, second = ("1", "F", "25", "4", "55117"), ("2", "M", "56", "16", "02460")
    amelie, seven = ("10", "Comedy|Romance", "2001"), ("9", "Drama", "1995")
    assert frame.select("user", "gender", "age", "occupation", "zip").rows() == [
        first,
        first,
        second,
        second,
    ]
    assert frame.select("movie", "genres", "year").rows() == [amelie, seven, amelie, seven]
    assert [(a.file, a.read, a.kept) for a in accounts] == [
        ("ratings.dat", 4, 4),
        ("users.dat", 2, 2),
        ("movies.dat", 2, 2),
    ]


def test_only_a_rating_of_five_is_positive(raw_files: RawFiles) -> None:
    more = "".join(f"{n + 2}::M::1::0::1\n" for n in range(1, 6))
    ratings = "".join(f"{n + 2}::9::{n}::0\n" for n in range(1, 6))
    frame, _ = read_movielens(raw_files(users=more, ratings=ratings), strict=True)
    assert frame["label"].to_list() == [1, 0, 0, 1, *(0, 0, 0, 0, 1)]
    assert frame["label"].dtype == pl.UInt8


def test_files_with_carriage_returns_are_the_same(raw_files: RawFiles) -> None:
    unix, _ = read_movielens(raw_files(), strict=True)
    windows, _ = read_movielens(raw_files(folder="windows", end="\r\n"), strict=True)
    assert windows.equals(unix)


def test_a_title_without_a_year_has_an_unknown_one(raw_files: RawFiles) -> None:
    folder = raw_files(movies="8::Untitled::Drama\n", ratings="1::8::5::9\n")
    frame, _ = read_movielens(folder, strict=True)
    assert frame["year"].to_list()[-1] == "unknown"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1::10::5", "not 4 columns separated by '::'"),
        ("1::10::5::100::7", "not 4 columns separated by '::'"),
        ("", "not 4 columns separated by '::'"),
        ("1,10,5,100", "not 4 columns separated by '::'"),
        ("one::10::5::100", "user id is not a whole number"),
        ("-1::10::5::100", "user id is not a whole number"),
        ("1::ten::5::100", "movie id is not a whole number"),
        ("1::10.0::5::100", "movie id is not a whole number"),
        ("1::10::6::100", "rating is not 1 to 5"),
        ("1::10::0::100", "rating is not 1 to 5"),
        ("1::10::4.5::100", "rating is not 1 to 5"),
        ("1::10::::100", "rating is not 1 to 5"),
        ("1::10::5::now", "timestamp is not a whole number"),
        ("3::10::5::100", "user is not in users.dat"),
        ("1::11::5::100", "movie is not in movies.dat"),
        ("1::10::4::999", "user rated the movie before"),
    ],
)
def test_a_malformed_rating_is_counted_or_stops_a_strict_run(
    raw_files: RawFiles, row: str, reason: str
) -> None:
    folder = raw_files(ratings=row + "\n")
    frame, accounts = read_movielens(folder, strict=False)
    assert frame.height == 4
    assert accounts[0].rejected == {reason: 1}
    assert accounts[0].read == accounts[0].kept + 1
    assert accounts[0].examples == (f"ratings.dat, line 5: {reason}: {row!r}",)
    with pytest.raises(DataError) as stopped:
        read_movielens(folder, strict=True)
    assert str(stopped.value).startswith(f"ratings.dat, line 5: {reason}: {row!r}. ")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("3::F::25::4", "not 5 columns separated by '::'"),
        ("x::F::25::4::1", "user id is not a whole number"),
        ("3::W::25::4::1", "gender is not F or M"),
        ("3::f::25::4::1", "gender is not F or M"),
        ("3::F::26::4::1", "age is not one of the README's codes"),
        ("3::F::25::21::1", "occupation is not one of the README's codes"),
        ("1::F::25::4::1", "user id occurred before"),
    ],
)
def test_a_malformed_user_is_counted_and_its_ratings_too(
    raw_files: RawFiles, row: str, reason: str
) -> None:
    folder = raw_files(users=row + "\n", ratings="3::10::5::1\n")
    assert account_of(folder, "users.dat").rejected == {reason: 1}
    assert account_of(folder, "ratings.dat").rejected == {"user is not in users.dat": 1}
    with pytest.raises(DataError, match=r"^users\.dat, line 3: "):
        read_movielens(folder, strict=True)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("8::Title", "not 3 columns separated by '::'"),
        ("8a::Title (2000)::Drama", "movie id is not a whole number"),
        ("10::Another (2000)::Drama", "movie id occurred before"),
    ],
)
def test_a_malformed_movie_is_counted(raw_files: RawFiles, row: str, reason: str) -> None:
    folder = raw_files(movies=row + "\n")
    assert account_of(folder, "movies.dat").rejected == {reason: 1}
    with pytest.raises(DataError, match=r"^movies\.dat, line 3: "):
        read_movielens(folder, strict=True)


def test_a_repeated_movie_or_user_does_not_multiply_ratings(raw_files: RawFiles) -> None:
    folder = raw_files(users="1::M::1::0::1\n", movies="10::Another (2000)::Drama\n")
    frame, _ = read_movielens(folder, strict=False)
    assert frame.height == 4
    assert frame["gender"].to_list() == ["F", "F", "M", "M"]  # the first row of a user counts


def test_each_row_is_counted_once_however_much_is_wrong(raw_files: RawFiles) -> None:
    folder = raw_files(ratings="x::y::6::z\n\n1::10::6::9\n7::10::5::9\n")
    account = account_of(folder, "ratings.dat")
    assert (account.read, account.kept) == (8, 4)
    assert account.rejected == {
        "not 4 columns separated by '::'": 1,
        "rating is not 1 to 5": 1,
        "user id is not a whole number": 1,
        "user is not in users.dat": 1,
    }


def test_codes_have_readable_names() -> None:
    assert (len(AGES), len(OCCUPATIONS)) == (7, 21)
    assert VALUE_NAMES["gender"] == {"F": "female", "M": "male"}
    assert VALUE_NAMES["age"]["56"] == "56+"
    assert VALUE_NAMES["occupation"]["12"] == "programmer"


def test_two_tasks_are_liked_and_loved_among_the_liked(raw_files: RawFiles) -> None:
    folder = raw_files(ratings="1::10::3::104\n")
    frame, _ = read_movielens(folder, strict=False)
    tasks = liked_and_loved(frame)
    # The ratings are 5, 3, 4 and 5; the fifth row repeats a pair and is rejected.
    assert tasks["click"].to_list() == [1, 0, 1, 1]
    assert tasks["conversion"].to_list() == [1, 0, 0, 1]
    assert tasks["converts"].to_list() == [True, False, True, True]
    assert tasks["cluster"].to_list() == [1, 1, 2, 2]
    assert tasks["genres"].to_list() == [["Comedy", "Romance"], ["Drama"]] * 2
