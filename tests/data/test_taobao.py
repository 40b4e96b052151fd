"""Taobao's clicks: themes in the order of the log, rows without vectors, broken vectors."""

from pathlib import Path

import numpy as np
import pytest

from mlorakit.data.rows import DataError
from mlorakit.data.taobao import VECTOR_SIZE, Clicks, read_clicks

HEADER = "user_id,item_id,theme_id,leaf_cate_id,cate_level1_id,reach_time"
LOG = [
    "1,11,900,5,6,20181207000300",
    "2,12,30,5,6,20181207000100",
    "1,12,900,5,6,20181207000200",
    "2,11,4,5,6,20181207000400",
    "1,12,30,5,6,20181207000500",
]


def vector(first: float = 0.5) -> str:
    return " ".join(str(x) for x in [first, *range(1, VECTOR_SIZE)])


def write(
    folder: Path,
    log: list[str] | None = None,
    users: list[str] | None = None,
    items: list[str] | None = None,
) -> Path:
    users = [f"{n},{vector(n)}" for n in (1, 2, 3)] if users is None else users
    items = [f"{n},{vector(n)}" for n in (11, 12)] if items is None else items
    content = {
        "theme_click_log.csv": [HEADER, *(LOG if log is None else log)],
        "user_embedding.csv": ["user_id,emb", *users],
        "item_embedding.csv": ["item_id,emb", *items],
    }
    for name, lines in content.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def read(
    folder: Path, themes: int | None = None, strict: bool = True, timed: bool = False
) -> Clicks:
    return read_clicks(folder, strict, themes=themes, timed=timed)


def test_themes_come_as_the_log_names_them_first(tmp_path: Path) -> None:
    clicks = read(write(tmp_path))
    assert {name: frame.rows() for name, frame in clicks.themes.items()} == {
        "900": [("1", "11"), ("1", "12")],
        "30": [("2", "12"), ("1", "12")],
        "4": [("2", "11")],
    }
    assert list(clicks.themes) == ["900", "30", "4"]
    assert list(read(tmp_path, themes=2).themes) == ["900", "30"]
    assert [(a.file, a.read, a.kept) for a in clicks.accounts] == [
        ("theme_click_log.csv", 5, 5),
        ("user_embedding.csv", 2, 2),  # user 3 clicked nothing
        ("item_embedding.csv", 2, 2),
    ]


def test_the_columns_are_found_by_name(tmp_path: Path) -> None:
    write(tmp_path)
    rows = [",".join(reversed(row.split(","))) for row in (HEADER, *LOG)]
    (tmp_path / "theme_click_log.csv").write_text("\r\n".join(rows) + "\r\n")
    assert read(tmp_path, timed=True).themes["4"].rows() == [("2", "11", 20181207000400)]


def test_vectors_are_those_of_the_files(tmp_path: Path) -> None:
    vectors = read(write(tmp_path)).vectors
    assert vectors["item"]["value"].to_list() == ["11", "12"]
    array = vectors["item"]["vector"].to_numpy()
    assert array.shape == (2, VECTOR_SIZE)
    assert array.dtype == np.float32
    assert array[:, :3].tolist() == [[11, 1, 2], [12, 1, 2]]


def test_clicks_without_vectors_are_counted_and_their_theme_keeps_its_place(tmp_path: Path) -> None:
    log = ["7,11,30,5,6,1", *LOG, "1,99,4,5,6,1", "7,99,55,5,6,1"]
    clicks = read(write(tmp_path, log=log))
    assert list(clicks.themes) == ["30", "900", "4"]  # 55 is left without a row
    assert clicks.accounts[0].rejected == {"user has no vector": 2, "item has no vector": 1}


def test_a_click_counts_once_in_a_theme(tmp_path: Path) -> None:
    clicks = read(write(tmp_path, log=[*LOG, "1,11,900,5,6,9", "1,11,4,5,6,9"]), timed=True)
    assert clicks.themes["900"].rows()[0] == ("1", "11", 20181207000300)
    assert clicks.accounts[0].rejected == {"user clicked the item in the theme before": 1}
    assert clicks.accounts[0].kept == 6


BROKEN = {
    "short": "1 2 3",
    "long": vector() + " 1",
    "text": vector().replace("127", "x"),
    "not finite": vector().replace("127", "nan"),
    "empty": "",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_vector_is_told_or_counted(tmp_path: Path, kind: str) -> None:
    write(tmp_path, users=[f"1,{vector()}", f"2,{BROKEN[kind]}"])
    reason = "vector is not 128 numbers separated by spaces"
    with pytest.raises(DataError, match=rf"user_embedding\.csv, line 3: {reason}"):
        read(tmp_path)
    clicks = read(tmp_path, strict=False)
    assert clicks.accounts[1].rejected == {reason: 1}
    assert clicks.accounts[0].rejected == {"user has no vector": 2}
    assert list(clicks.themes) == ["900", "30"]


def test_an_id_with_two_vectors_has_the_first(tmp_path: Path) -> None:
    write(tmp_path, users=[f"1,{vector(1)}", f"2,{vector(2)}", f"1,{vector(3)}"])
    clicks = read(tmp_path, strict=False)
    assert clicks.vectors["user"]["vector"].to_numpy()[:, 0].tolist() == [1, 2]
    assert clicks.accounts[1].rejected == {"id occurred before": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,11,900,5,6", "not 6 columns separated by ','"),
        (",11,900,5,6,1", "user_id is empty"),
        ("1,11,,5,6,1", "theme_id is empty"),
        ("1,11,900,5,6,noon", "reach_time is not a whole number"),
    ],
)
def test_malformed_rows_are_told_or_counted(tmp_path: Path, row: str, reason: str) -> None:
    write(tmp_path, log=[*LOG, row])
    with pytest.raises(DataError, match=rf"theme_click_log\.csv, line 7: {reason}"):
        read(tmp_path, timed=True)
    assert read(tmp_path, strict=False, timed=True).accounts[0].rejected == {reason: 1}


def test_the_time_matters_only_where_it_is_needed(tmp_path: Path) -> None:
    frame = read(write(tmp_path, log=[*LOG, "1,11,4,5,6,noon"])).themes["4"]
    assert frame.columns == ["user", "item"]
    assert frame.height == 2


@pytest.mark.parametrize(("themes", "found"), [(4, 3), (None, 0)])
def test_too_few_themes_are_refused(tmp_path: Path, themes: int | None, found: int) -> None:
    write(tmp_path, users=None if found else [])
    with pytest.raises(DataError, match=f"has {found} themes with a click.* asked for"):
        read(tmp_path, themes=themes)


def test_a_missing_file_or_column_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "theme_click_log.csv").write_text("user_id,item_id\n1,11\n")
    with pytest.raises(DataError, match="has no column theme_id; its header names"):
        read(tmp_path)
    (tmp_path / "user_embedding.csv").write_text("user_id\n1\n")
    (tmp_path / "theme_click_log.csv").write_text("\n".join([HEADER, *LOG]))
    with pytest.raises(DataError, match=r"user_embedding\.csv has not the two columns"):
        read(tmp_path)
    (tmp_path / "user_embedding.csv").unlink()
    with pytest.raises(DataError, match=r"user_embedding\.csv is not there; see `python -m"):
        read(tmp_path)
