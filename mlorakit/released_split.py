"""Split configs of MLoRA's released code and of MAMDR, whose data it uses."""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mlorakit import paths
from mlorakit.config import ParameterError
from mlorakit.data.dataset_specs import AmazonSpec, DatasetSpec
from mlorakit.data.row_sources import ROW_SOURCES
from mlorakit.released_json import check_keys, one_of, read_json

_MOVIELENS_FIELDS = "user,movie"
_SHARES = [0.6, 0.2, 0.2]
_RANGE = (0.2, 0.5)  # of every config of both but MAMDR's of all of Amazon, which draws no ratios
_RATIO_OF_ALL = 0.5

_SPLITS = {
    "Movielens": r"split_by_(?P<column>gender|age|occupation)",
    "Amazon": r"split_by_category_(?P<number>6|13|all)",
    "Taobao": r"split_by_theme_(?P<number>\d+|all)(?P<time>_time)?",
}
_EXAMPLES = {
    "Movielens": "split_by_gender",
    "Amazon": "split_by_category_6",
    "Taobao": "split_by_theme_10",
}

_IGNORED = {
    "raw_data_path": "raw files lie in data/raw",
    "processed_data_path": "processed data lie in data/processed",
    "split_policy": "decided by what makes the domains",
    "rebuild": "DVC knows what has changed",
    "redownload": "DVC knows what has changed",
    "cores": "the rows do not depend on it",
}
_USED = (
    "domain_field",
    "categories",
    "theme_num",
    "split_save_path",
    "ctr_ratio",
    "random_range",
    "ctr_ratio_range",
    "train_val_test",
    "seed",
)


@dataclass(frozen=True)
class ReleasedSplit:
    """A split config in this project's terms.

    Args:
        description: of the data set, as it stands under `datasets` in params.yaml.
        split_seed: for `preprocess.split_seed`; None if the config has none.
        ignored: why, by key.
        content: what the file says.
    """

    description: dict[str, Any]
    split_seed: int | None
    ignored: dict[str, str]
    content: dict[str, Any]


def read_released_split(path: Path) -> ReleasedSplit:
    """Read a split config, such as dataset/Taobao/config_10.json.

    Raises:
        ParameterError: the file is no JSON object, has a key of which nothing is known, a value
            that cannot be taken, or not one of domain_field, categories and theme_num.
    """
    content = read_json(path)
    check_keys(path, content, (*_USED, *_IGNORED))
    one_of(path, "train_val_test", content.get("train_val_test", _SHARES), [_SHARES])
    ignored = {key: why for key, why in _IGNORED.items() if key in content}
    makers = [key for key in ("domain_field", "categories", "theme_num") if key in content]
    if len(makers) != 1:
        raise ParameterError(
            f"{path} has {' and '.join(makers) or 'none'} of domain_field, categories and "
            "theme_num; one of them says what the domains are."
        )
    by_time = str(content.get("split_save_path", "")).endswith("_time")
    if makers == ["domain_field"]:
        fields = ("Gender", "Age", "Occupation")
        one_of(path, "domain_field", content["domain_field"], fields)
        description = movielens(content["domain_field"].lower())
    elif makers == ["categories"]:
        description = {
            "source": "amazon",
            "categories": ",".join(map(_plain, content["categories"])),
        }
    else:
        number = content["theme_num"]
        description = taobao("all" if number == -1 else number, by_time)
    if "split_save_path" in content and "split" not in description:
        ignored["split_save_path"] = "processed data lie in data/processed"
    if makers != ["domain_field"]:
        description["ctr_ratio"] = _ctr_ratio(path, content, ignored)
    return ReleasedSplit(description, content.get("seed"), ignored, content)


def _ctr_ratio(path: Path, content: dict[str, Any], ignored: dict[str, str]) -> Any:
    """Positives per negative: one number, or two that each domain draws its own between."""
    # As in MAMDR's code, a file with a ratio and without `random_range` means that ratio.
    if content.get("random_range", "ctr_ratio" not in content):
        if "ctr_ratio" in content:
            ignored["ctr_ratio"] = "random_range is true: each domain draws its own"
        return list(content.get("ctr_ratio_range", _RANGE))
    if "ctr_ratio_range" in content:
        ignored["ctr_ratio_range"] = "random_range is false: ctr_ratio holds for all domains"
    if "ctr_ratio" not in content:
        raise ParameterError(f"{path}: random_range is false, and there is no ctr_ratio.")
    return content["ctr_ratio"]


def _plain(category: str) -> str:
    """The name of a category's file."""
    return category.replace(", ", "_").replace(" ", "_")


def movielens(domain: str) -> dict[str, Any]:
    """The description of MovieLens by a column of its users."""
    return {"source": "movielens", "domain": domain, "fields": _MOVIELENS_FIELDS}


def amazon(number: str) -> dict[str, Any]:
    """The description of Amazon-6, Amazon-13 or all categories, which have one ratio in MAMDR."""
    if number == "all":
        return {"source": "amazon", "categories": "all", "ctr_ratio": _RATIO_OF_ALL}
    return {"source": "amazon", "categories": f"amazon_{number}"}


def taobao(themes: int | str, by_time: bool) -> dict[str, Any]:
    """The description of the first themes of Taobao."""
    return {"source": "taobao", "themes": themes} | ({"split": "time"} if by_time else {})


def dataset_of(path: Path, name: str, split: str) -> str:
    """The data set in params.yaml that a config of a model trains on.

    Args:
        path: of the config, for messages.
        name: its `name` under dataset.
        split: its `domain_split_path`.

    Raises:
        ParameterError: nothing is known of the two, or params.yaml describes no such data set.
    """
    one_of(path, "dataset.name", name, tuple(_SPLITS))
    found = re.fullmatch(_SPLITS[name], split)
    if found is None:
        raise ParameterError(
            f"{path}: dataset.domain_split_path {split!r} is none that {name} has in the released "
            f"code, such as {_EXAMPLES[name]!r}."
        )
    if name == "Movielens":
        wanted = movielens(found["column"])
    elif name == "Amazon":
        wanted = amazon(found["number"])
    else:
        themes = "all" if found["number"] == "all" else int(found["number"])
        wanted = taobao(themes, found["time"] is not None)
    return dataset_like(path, wanted, f"trains on {name}, {split}, a data set")


def dataset_like(path: Path, description: dict[str, Any], saying: str) -> str:
    """The data set in params.yaml that means the same as a description.

    Args:
        path: of the config, for messages.
        description: in the terms of params.yaml.
        saying: what the config does with "a data set", for messages.

    Raises:
        ParameterError: there is none, or the description cannot be used.
    """
    try:
        wanted = _meaning(description)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ParameterError(f"{path}: {message}.") from None
    datasets = paths.params()["datasets"]
    for name, described in datasets.items():
        try:
            if _meaning(described) == wanted:
                return name
        except (ValidationError, KeyError):
            continue  # which its own use will say
    free = description["source"]
    while free in datasets:
        free = f"my_{free}"
    raise ParameterError(
        f"{path} {saying} that params.yaml does not describe; add it under datasets, such as "
        f"`{free}: {as_yaml(description)}`."
    )


def as_yaml(description: dict[str, Any]) -> str:
    """A description in one line, as it may stand in params.yaml."""
    text = yaml.safe_dump(description, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.strip()


def _meaning(description: dict[str, Any]) -> DatasetSpec:
    """A description as it is understood, whose categories stand in one order: MAMDR's file of 13
    has another than `amazon_13`.
    """
    spec: DatasetSpec = TypeAdapter(ROW_SOURCES[description["source"]][0]).validate_python(
        description
    )
    if isinstance(spec, AmazonSpec):
        return replace(spec, categories=tuple(sorted(spec.categories)))
    return spec
