"""Descriptions of data sets: what is understood, and how the rest is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from mlorakit import paths
from mlorakit.data.amazon import CATEGORIES, GROUPS
from mlorakit.data.dataset_specs import AmazonSpec, FileSpec, TaobaoSpec
from mlorakit.data.preprocessing import dataset_spec
from mlorakit.data.row_sources import ROW_SOURCES
from mlorakit.data.rows import DataError

from ..conftest import SetParams

FILE = {"source": "file", "path": "data/raw/mine.csv", "label": "y", "domain": "shop"}


@pytest.fixture
def spec_of(set_params: SetParams) -> Callable[[dict], Any]:
    def read(described: dict) -> Any:
        set_params(datasets={"mine": described})
        return dataset_spec("mine")

    return read


@pytest.mark.usefixtures("project")
def test_every_data_set_of_the_project_is_understood() -> None:
    names = yaml.safe_load((paths.root() / "params.yaml").read_text())["datasets"]
    assert {dataset_spec(name).source for name in names} == set(ROW_SOURCES) - {"file"}


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        ("amazon_6", GROUPS["amazon_6"]),
        ("all", CATEGORIES),
        ("Gift_Cards,Software", ("Gift_Cards", "Software")),
        (["Patio Lawn and Garden", "Arts, Crafts and Sewing"], (
            "Patio_Lawn_and_Garden", "Arts_Crafts_and_Sewing",
        )),
    ],
)  # fmt: skip
def test_categories_may_be_a_group_or_names(
    spec_of: Callable[[dict], AmazonSpec], categories: Any, expected: tuple[str, ...]
) -> None:
    spec = spec_of({"source": "amazon", "categories": categories})
    assert spec.categories == expected
    assert spec.raw == tuple(f"amazon_{name}" for name in expected)
    assert spec.ctr_ratio == (0.2, 0.5)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.3, (0.3,)), ("0.2,0.4", (0.2, 0.4)), ([0.1, 1], (0.1, 1.0))]
)
def test_a_ratio_may_be_one_number_or_two(
    spec_of: Callable[[dict], TaobaoSpec], ratio: Any, expected: tuple[float, ...]
) -> None:
    assert spec_of({"source": "taobao", "ctr_ratio": ratio}).ctr_ratio == expected


def test_a_files_columns_become_fields(spec_of: Callable[[dict], FileSpec]) -> None:
    more = {"user": "uid", "item": "sku", "fields": "age, label", "several": {"tags": 3}}
    spec = spec_of(FILE | more | {"split": "time", "split_column": "when"})
    assert spec.singles == {
        "user": "uid", "item": "sku", "age": "age", "label_id": "label", "shop": "shop",
    }  # fmt: skip
    assert spec.columns == ("y", "shop", "uid", "sku", "age", "label", "tags", "when")
    assert spec_of(FILE | {"domain": "domain"}).singles == {"domain_id": "domain"}
    assert spec_of(FILE | {"fields": "shop,age"}).singles == {"shop": "shop", "age": "age"}
    assert spec_of(FILE | {"user": "shop"}).singles == {"user": "shop"}


AMAZON, TAOBAO = {"source": "amazon"}, {"source": "taobao"}


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({}, "datasets.mine: source None is not one of movielens, generated, amazon"),
        ({"source": "netflix"}, "datasets.mine: source 'netflix' is not one of movielens"),
        (AMAZON, "categories names none; give amazon_6, amazon_13, all, or names"),
        (
            AMAZON | {"categories": "Shoes"},
            "category 'Shoes' is not one of amazon_6, amazon_13, all",
        ),
        (AMAZON | {"categories": "Software,Software"}, "categories Software, Software name a"),
        ({"source": "generated_amazon", "categories": "Books"}, "leave categories out"),
        (AMAZON | {"categories": "amazon_6", "ctr_ratio": "0.5,0.2"}, "from 0.5 down to 0.2"),
        (TAOBAO | {"ctr_ratio": 0}, "datasets.mine.ctr_ratio.0: "),
        (TAOBAO | {"ctr_ratio": "0.1,0.2,0.3"}, "datasets.mine.ctr_ratio: "),
        (TAOBAO | {"themes": 0}, "datasets.mine.themes"),
        (TAOBAO | {"split": "place"}, "datasets.mine.split: "),
        (FILE | {"split": "time"}, "split 'time' needs a split_column"),
        (FILE | {"split_column": "when"}, "split 'random' takes no split_column"),
        (FILE | {"fields": "age,age"}, "fields and several age, age name a column twice"),
        (FILE | {"user": "uid", "fields": "uid"}, "uid, uid name a column twice"),
        (FILE | {"fields": "y"}, "column 'y' is what is asked for and cannot be a field"),
        (FILE | {"several": {"shop": 2}}, "domain 'shop' cannot have several values"),
        (FILE | {"several": {"tags": 0}}, "datasets.mine.several.tags: "),
        (FILE | {"colour": "red"}, "datasets.mine.colour: "),
    ],
)
def test_a_description_that_is_not_understood_is_refused_in_one_sentence(
    spec_of: Callable[[dict], Any], described: dict, message: str
) -> None:
    with pytest.raises(DataError) as refused:
        spec_of(described)
    text = str(refused.value)
    assert text.startswith("params.yaml, datasets.mine")
    assert message in text
    assert "\n" not in text
