"""Amazon's reviews: sources by category, lines read in blocks, what is rejected and counted."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mlorakit.data import amazon
from mlorakit.data.amazon import AMAZON_SOURCES, CATEGORIES, GROUPS, read_reviews
from mlorakit.data.rows import DataError


def review(user: object, item: object, **more: object) -> str:
    return json.dumps({"overall": 5.0, "reviewerID": user, "asin": item, **more})


GOOD = [
    review("A", "x"),
    review("B", "x", reviewText='caf\xe9 "reviewerID": "Z"'),
    review("A", "y"),
]
BAD = {
    "{bad": "not a JSON object",
    "[1]": "not a JSON object",
    "": "not a JSON object",
    '{"asin": "x"}': "reviewerID is missing",
    review("", "x"): "reviewerID is missing",
    review("A", None): "asin is missing",
}


def write(folder: Path, lines: list[str], *, last: str = "\n") -> Path:
    path = folder / "Gift_Cards_5.json.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + last).encode()))
    return path


def test_the_groups_are_those_of_the_papers() -> None:
    assert len(GROUPS["amazon_6"]) == 6
    assert len(set(GROUPS["amazon_13"])) == 13
    assert set(GROUPS["amazon_6"]) < set(GROUPS["amazon_13"]) < set(CATEGORIES)


def test_every_category_is_a_source_of_one_file() -> None:
    assert len(AMAZON_SOURCES) == len(CATEGORIES) == 29
    (file,) = AMAZON_SOURCES["amazon_Video_Games"].files
    assert file.mirror == "amazon/Video_Games_5.json.gz"
    assert file.urls[0].endswith("amazon_v2/categoryFilesSmall/Video_Games_5.json.gz")
    assert file.is_recorded
    (known,) = AMAZON_SOURCES["amazon_Gift_Cards"].files
    assert known.sha256 is not None
    assert not known.is_recorded


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
@pytest.mark.parametrize("last", ["\n", ""])
def test_users_and_items_by_hand_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, last: str
) -> None:
    monkeypatch.setattr(amazon, "_BLOCK", block)
    frame, account = read_reviews(write(tmp_path, GOOD, last=last), strict=True)
    assert frame.rows() == [("A", "x"), ("B", "x"), ("A", "y")]
    assert frame.columns == ["user", "item"]
    assert (account.file, account.read, account.kept, account.rejected) == (
        "Gift_Cards_5.json.gz", 3, 3, {},
    )  # fmt: skip


def test_repeated_reviews_are_counted_and_no_fault(tmp_path: Path) -> None:
    lines = [*GOOD, review("A", "x", overall=1.0), review("A", "x")]
    frame, account = read_reviews(write(tmp_path, lines), strict=True)
    assert frame.height == 3
    assert (account.read, account.kept) == (5, 3)
    assert account.rejected == {"user reviewed the item before": 2}


@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_malformed_lines_are_counted_by_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(amazon, "_BLOCK", block)
    frame, account = read_reviews(write(tmp_path, [*GOOD, *BAD, review("C", "x")]), strict=False)
    assert frame["user"].to_list() == ["A", "B", "A", "C"]
    assert account.read == account.kept + sum(account.rejected.values()) == 10
    assert account.rejected == {
        "not a JSON object": 3,
        "reviewerID is missing": 2,
        "asin is missing": 1,
    }
    assert account.examples[0] == "Gift_Cards_5.json.gz, line 4: not a JSON object: '{bad'"
    assert [example.split(":")[0] for example in account.examples] == [
        f"Gift_Cards_5.json.gz, line {n}" for n in range(4, 9)
    ]


@pytest.mark.parametrize("line", BAD)
def test_strict_stops_at_each_of_them(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=f"line 4: {BAD[line]}"):
        read_reviews(write(tmp_path, [*GOOD, line]), strict=True)


def test_numbers_are_texts_on_both_paths(tmp_path: Path) -> None:
    clean, _ = read_reviews(write(tmp_path, [review(7, 3.5)]), strict=True)
    mended, _ = read_reviews(write(tmp_path, [review(7, 3.5), "{"]), strict=False)
    assert clean.rows() == mended.rows() == [("7", "3.5")]


def test_bytes_that_are_no_text_spoil_their_line_alone(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b'{"asin": "\xff"}\n'))
    frame, account = read_reviews(path, strict=False)
    assert frame.height == 3
    assert account.rejected == {"not a JSON object": 1}


@pytest.mark.parametrize("lines", [[], ["{"]])
def test_a_category_without_a_usable_review_is_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(DataError, match=r"No review of .*Gift_Cards_5\.json\.gz is usable: "):
        read_reviews(write(tmp_path, lines, last="" if not lines else "\n"), strict=False)


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress("\n".join(GOOD).encode(), mtime=0)[:-4]]
)
def test_a_broken_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "Gift_Cards_5.json.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is no whole gzip file.*; remove it and fetch it again"):
        read_reviews(path, strict=False)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("category", "read", "kept", "users", "items"),
    [
        ("AMAZON_FASHION", 3176, 3042, 406, 31),
        ("All_Beauty", 5269, 4092, 991, 85),
        ("Appliances", 2277, 183, 47, 48),  # the numbers that SOURCES.md states
        ("Gift_Cards", 2972, 2965, 458, 148),
        ("Magazine_Subscriptions", 2375, 2302, 348, 157),
    ],
)
def test_the_real_files(
    real_file: Callable[[str], Path], category: str, read: int, kept: int, users: int, items: int
) -> None:
    frame, account = read_reviews(real_file(f"amazon/{category}_5.json.gz"), strict=True)
    assert (account.read, account.kept) == (read, kept)
    assert account.rejected == {"user reviewed the item before": read - kept}
    assert (frame["user"].n_unique(), frame["item"].n_unique()) == (users, items)


@pytest.mark.realdata
def test_the_real_files_share_few_users(real_file: Callable[[str], Path]) -> None:
    names = ("AMAZON_FASHION", "All_Beauty", "Appliances", "Gift_Cards", "Magazine_Subscriptions")
    files = [real_file(f"amazon/{name}_5.json.gz") for name in names]
    categories = Counter(
        user for path in files for user in read_reviews(path, strict=True)[0]["user"].unique()
    )
    assert len(categories) == 2244
    assert sum(count > 1 for count in categories.values()) == 5
