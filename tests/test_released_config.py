"""Configs of MLoRA's released code, written by hand in their shape."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlorakit.config import ParameterError, TrainConfig
from mlorakit.released_config import ReleasedConfig, read_released_config

from .conftest import SetParams

CONFIG: dict[str, dict[str, Any]] = {
    "model": {
        "name": "nfm_lora",
        "norm": "none",
        "dense": "dense",
        "lora_r": -1,
        "lora_reduce": 4,
        "auxiliary_net": False,
        "user_dim": 8,
        "item_dim": 8,
        "domain_dim": 8,
        "auxiliary_dim": 128,
        "hidden_dim": [256, 128, 64],
        "dropout": 0.4,
    },
    "train": {
        "train_from_ckp": False,
        "load_pretrain_emb": False,
        "emb_trainable": True,
        "epoch": 99999,
        "learning_rate": 0.002,
        "meta_learning_rate": 0.1,
        "domain_meta_learning_rate": 0.1,
        "merged_method": "plus",
        "sample_num": 5,
        "add_query_domain": True,
        "finetune_every_epoch": False,
        "shuffle_sequence": True,
        "meta_sequence": "random",
        "target_domain": -1,
        "domain_regulation_step": 0,
        "meta_train_step": 0,
        "meta_finetune_step": 0,
        "meta_split": "train-train",
        "meta_split_ratio": 0.8,
        "average_meta_grad": "none",
        "meta_parms": ["emb"],
        "result_save_path": "result",
        "checkpoint_path": "checkpoint",
        "loss": "binary_crossentropy",
        "optimizer": "adam",
        "patience": 5,
        "val_every_step": 1,
        "histogram_freq": 0,
        "shuffle_buff_size": 10000,
    },
    "dataset": {
        "name": "Movielens",
        "dataset_path": "dataset/Movielens",
        "domain_split_path": "split_by_gender",
        "batch_size": 512,
        "shuffle_buffer_size": 10000,
        "num_parallel_reads": 8,
        "seed": 123,
    },
}

MLORA = {"model.name": "mlora", "model.dense": "mlora"}

Read = Callable[..., ReleasedConfig]


@pytest.fixture
def read(project: Path) -> Read:
    """Reads `CONFIG` with changes by section.key; None leaves the key out."""

    def make(changes: dict[str, Any] | None = None) -> ReleasedConfig:
        content = copy.deepcopy(CONFIG)
        for place, value in (changes or {}).items():
            section, _, key = place.partition(".")
            content[section][key] = value
            if value is None:
                del content[section][key]
        path = project / "config.json"
        path.write_text(json.dumps(content))
        return read_released_config(path)

    return make


def test_every_key_is_mapped_or_ignored_with_a_reason(read: Read) -> None:
    found = read()
    assert found.values == {
        "dataset": "movielens",
        "backbone": "nfm",
        "variant": "mlora",
        "alpha": 4,
        "hidden": [256, 128, 64],
        "dropout": 0.4,
        "learning_rate": 0.002,
        "patience": 5,
        "batch_size": 512,
        "embedding_size": 8,
        "max_epochs": 0,
        "seeds": [123],
    }
    used = {
        "model": {"name", "norm", "lora_reduce", "user_dim", "item_dim", "domain_dim"}
        | {"hidden_dim", "dropout"},
        "train": {"load_pretrain_emb", "emb_trainable", "epoch", "learning_rate", "loss"}
        | {"optimizer", "patience"},
        "dataset": {"name", "domain_split_path", "batch_size", "seed"},
    }
    assert set(found.ignored) == {
        f"{section}.{key}"
        for section, part in CONFIG.items()
        for key in part
        if key not in used[section]
    }
    assert all(found.ignored.values())
    assert found.notes == ()


def test_the_values_are_parameters_of_training(read: Read) -> None:
    config = read().train_config()
    assert config == TrainConfig.of(
        backbone="nfm",
        alpha=4,
        dropout=0.4,
        learning_rate=2e-3,
        patience=5,
        batch_size=512,
        seeds=(123,),
    )
    assert read().train_config(seeds="1,2", protocol="released").seeds == (1, 2)


@pytest.mark.parametrize(
    ("name", "backbone", "variant"),
    [
        ("mlp_single", "mlp", "base"),
        ("mlp_lora", "mlp", "mlora"),
        ("xdeepfm_single", "xdeepfm", "base"),
        ("deepfm_lora", "deepfm", "mlora"),
        ("pnn_mlora", "pnn", "mlora"),
    ],
)
def test_names_say_backbone_and_variant(name: str, backbone: str, variant: str, read: Read) -> None:
    found = read({"model.name": name})
    assert (found.values["backbone"], found.values["variant"]) == (backbone, variant)
    assert found.ignored["model.dense"] == "the name says which layers the model has"


def test_the_mlp_with_mlora_may_train_in_two_stages(read: Read) -> None:
    joint = read(MLORA)
    assert (joint.values["backbone"], joint.values["variant"]) == ("mlp", "mlora")
    assert "two_stage" not in joint.values
    assert "model.dense" not in joint.ignored
    frozen = read({"model.name": "mlora", "model.dense": "mlora_freeze"})
    assert frozen.values["two_stage"] is True
    assert "fails before its second stage" in frozen.notes[0]


@pytest.mark.parametrize("name", ["star", "star_single"])
def test_star(name: str, read: Read) -> None:
    changes = {"model.name": name, "model.norm": "pn", "model.dense": "star"}
    found = read(changes | {"model.dropout": None})
    assert (found.values["backbone"], found.values["dropout"]) == ("star", 0)
    assert "variant" not in found.values
    assert "norm" not in found.values
    assert read(changes).values["dropout"] == 0.4
    with pytest.raises(ParameterError, match='norm is "none", and only "pn" can be taken'):
        read(changes | {"model.norm": "none"})


@pytest.mark.parametrize(
    ("changes", "values", "ignored"),
    [
        ({"model.lora_r": 3}, {"rank": 3}, {"model.lora_reduce": "lora_r sets the rank to 3"}),
        ({"model.lora_r": 3, "model.lora_reduce": None}, {"rank": 3}, {}),
        ({"model.lora_r": None, "model.lora_reduce": 16}, {"alpha": 16}, {}),
        (
            {"model.lora_r": 0},
            {"alpha": 4},
            {"model.lora_r": "below 1: lora_reduce decides the rank"},
        ),
        (
            {"model.name": "nfm_single", "model.lora_r": 3},
            {},
            dict.fromkeys(
                ("model.lora_r", "model.lora_reduce"), "a base model has no low-rank term"
            ),
        ),
    ],
)
def test_the_rank_is_given_or_by_alpha(
    changes: dict, values: dict, ignored: dict, read: Read
) -> None:
    found = read(changes)
    names = ("model.lora_r", "model.lora_reduce")
    assert {k: v for k, v in found.values.items() if k in ("rank", "alpha")} == values
    assert {k: v for k, v in found.ignored.items() if k in names} == ignored


@pytest.mark.parametrize("norm", ["bn", "pn"])
def test_a_norm_is_handed_on(norm: str, read: Read) -> None:
    assert read(MLORA | {"model.norm": norm}).values["norm"] == norm
    assert read(MLORA | {"model.norm": norm}).notes == ()
    # The released code leaves it out of the other eight.
    assert read({"model.norm": norm}).notes == (
        "the released code does not read norm for this model",
    )


@pytest.mark.parametrize(
    ("loaded", "trained", "vectors"), [(True, False, "frozen"), (True, True, "trained")]
)
def test_given_vectors(loaded: bool, trained: bool, vectors: str, read: Read) -> None:
    found = read({"train.load_pretrain_emb": loaded, "train.emb_trainable": trained})
    assert found.values["vectors"] == vectors


def test_what_is_known_of_the_released_code_is_said(read: Read) -> None:
    assert read({"model.name": "xdeepfm_lora"}).notes == (
        "the released code builds DeepFM under this name",
    )
    assert read({"model.name": "pnn_mlora"}).notes == (
        "the released code trains a plain MLP under this name",
    )
    vectors = {"train.load_pretrain_emb": True, "train.emb_trainable": False}
    assert "also freezes the linear weights" in read(vectors).notes[0]


def test_a_number_of_epochs_is_a_cap(read: Read) -> None:
    assert read({"train.epoch": 7}).values["max_epochs"] == 7


@pytest.mark.parametrize(
    ("name", "split", "dataset"),
    [
        ("Movielens", "split_by_age", "movielens_age"),
        ("Amazon", "split_by_category_6", "amazon_6"),
        ("Amazon", "split_by_category_13", "amazon_13"),
        ("Amazon", "split_by_category_all", "amazon_all"),
        ("Taobao", "split_by_theme_10", "taobao_10"),
        ("Taobao", "split_by_theme_50", "taobao_50"),
        ("Taobao", "split_by_theme_100", "taobao_100"),
        ("Taobao", "split_by_theme_all", "taobao_all"),
        ("Taobao", "split_by_theme_10_time", "taobao_10_time"),
    ],
)
def test_the_data_set_is_found_by_what_params_say_of_it(
    name: str, split: str, dataset: str, read: Read
) -> None:
    found = read({"dataset.name": name, "dataset.domain_split_path": split})
    assert found.values["dataset"] == dataset


@pytest.mark.parametrize(
    ("split", "described"),
    [
        ("split_by_theme_40", {"source": "taobao", "themes": 40}),
        ("split_by_theme_20_time", {"source": "taobao", "themes": 20, "split": "time"}),
    ],
)
def test_a_data_set_that_params_do_not_describe_is_asked_for(
    split: str, described: dict, read: Read, set_params: SetParams
) -> None:
    changes = {"dataset.name": "Taobao", "dataset.domain_split_path": split}
    with pytest.raises(ParameterError, match=f"trains on Taobao, {split}, a data set that params"):
        read(changes)
    set_params(datasets={"mine": described})
    assert read(changes).values["dataset"] == "mine"


def test_the_line_that_is_asked_for_is_yaml_under_a_free_name(
    read: Read, set_params: SetParams
) -> None:
    set_params(datasets={"movielens_age": {"source": "generated_log"}})
    with pytest.raises(ParameterError) as refused:
        read({"dataset.domain_split_path": "split_by_age"})
    line = str(refused.value).split("`")[1]
    assert line == "my_movielens: {source: movielens, domain: age, fields: 'user,movie'}"
    set_params(datasets=yaml.safe_load(line))
    found = read({"dataset.domain_split_path": "split_by_age"})
    assert found.values["dataset"] == "my_movielens"


@pytest.mark.parametrize(
    "described",
    [
        {"source": "taobao", "themes": 40, "split": "random"},
        {"source": "taobao", "themes": "40", "ctr_ratio": "0.2, 0.5"},
    ],
)
def test_a_data_set_is_found_however_it_is_written(
    described: dict, read: Read, set_params: SetParams
) -> None:
    set_params(datasets={"broken": {"source": "nothing"}, "mine": described})
    changes = {"dataset.name": "Taobao", "dataset.domain_split_path": "split_by_theme_40"}
    assert read(changes).values["dataset"] == "mine"


def test_fields_may_be_written_with_a_blank(read: Read, set_params: SetParams) -> None:
    spaced = {"source": "movielens", "domain": "gender", "fields": "user, movie"}
    set_params(datasets={"movielens": spaced})
    assert read().values["dataset"] == "movielens"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.name": "nfm_meta"}, "model.name is 'nfm_meta'; known are mlora, star"),
        ({"model.name": "fm_lora"}, "model.name is 'fm_lora'"),
        ({"model.name": None}, "has no model.name"),
        ({"model.cell": 1}, "unknown key model.cell; known are model.name"),
        ({"model.norm": "ln"}, 'model.norm is "ln", and only "none", "bn", "pn" can be taken'),
        (MLORA | {"model.dense": "mlora_skip"}, 'model.dense is "mlora_skip", and only "mlora"'),
        ({"model.auxiliary_net": True}, "model.auxiliary_net is true, and only false can be"),
        ({"model.lora_reduce": -1}, "model.lora_r is -1 and model.lora_reduce is -1; one of"),
        ({"model.lora_r": "4"}, "model.lora_r is '4', not a whole number"),
        ({"model.item_dim": 16}, "model.item_dim 16, model.domain_dim 8 differ, and all fields"),
        ({"train.loss": "mse"}, 'train.loss is "mse", and only "binary_crossentropy" can'),
        ({"train.optimizer": "sgd"}, 'train.optimizer is "sgd"'),
        ({"train.train_from_ckp": True}, "train.train_from_ckp is true"),
        ({"train.emb_trainable": False}, "without train.load_pretrain_emb, which would leave"),
        ({"dataset.name": "Criteo"}, 'dataset.name is "Criteo", and only "Movielens", "Amazon"'),
        ({"dataset.domain_split_path": "split_by_zip"}, "'split_by_zip' is none that Movielens"),
        (
            {"dataset.name": "Amazon", "dataset.domain_split_path": "split_by_category_5"},
            "'split_by_category_5' is none that Amazon has in the released code",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused(changes: dict, message: str, read: Read) -> None:
    with pytest.raises(ParameterError, match=message):
        read(changes)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("mmoe", {"num_experts": 5, "gate_dnn_hidden_units": [64]}),
        ("ple", {"num_levels": 1, "shared_expert_num": 2, "specific_expert_num": 5}),
        ("shared_bottom", {}),
    ],
)
def test_a_baseline_of_mamdr_is_refused_with_the_way_to_run_it(
    name: str, keys: dict, read: Read
) -> None:
    own = {f"model.{key}": value for key, value in {"tower_hidden_dim": [64], **keys}.items()}
    with pytest.raises(ParameterError) as refused:
        read({"model.name": name} | own)
    message = str(refused.value)
    assert f"config.json describes {name}, a baseline that is here without its config" in message
    assert f"`-p baseline {name} -p sizes SIZES`" in message
    assert message.endswith("one of amazon, taobao_10, taobao_20, taobao_30.")


def test_what_training_cannot_do_is_refused(read: Read) -> None:
    with pytest.raises(ParameterError, match=r"Parameter dropout = 1\.5 cannot be used"):
        read({"model.dropout": 1.5}).train_config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "holds list, not a JSON object"),
        ('{"model": {}, "train": {}}', "has no section 'dataset'"),
        ('{"model": 1, "train": {}, "dataset": {}}', "has no section 'model'"),
        ('{"models": {}}', "unknown key models; known are model, train, dataset"),
    ],
)
def test_another_file_is_refused(text: str, message: str, project: Path) -> None:
    path = project / "config.json"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        read_released_config(path)


def test_a_missing_file_is_refused(project: Path) -> None:
    with pytest.raises(ParameterError, match=r"none.json cannot be read as JSON"):
        read_released_config(project / "none.json")
