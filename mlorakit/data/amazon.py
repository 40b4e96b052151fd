"""Amazon's reviews of 2018, 5-core, by category: Ni et al., EMNLP 2019, doi 10.18653/v1/D19-1018.

A file is one category, gzip with a JSON object per line; `reviewerID` is the user, `asin` the item.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from mlorakit.data.rows import DataError, RowAccount, account_for, merged
from mlorakit.data.spec import RawFile, Source
from mlorakit.progress import progress

CATEGORIES = (
    "AMAZON_FASHION",
    "All_Beauty",
    "Appliances",
    "Arts_Crafts_and_Sewing",
    "Automotive",
    "Books",
    "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories",
    "Clothing_Shoes_and_Jewelry",
    "Digital_Music",
    "Electronics",
    "Gift_Cards",
    "Grocery_and_Gourmet_Food",
    "Home_and_Kitchen",
    "Industrial_and_Scientific",
    "Kindle_Store",
    "Luxury_Beauty",
    "Magazine_Subscriptions",
    "Movies_and_TV",
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Pet_Supplies",
    "Prime_Pantry",
    "Software",
    "Sports_and_Outdoors",
    "Tools_and_Home_Improvement",
    "Toys_and_Games",
    "Video_Games",
)

_AMAZON_6 = (
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Prime_Pantry",
    "Toys_and_Games",
    "Video_Games",
)
GROUPS = {
    "amazon_6": _AMAZON_6,
    "amazon_13": (
        *_AMAZON_6,
        "Arts_Crafts_and_Sewing",
        "Digital_Music",
        "Gift_Cards",
        "Industrial_and_Scientific",
        "Luxury_Beauty",
        "Magazine_Subscriptions",
        "Software",
    ),
}
"""The categories of MAMDR's and MLoRA's data sets."""

SUFFIX = "_5.json.gz"
_HOSTS = (
    "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/categoryFilesSmall/",
    "https://jmcauley.ucsd.edu/data/amazon_v2/categoryFilesSmall/",
)
# UCSD publishes no hashes. These are of five files that are at hand; any other category's is
# recorded when it is first fetched (see `RawFile`).
_SHA256 = {
    "AMAZON_FASHION": "5c73b65d0a5cc5dcd905b75a87086c37513ff0d023b02b381e729ab8a9541cb6",
    "All_Beauty": "8e49737fefaec9290187c69bf92889452df8be0ab5e36c9476520d6639683279",
    "Appliances": "21a40511d92ff542844eb0e3fae746a91d97f299271a233bb0bcfdf699e65f50",
    "Gift_Cards": "41e1f0e50d3c1c9d7d949fb6315944c8bde51ea6b7429a29fdd0d02cbc07ef25",
    "Magazine_Subscriptions": "95c124603d62d6acdfd1bd62284934fb6c513db836ea64c2e8176c14256426f2",
}

_BLOCK = 1 << 25  # bytes of text that are parsed at once
_KEYS = {"reviewerID": "user", "asin": "item"}


def source_name(category: str) -> str:
    """Name of a category's raw source."""
    return f"amazon_{category}"


def _source(category: str) -> Source:
    name = category + SUFFIX
    file = RawFile(
        name=name,
        sha256=_SHA256.get(category),
        mirror=f"amazon/{name}",
        urls=tuple(host + name for host in _HOSTS),
    )
    return Source((file,))


AMAZON_SOURCES = {source_name(category): _source(category) for category in CATEGORIES}
"""A raw source per category, so that each is fetched by itself."""


def read_reviews(path: Path, strict: bool) -> tuple[pl.DataFrame, RowAccount]:
    """The reviews of a category, each user's of an item once.

    MLoRA takes every review as a positive, whatever its stars. The released code compares user,
    item and stars when it drops duplicates; here user and item decide.

    Args:
        path: of a `.json.gz` file.
        strict: stop at the first malformed row. A repeated review is none: it is counted.

    Returns:
        Frame with the string columns `user` and `item`, in the order of the file; and an account
        of the rows.

    Raises:
        DataError: a malformed row, if strict; a broken gzip file; or no usable row.
    """
    frames, accounts = [], []
    for first, block in _blocks(path):
        frame, account = _parsed(block, first, path.name, strict)
        frames.append(frame)
        accounts.append(account)
    if not sum(account.kept for account in accounts):
        why = merged(accounts).rejected if accounts else "it is empty"
        raise DataError(f"No review of {path} is usable: {why}.")
    frame = pl.concat(frames)
    kept = frame.unique(maintain_order=True)
    return kept, merged(accounts).but("user reviewed the item before", frame.height - kept.height)


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines of an unpacked file, about `_BLOCK` bytes each time, and the first one's number.

    Memory does not grow with the file.
    """
    line, rest = 1, b""
    with (
        progress(total=path.stat().st_size, description=f"reading {path.name}", unit="B") as bar,
        path.open("rb") as packed,
        gzip.open(packed) as stream,
    ):
        try:
            while chunk := stream.read(_BLOCK):
                end = chunk.rfind(b"\n") + 1
                if block := rest + chunk[:end] if end else b"":
                    yield line, block
                    line += block.count(b"\n")
                rest = chunk[end:] if end else rest + chunk
                bar.update(packed.tell() - bar.n)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path} is no whole gzip file ({error}); remove it and fetch it again."
            ) from error
    if rest:
        yield line, rest


def _parsed(block: bytes, first: int, file: str, strict: bool) -> tuple[pl.DataFrame, RowAccount]:
    """Users and items of a block of lines, and their account."""
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    try:
        frame = pl.read_ndjson(BytesIO(block), schema=dict.fromkeys(_KEYS, pl.String))
        frame = frame.rename(_KEYS)
        whole = (
            frame.height == lines
            and frame.select(
                pl.all_horizontal((pl.col("user", "item") != "").fill_null(False).all())
            ).item()
        )
    except pl.exceptions.PolarsError:
        whole = False
    if whole:
        return frame, RowAccount(file, lines, lines)
    # Something is wrong with a line; Python's reader tells which.
    texts = block.split(b"\n")[:lines]
    records = [_record(text) for text in texts]
    frame = pl.DataFrame(
        {
            "line": range(first, first + lines),
            "row": [text[:120].decode("utf-8", "replace") for text in texts],
            "object": [record is not None for record in records],
            "user": [_text(record, "reviewerID") for record in records],
            "item": [_text(record, "asin") for record in records],
        },
        schema_overrides={"user": pl.String, "item": pl.String},
    )
    kept, account = account_for(
        frame,
        file,
        {
            "not a JSON object": ~pl.col("object"),
            "reviewerID is missing": (pl.col("user") == "").fill_null(True),
            "asin is missing": (pl.col("item") == "").fill_null(True),
        },
        strict,
    )
    return kept.select("user", "item"), account


def _record(text: bytes) -> dict[str, Any] | None:
    """A line's JSON object; None if it is none."""
    try:
        record = json.loads(text)
    except ValueError:  # of UnicodeDecodeError too
        return None
    return record if isinstance(record, dict) else None


def _text(record: dict[str, Any] | None, key: str) -> str | None:
    """A value as text, as polars reads it; None where there is none."""
    value = None if record is None else record.get(key)
    return value if value is None or isinstance(value, str) else json.dumps(value)
