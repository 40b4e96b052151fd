"""MovieLens-1M's raw format (doi 10.1145/2827872) as one frame of labelled rows."""

from pathlib import Path

import polars as pl

from mlorakit.data.rows import RowAccount, account_for, read_lines

# Codes of users.dat, from the README that comes with the data.
AGES = {
    "1": "under 18",
    "18": "18-24",
    "25": "25-34",
    "35": "35-44",
    "45": "45-49",
    "50": "50-55",
    "56": "56+",
}
OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
VALUE_NAMES = {
    "gender": {"F": "female", "M": "male"},
    "age": AGES,
    "occupation": {str(i): name for i, name in enumerate(OCCUPATIONS)},
}
"""Readable names of the values of a column."""

COLUMNS = ("user", "movie", "gender", "age", "occupation", "zip", "genres", "year")
"""Categorical columns that a data set may use as domain or field."""

_POSITIVE_RATING = 5  # MLoRA's label: 1 iff the rating is 5


def read_movielens(folder: Path, strict: bool) -> tuple[pl.DataFrame, list[RowAccount]]:
    """Ratings joined with their users and movies.

    Args:
        folder: holds ratings.dat, users.dat and movies.dat.
        strict: stop at the first malformed row.

    Returns:
        Frame with the string columns `COLUMNS` and `rating`, and `label` (UInt8, 1 iff the rating
        is 5), in the order of ratings.dat; and an account of the rows of each file.

    Raises:
        DataError: a malformed row, if strict.
    """
    users, users_account = account_for(
        read_lines(folder / "users.dat", "::", ("user", "gender", "age", "occupation", "zip")),
        "users.dat",
        {
            "not 5 columns separated by '::'": pl.col("user").is_null(),
            "user id is not a whole number": ~_is_whole("user"),
            "gender is not F or M": ~pl.col("gender").is_in(["F", "M"]),
            "age is not one of the README's codes": ~pl.col("age").is_in(list(AGES)),
            "occupation is not one of the README's codes": ~pl.col("occupation").is_in(
                [str(i) for i in range(len(OCCUPATIONS))]
            ),
            "user id occurred before": ~pl.col("user").is_first_distinct(),
        },
        strict,
    )
    movies, movies_account = account_for(
        read_lines(folder / "movies.dat", "::", ("movie", "title", "genres")),
        "movies.dat",
        {
            "not 3 columns separated by '::'": pl.col("movie").is_null(),
            "movie id is not a whole number": ~_is_whole("movie"),
            "movie id occurred before": ~pl.col("movie").is_first_distinct(),
        },
        strict,
    )
    ratings, ratings_account = account_for(
        read_lines(folder / "ratings.dat", "::", ("user", "movie", "rating", "timestamp")),
        "ratings.dat",
        {
            "not 4 columns separated by '::'": pl.col("user").is_null(),
            "user id is not a whole number": ~_is_whole("user"),
            "movie id is not a whole number": ~_is_whole("movie"),
            "rating is not 1 to 5": ~pl.col("rating").is_in(["1", "2", "3", "4", "5"]),
            "timestamp is not a whole number": ~_is_whole("timestamp"),
            "user is not in users.dat": ~pl.col("user").is_in(users["user"].implode()),
            "movie is not in movies.dat": ~pl.col("movie").is_in(movies["movie"].implode()),
            "user rated the movie before": ~pl.struct("user", "movie").is_first_distinct(),
        },
        strict,
    )
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").fill_null("unknown")
    frame = (
        ratings.join(users, on="user", how="left", maintain_order="left")
        .join(movies.with_columns(year=year), on="movie", how="left", maintain_order="left")
        .with_columns(label=(pl.col("rating") == str(_POSITIVE_RATING)).cast(pl.UInt8))
        .select(*COLUMNS, "rating", "label")
    )
    return frame, [ratings_account, users_account, movies_account]


def liked_and_loved(frame: pl.DataFrame) -> pl.DataFrame:
    """MovieLens-1M as two tasks: liked, and loved among the liked.

    Args:
        frame: see `read_movielens`.

    Returns:
        Frame with the string columns `COLUMNS`, `genres` as a list; `click` (rating 4 or 5),
        `conversion` (rating 5), `converts` (those of `click`) and `cluster` (the user).
    """
    liked = pl.col("rating").is_in(["4", "5"])
    return frame.select(
        *(c for c in COLUMNS if c != "genres"),
        pl.col("genres").str.split("|"),
        click=liked.cast(pl.UInt8),
        conversion=(pl.col("rating") == "5").cast(pl.Float32),
        converts=liked,
        cluster=pl.col("user").cast(pl.Int64),
    )


def _is_whole(column: str) -> pl.Expr:
    return pl.col(column).str.contains(r"^\d{1,18}$")
