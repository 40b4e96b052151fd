"""Profiles: other values for params.yaml, its comments kept."""

from pathlib import Path

import pytest
import yaml

from mlorakit.config import TrainConfig
from mlorakit.data.preprocessing import dataset_spec
from mlorakit.profile import apply_profile
from mlorakit.report.results import grid
from mlorakit.task_config import Lt4recGrid, MultitaskConfig, PruneConfig

PARAMS = """\
# All settings.
sources: [movielens]
train:
  seeds: "1"  # one run each
  patience: 3
"""


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    return path


def profile(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_values_are_replaced_and_the_rest_is_kept(params: Path, tmp_path: Path) -> None:
    apply_profile(profile(tmp_path, 'sources: [generated]\ntrain: {seeds: "1,2"}\n'), params)
    assert yaml.safe_load(params.read_text()) == {
        "sources": ["generated"],
        "train": {"seeds": "1,2", "patience": 3},
    }
    assert params.read_text().startswith("# All settings.\n")
    assert "# one run each" in params.read_text()


@pytest.mark.parametrize(
    ("text", "where"),
    [("seeds: 3\n", "mine.yaml sets 'seeds'"), ("train: {seed: 3}\n", "mine.yaml: train sets")],
)
def test_an_unknown_key_is_refused_and_nothing_is_written(
    params: Path, tmp_path: Path, text: str, where: str
) -> None:
    with pytest.raises(KeyError, match=where):
        apply_profile(profile(tmp_path, text), params)
    assert params.read_text() == PARAMS


def test_a_plus_adds_to_a_list(params: Path, tmp_path: Path) -> None:
    apply_profile(profile(tmp_path, "sources+: [generated, movielens]\n"), params)
    assert yaml.safe_load(params.read_text())["sources"] == ["movielens", "generated"]


@pytest.mark.parametrize("text", ["train+: [1]\n", "train: {patience+: [1]}\n", "sources+: 1\n"])
def test_only_lists_are_added_to_lists(params: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyError, match="and both must be lists"):
        apply_profile(profile(tmp_path, text), params)
    assert params.read_text() == PARAMS


@pytest.mark.parametrize(
    ("names", "seeds"),
    [("demo", 2), ("paper", 5), ("paper amazon taobao", 5), ("paper short", 1)],
)
def test_the_profiles_of_the_project_fit_its_parameters(
    project: Path, checkout: Path, names: str, seeds: int
) -> None:
    for name in names.split():
        apply_profile(checkout / "profiles" / f"{name}.yaml", project / "params.yaml")
    params = yaml.safe_load((project / "params.yaml").read_text())
    chosen = grid()
    cell = {"dataset": chosen.datasets[0], "backbone": chosen.backbones[0]}
    assert len(TrainConfig.of(**cell, **params["train"]).seeds) == seeds
    cells = {key: params["lt4rec"].pop(key) for key in ("datasets", "methods")}
    assert Lt4recGrid.of(**cells).datasets
    for config in (PruneConfig, MultitaskConfig):
        known = {k: v for k, v in params["lt4rec"].items() if k in config.__dataclass_fields__}
        assert len(config.of(dataset=cells["datasets"][0], **known).seeds) == seeds
    used = [
        source for name in params["preprocess"]["datasets"] for source in dataset_spec(name).raw
    ]
    used += [params["task_datasets"][name]["source"] for name in cells["datasets"]]
    assert set(params["sources"]) == set(used)
