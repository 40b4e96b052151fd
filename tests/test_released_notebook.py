"""The parameter `config` of the notebooks: what is taken from a file, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlorakit.baseline_config import BaselineConfig
from mlorakit.config import ParameterError, PreprocessConfig, TrainConfig
from mlorakit.data.amazon import CATEGORIES, GROUPS
from mlorakit.released_notebook import (
    baseline_parameters,
    find_config,
    preprocess_parameters,
    train_parameters,
)

from .conftest import SetParams

pytestmark = pytest.mark.usefixtures("project")

TRAIN = """# Defaults of this notebook
config = ""
dataset = "movielens"
backbone = "deepfm"
alpha = "paper"
rank = 0
hidden = "256,128,64"
seeds = "1"
"""
PREPROCESS = '# Defaults\nconfig = ""\ndataset = "movielens"\nstrict = False\nsplit_seed = 123\n'

MODEL: dict[str, dict[str, Any]] = {
    "model": {
        "name": "mlora",
        "norm": "bn",
        "dense": "mlora_freeze",
        "lora_r": 4,
        "lora_reduce": 16,
        "user_dim": 16,
        "item_dim": 16,
        "hidden_dim": [32, 16],
        "dropout": 0.4,
    },
    "train": {"load_pretrain_emb": False, "loss": "binary_crossentropy", "epoch": 99999},
    "dataset": {
        "name": "Movielens",
        "dataset_path": "dataset/Movielens",
        "domain_split_path": "split_by_age",
        "batch_size": 512,
        "seed": 123,
    },
}
SPLIT: dict[str, Any] = {
    "theme_num": 20,
    "seed": 7,
    "train_val_test": [0.6, 0.2, 0.2],
    "ctr_ratio": 0.5,
    "random_range": True,
    "ctr_ratio_range": [0.2, 0.5],
    "cores": 8,
}


def write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def run(defaults: str, **injected: Any) -> tuple[list[str], dict]:
    """Sources and globals of a notebook whose parameters papermill injects."""
    cells = [defaults]
    if injected:
        lines = "".join(f"{name} = {value!r}\n" for name, value in injected.items())
        cells.append("# Parameters\n" + lines)
    namespace: dict = {}
    for cell in cells:
        exec(cell, namespace)
    return ["", *cells], namespace


def test_without_a_config_the_notebooks_parameters_count() -> None:
    assert train_parameters(*run(TRAIN)) == (TrainConfig.of(), [])
    assert preprocess_parameters(*run(PREPROCESS)) == (PreprocessConfig.of(), [])
    found, lines = train_parameters(*run(TRAIN, backbone="dcn", seeds="1,2"))
    assert (found.backbone, found.seeds, lines) == ("dcn", (1, 2), [])


def test_a_config_takes_the_place_of_the_defaults(project: Path) -> None:
    write(project / "mlora.json", MODEL)
    found, _ = train_parameters(*run(TRAIN, config="mlora.json"))
    assert found == TrainConfig.of(
        dataset="movielens_age",
        backbone="mlp",
        variant="mlora",
        rank=4,
        norm="bn",
        two_stage=True,
        embedding_size=16,
        hidden=(32, 16),
        dropout=0.4,
        batch_size=512,
        seeds=(123,),
    )


def test_every_key_is_accounted_for_once(project: Path) -> None:
    write(project / "mlora.json", MODEL)
    _, lines = train_parameters(*run(TRAIN, config="mlora.json"))
    assert lines[0] == "mlora.json, key by key:"
    keys = [f"{section}.{key}" for section, part in MODEL.items() for key in part]
    assert [line.split(" = ")[0] for line in lines[1 : 1 + len(keys)]] == keys
    said = dict(line.split(": ", 1) for line in lines[1:])
    assert said["model.lora_r = 4"] == "rank = 4"
    assert said["model.name = 'mlora'"] == "backbone = 'mlp', variant = 'mlora'"
    assert said["model.dense = 'mlora_freeze'"] == "variant = 'mlora', two_stage = True"
    assert said["model.item_dim = 16"] == "embedding_size = 16"
    assert said["model.lora_reduce = 16"] == "ignored, lora_r sets the rank to 4"
    assert said["train.loss = 'binary_crossentropy'"] == "as it is here anyway"
    assert said["train.epoch = 99999"] == "max_epochs = 0"
    assert said["dataset.dataset_path = 'dataset/Movielens'"].startswith("ignored, data lie in")
    assert lines[1 + len(keys) :] == ["note: the released code fails before its second stage"]


def test_what_papermill_gives_beside_a_config_wins(project: Path) -> None:
    write(project / "mlora.json", MODEL)
    # The backbone is the notebook's default, and given all the same.
    more: dict = {"config": "mlora.json", "backbone": "deepfm", "seeds": "1,2", "patience": 9}
    found, lines = train_parameters(*run(TRAIN, **more))
    assert (found.backbone, found.seeds, found.patience) == ("deepfm", (1, 2), 9)
    assert (found.dataset, found.batch_size) == ("movielens_age", 512)
    assert lines[-3:] == [
        "given beside the config: backbone = 'deepfm', where it has 'mlp'",
        "given beside the config: patience = 9",
        "given beside the config: seeds = '1,2', where it has [123]",
    ]


def test_a_default_edited_by_hand_wins_too(project: Path) -> None:
    write(project / "mlora.json", MODEL)
    edited = TRAIN.replace('config = ""', 'config = "mlora.json"')
    edited = edited.replace('"256,128,64"', '"64,32"')
    found, lines = train_parameters(*run(edited))
    assert (found.hidden, found.backbone, found.seeds) == ((64, 32), "mlp", (123,))
    assert lines[-1] == "given beside the config: hidden = '64,32', where it has [32, 16]"


def test_a_given_alpha_is_not_overruled_by_the_configs_rank(project: Path) -> None:
    write(project / "mlora.json", MODEL)
    found, lines = train_parameters(*run(TRAIN, config="mlora.json", alpha=8))
    assert (found.alpha, found.rank) == (8, 0)
    assert lines[-1] == "rank = 4 of the config gives way to alpha"
    found, _ = train_parameters(*run(TRAIN, config="mlora.json", alpha=8, rank=2))
    assert found.rank == 2


def test_taobao_without_its_vectors_leaves_them_out(project: Path) -> None:
    content = {**MODEL, "dataset": {"name": "Taobao", "domain_split_path": "split_by_theme_10"}}
    write(project / "mlora.json", content)
    found, lines = train_parameters(*run(TRAIN, config="mlora.json"))
    assert (found.dataset, found.vectors) == ("taobao_10", "none")
    assert "train.load_pretrain_emb = False: vectors = 'none'" in lines


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"config": "mlora.json", "backbon": "mlp"},
            "Unknown parameter backbon; TrainConfig takes",
        ),
        ({"backbon": "mlp"}, "Unknown parameter backbon"),
        ({"config": 7}, "Parameter config = 7 is no path"),
        ({"config": "mlora.json", "variant": "base"}, "two_stage = True is for variant 'mlora'"),
    ],
)
def test_what_cannot_be_done_is_refused(values: dict, message: str, project: Path) -> None:
    write(project / "mlora.json", MODEL)
    with pytest.raises(ParameterError, match=message):
        train_parameters(*run(TRAIN, **values))


def test_a_config_is_found_from_the_callers_folder_and_from_the_root(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "notebooks" / "mine"
    at_root, at_caller = write(project / "a.json", {}), write(below / "b.json", {})
    write(project / "both.json", {"where": "root"})
    both = write(below / "both.json", {"where": "caller"})
    monkeypatch.chdir(below)
    assert find_config("a.json") == at_root
    assert find_config("b.json") == at_caller
    assert find_config("both.json") == both
    assert find_config(str(at_root)) == at_root
    with pytest.raises(ParameterError) as refused:
        find_config("nothing.json")
    assert str(refused.value) == (
        f"Parameter config = 'nothing.json' is no file, neither from {below} nor from the "
        f"project's root {project}; give the path of a JSON file."
    )


def test_a_split_config_names_the_data_set_that_means_the_same(project: Path) -> None:
    write(project / "config_20.json", SPLIT)
    found, lines = preprocess_parameters(*run(PREPROCESS, config="config_20.json", strict=True))
    assert found == PreprocessConfig.of(dataset="taobao_20", split_seed=7, strict=True)
    assert lines == [
        "config_20.json, key by key:",
        "theme_num = 20: describes the data set",
        "seed = 7: split_seed",
        "train_val_test = [0.6, 0.2, 0.2]: describes the data set",
        "ctr_ratio = 0.5: ignored, random_range is true: each domain draws its own",
        "random_range = True: describes the data set",
        "ctr_ratio_range = [0.2, 0.5]: describes the data set",
        "cores = 8: ignored, the rows do not depend on it",
        "the data set is {source: taobao, themes: 20, ctr_ratio: [0.2, 0.5]}",
        "given beside the config: strict = True",
    ]


def test_a_split_config_of_amazon_may_list_what_a_group_names(project: Path) -> None:
    names = ["Musical Instruments", "Office Products", "Patio, Lawn and Garden", "Prime Pantry"]
    content = {"categories": [*names, "Toys and Games", "Video Games"], "seed": 1}
    write(project / "config_6.json", content)
    found, _ = preprocess_parameters(*run(PREPROCESS, config="config_6.json"))
    assert (found.dataset, found.split_seed) == ("amazon_6", 1)
    # In the order of the alphabet, as MAMDR's file has them.
    thirteen = [name.replace("_", " ") for name in sorted(GROUPS["amazon_13"])]
    write(project / "config_13.json", {"categories": thirteen, "seed": 1})
    found, _ = preprocess_parameters(*run(PREPROCESS, config="config_13.json"))
    assert found.dataset == "amazon_13"


@pytest.mark.parametrize(
    ("changes", "dataset"),
    [
        ({"theme_num": 50}, "taobao_50"),
        ({"theme_num": 100}, "taobao_100"),
        ({"theme_num": -1, "split_save_path": "split_by_theme_all"}, "taobao_all"),
        ({"theme_num": 10, "split_save_path": "split_by_theme_10_time"}, "taobao_10_time"),
    ],
)
def test_the_other_split_configs_of_taobao_have_a_data_set(
    changes: dict, dataset: str, project: Path
) -> None:
    write(project / "config.json", SPLIT | changes)
    found, _ = preprocess_parameters(*run(PREPROCESS, config="config.json"))
    assert found.dataset == dataset


def test_the_split_config_of_all_of_amazon_has_one_ratio(project: Path) -> None:
    names = [name.replace("_", " ") for name in CATEGORIES]
    # MAMDR's file, which alone has no random_range.
    write(project / "config_all.json", {"categories": names, "seed": 123, "ctr_ratio": 0.5})
    found, lines = preprocess_parameters(*run(PREPROCESS, config="config_all.json"))
    assert found.dataset == "amazon_all"
    assert "ctr_ratio = 0.5: describes the data set" in lines


def test_a_data_set_that_params_do_not_describe_is_asked_for(
    project: Path, set_params: SetParams
) -> None:
    write(project / "config.json", SPLIT | {"ctr_ratio_range": [0.1, 0.3]})
    with pytest.raises(ParameterError) as refused:
        preprocess_parameters(*run(PREPROCESS, config="config.json"))
    assert str(refused.value).endswith(
        "config.json makes a data set that params.yaml does not describe; add it under datasets, "
        "such as `taobao: {source: taobao, themes: 20, ctr_ratio: [0.1, 0.3]}`."
    )
    described = {"source": "taobao", "themes": 20, "ctr_ratio": "0.1, 0.3"}
    set_params(datasets={"mine": described, "broken": {"source": "nothing"}})
    found, _ = preprocess_parameters(*run(PREPROCESS, config="config.json"))
    assert found.dataset == "mine"


def test_a_data_set_given_beside_a_split_config_wins(project: Path) -> None:
    write(project / "config.json", SPLIT | {"ctr_ratio_range": [0.1, 0.3]})
    found, lines = preprocess_parameters(
        *run(PREPROCESS, config="config.json", dataset="generated")
    )
    assert (found.dataset, found.split_seed) == ("generated", 7)
    assert lines[-1] == "given beside the config: dataset = 'generated'"


def test_a_split_that_cannot_be_described_is_refused(project: Path) -> None:
    write(project / "config.json", SPLIT | {"ctr_ratio_range": [0.5, 0.2]})
    with pytest.raises(ParameterError, match=r"config.json: ctr_ratio runs from 0.5 down to 0.2"):
        preprocess_parameters(*run(PREPROCESS, config="config.json"))


BASELINE = '# Defaults\nconfig = ""\ndataset = "movielens"\nbaseline = "star"\ndropout = "mamdr"\n'
STAR = MODEL | {
    "model": {"name": "star", "norm": "pn", "dense": "star", "hidden_dim": [32, 16]}
    | {"user_dim": 16, "item_dim": 16}
}


def test_a_config_of_star_gives_the_parameters_of_its_baseline(project: Path) -> None:
    write(project / "star.json", STAR)
    found, lines = baseline_parameters(*run(BASELINE, config="star.json", patience=5))
    assert found == BaselineConfig.of(
        dataset="movielens_age",
        baseline="star",
        dropout=0.0,
        embedding_size=16,
        batch_size=512,
        seeds="123",
        patience=5,
    )
    for line in (
        "model.name = 'star': baseline = 'star'",
        "model.norm = 'pn': ignored, of STAR",
        "model.hidden_dim = [32, 16]: ignored, the parameter sizes decides hidden",
        "given beside the config: patience = 5",
    ):
        assert line in lines
    assert baseline_parameters(*run(BASELINE)) == (BaselineConfig.of(), [])


def test_a_config_is_refused_by_the_notebook_that_it_is_not_for(project: Path) -> None:
    write(project / "star.json", STAR)
    write(project / "mlp.json", MODEL)
    with pytest.raises(
        ParameterError, match="STAR, a multi-domain baseline; give it to notebooks/"
    ):
        train_parameters(*run(TRAIN, config="star.json"))
    with pytest.raises(ParameterError, match="describes mlp, which is no baseline; give it to"):
        baseline_parameters(*run(BASELINE, config="mlp.json"))
