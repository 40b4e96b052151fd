"""Split configs of the released code and MAMDR, written by hand in their shape."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlorakit.config import ParameterError
from mlorakit.released_split import ReleasedSplit, read_released_split

SHARES = {"seed": 123, "train_val_test": [0.6, 0.2, 0.2]}
FOLDERS = {"raw_data_path": "raw_data", "processed_data_path": "processed_data"}
RATIO = {"ctr_ratio": 0.5, "random_range": True, "ctr_ratio_range": [0.2, 0.4]}
TAOBAO = (
    FOLDERS
    | SHARES
    | RATIO
    | {"theme_num": 10, "rebuild": False, "cores": 8, "split_policy": "split_by_theme"}
    | {"split_save_path": "split_by_theme_10"}
)


def read(folder: Path, content: dict[str, Any]) -> ReleasedSplit:
    path = folder / "config.json"
    path.write_text(json.dumps(content))
    return read_released_split(path)


def test_themes(tmp_path: Path) -> None:
    found = read(tmp_path, TAOBAO)
    assert found.description == {"source": "taobao", "themes": 10, "ctr_ratio": [0.2, 0.4]}
    assert found.split_seed == 123
    assert set(found.ignored) == {
        "raw_data_path",
        "processed_data_path",
        "rebuild",
        "cores",
        "split_policy",
        "split_save_path",
        "ctr_ratio",
    }
    assert read(tmp_path, TAOBAO | {"theme_num": -1}).description["themes"] == "all"


def test_a_split_by_time_shows_in_its_folder_alone(tmp_path: Path) -> None:
    found = read(tmp_path, TAOBAO | {"split_save_path": "split_by_theme_10_time"})
    assert found.description["split"] == "time"
    assert "split_save_path" not in found.ignored


def test_categories(tmp_path: Path) -> None:
    names = ["Musical Instruments", "Arts, Crafts and Sewing", "Software"]
    content = FOLDERS | SHARES | {"categories": names, "redownload": False, "ctr_ratio": 0.3}
    found = read(tmp_path, content | {"random_range": False, "ctr_ratio_range": [0.2, 0.5]})
    assert found.description == {
        "source": "amazon",
        "categories": "Musical_Instruments,Arts_Crafts_and_Sewing,Software",
        "ctr_ratio": 0.3,
    }
    assert found.ignored["ctr_ratio_range"] == (
        "random_range is false: ctr_ratio holds for all domains"
    )
    assert "ctr_ratio" not in found.ignored


def test_a_ratio_alone_is_that_of_all_domains(tmp_path: Path) -> None:
    found = read(tmp_path, SHARES | {"theme_num": 10, "ctr_ratio": 0.5})
    assert found.description["ctr_ratio"] == 0.5
    assert "ctr_ratio" not in found.ignored
    without = read(tmp_path, SHARES | {"theme_num": 10})
    assert without.description["ctr_ratio"] == [0.2, 0.5]


@pytest.mark.parametrize("field", ["Gender", "Age", "Occupation"])
def test_columns_of_movielens(field: str, tmp_path: Path) -> None:
    found = read(tmp_path, FOLDERS | SHARES | {"domain_field": field})
    assert found.description == {
        "source": "movielens",
        "domain": field.lower(),
        "fields": "user,movie",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_val_test": [0.8, 0.1, 0.1]}, r"train_val_test is \[0.8, 0.1, 0.1\], and only"),
        ({"domain_field": "Age"}, "has domain_field and theme_num of domain_field, categories"),
        ({"themes": 3}, "unknown key themes; known are domain_field"),
    ],
)
def test_what_cannot_be_taken_is_refused(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=message):
        read(tmp_path, TAOBAO | changes)


def test_the_domains_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="has none of domain_field, categories and theme_num"):
        read(tmp_path, SHARES)
    with pytest.raises(ParameterError, match='domain_field is "Zip", and only "Gender", "Age"'):
        read(tmp_path, SHARES | {"domain_field": "Zip"})
    with pytest.raises(ParameterError, match="random_range is false, and there is no ctr_ratio"):
        read(tmp_path, SHARES | {"theme_num": 10, "random_range": False})
