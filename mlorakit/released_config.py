"""Configs of MLoRA's released code (github.com/gaohaining/MLoRA, config/*/*.json) as ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlorakit.config import ParameterError, TrainConfig
from mlorakit.models import BACKBONES
from mlorakit.models.baselines import BASELINE_SETTINGS, MAMDR_BASELINES
from mlorakit.released_json import check_keys, one_of, read_json
from mlorakit.released_keys import DIMS, FIXED, IGNORED, READ, SAME
from mlorakit.released_split import dataset_of

NO_CAP = 99999
"""The number of epochs with which every released config says that early stopping alone ends it."""

_RANKS = ("model.lora_r", "model.lora_reduce")
STAR = "star"
"""The `backbone` of a config of STAR, which is none of ours but a baseline."""

_STAR_NAMES = ("star", "star_single")
_BY_SIZES = tuple(name for name in MAMDR_BASELINES if name != STAR)


@dataclass(frozen=True)
class ReleasedConfig:
    """A released config in this project's terms.

    Args:
        values: parameters of training by name. Those of `TrainConfig`, and where the config asks
            for it `rank` (of every layer, instead of alpha), `norm` (bn or pn on the MLP's input),
            `two_stage` (True) and `vectors` (of the data set: frozen, trained or none).
        ignored: why, by key with its section.
        notes: where the released code does something else than the config says.
        content: what the file says, by key with its section.
    """

    values: dict[str, Any]
    ignored: dict[str, str]
    notes: tuple[str, ...]
    content: dict[str, Any]

    def train_config(self, **more: Any) -> TrainConfig:
        """The parameters of a cell.

        Args:
            more: take the place of those of the config.

        Raises:
            ParameterError: the config asks for something that training cannot do.
        """
        return TrainConfig.of(**self.values | more)


def read_released_config(path: Path) -> ReleasedConfig:
    """Read a released config, such as config/Movielens/nfm_mlora.json.

    A key that the file lacks leaves our default, which is the paper's setting on MovieLens. The
    protocol and the batch order are not the config's to decide.

    Raises:
        ParameterError: the file is no JSON object of the sections model, train and dataset, has a
            key or a name of which nothing is known, a value that cannot be taken, or a data set
            that params.yaml does not describe; or it is MAMDR's of a baseline other than STAR.
    """
    sections = read_json(path)
    check_keys(path, sections, ("model", "train", "dataset"))
    for name in ("model", "train", "dataset"):
        if not isinstance(sections.get(name), dict):
            raise ParameterError(f"{path} has no section {name!r}.")
    _refuse_baseline(path, sections["model"].get("name"))
    content = {f"{name}.{key}": v for name, part in sections.items() for key, v in part.items()}
    check_keys(path, content, (*READ, *IGNORED))
    for key in ("model.name", "dataset.name", "dataset.domain_split_path"):
        if key not in content:
            raise ParameterError(f"{path} has no {key}.")
    for key, valid in FIXED.items():
        if key in content:
            one_of(path, key, content[key], valid)
    ignored = {key: why for key, why in IGNORED.items() if key in content}
    values: dict[str, Any] = {
        "dataset": dataset_of(path, content["dataset.name"], content["dataset.domain_split_path"])
    }
    values |= _model(path, content, ignored)
    values |= {ours: content[key] for key, ours in SAME.items() if key in content}
    values |= _embeddings(path, content)
    if "train.epoch" in content:
        values["max_epochs"] = 0 if content["train.epoch"] == NO_CAP else content["train.epoch"]
    if "dataset.seed" in content:
        values["seeds"] = [content["dataset.seed"]]
    return ReleasedConfig(values, ignored, _notes(content, values), content)


def _refuse_baseline(path: Path, name: Any) -> None:
    """Refuse MAMDR's configs of baselines that are here, whose keys are their own."""
    if name in _BY_SIZES:
        raise ParameterError(
            f"{path} describes {name}, a baseline that is here without its config, which has keys "
            f"of its own: run notebooks/baselines.ipynb with `-p baseline {name} -p sizes SIZES`, "
            f"where SIZES names MAMDR's config, one of {', '.join(BASELINE_SETTINGS)}."
        )


def _model(path: Path, content: dict[str, Any], ignored: dict[str, str]) -> dict[str, Any]:
    """Backbone, variant, rank, norm and whether training has two stages."""
    name, dense = content["model.name"], content.get("model.dense")
    norm = content.get("model.norm", "none")
    values: dict[str, Any] = {} if norm == "none" else {"norm": norm}
    if name in _STAR_NAMES:
        one_of(path, "model.dense", dense, ["star"])
        one_of(path, "model.norm", norm, ["pn"])
        ignored |= {"model.dense": "of STAR", "model.norm": "of STAR"}
        return {"backbone": STAR, "dropout": 0.0}  # unless the config has one
    if name == "mlora":
        one_of(path, "model.dense", dense, ["mlora", "mlora_freeze"])
        values |= {"backbone": "mlp", "variant": "mlora"}
        if dense == "mlora_freeze":
            values["two_stage"] = True
    else:
        backbone, _, kind = str(name).partition("_")
        variant = {"single": "base", "lora": "mlora", "mlora": "mlora"}.get(kind)
        if backbone not in BACKBONES or variant is None:
            raise ParameterError(
                f"{path}: model.name is {name!r}; known are mlora, {', '.join(_STAR_NAMES)}, and "
                f"{', '.join(BACKBONES)} with _single, _lora or _mlora."
            )
        values |= {"backbone": backbone, "variant": variant}
        if "model.dense" in content:
            ignored["model.dense"] = "the name says which layers the model has"
    return values | _rank(path, content, ignored, values["variant"])


def _rank(
    path: Path, content: dict[str, Any], ignored: dict[str, str], variant: str
) -> dict[str, Any]:
    """`rank` or `alpha`: lora_r is the rank itself from 1, else lora_reduce decides it."""
    rank, alpha = (content.get(key, -1) for key in _RANKS)
    for key, value in zip(_RANKS, (rank, alpha), strict=True):
        if not isinstance(value, int):
            raise ParameterError(f"{path}: {key} is {value!r}, not a whole number.")
    unused = [key for key in _RANKS if key in content]
    if variant == "base":
        ignored |= dict.fromkeys(unused, "a base model has no low-rank term")
        return {}
    if rank >= 1:
        if "model.lora_reduce" in content:
            ignored["model.lora_reduce"] = f"lora_r sets the rank to {rank}"
        return {"rank": rank}
    if alpha < 1:
        raise ParameterError(
            f"{path}: model.lora_r is {rank} and model.lora_reduce is {alpha}; one of them, 1 or "
            "more, decides the rank."
        )
    if "model.lora_r" in content:
        ignored["model.lora_r"] = "below 1: lora_reduce decides the rank"
    return {"alpha": alpha}


def _embeddings(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Size of the embeddings, and what becomes of the data set's own vectors."""
    sizes = {key: content[key] for key in DIMS if key in content}
    if len(set(sizes.values())) > 1:
        given = ", ".join(f"{key} {size}" for key, size in sizes.items())
        raise ParameterError(f"{path}: {given} differ, and all fields have embeddings of one size.")
    values: dict[str, Any] = {}
    if sizes:
        values["embedding_size"] = next(iter(sizes.values()))
    trained = content.get("train.emb_trainable", True)
    if content.get("train.load_pretrain_emb", False):
        values["vectors"] = "trained" if trained else "frozen"
    elif not trained:
        raise ParameterError(
            f"{path}: train.emb_trainable is false without train.load_pretrain_emb, which would "
            "leave embeddings at random."
        )
    elif content["dataset.name"] == "Taobao" and "train.load_pretrain_emb" in content:
        values["vectors"] = "none"  # the other data sets have none anyway
    return values


def _notes(content: dict[str, Any], values: dict[str, Any]) -> tuple[str, ...]:
    """What is known of the released code under this config."""
    notes = []
    name = content["model.name"]
    if values["backbone"] == "xdeepfm":
        notes.append("the released code builds DeepFM under this name")
    if str(name).endswith("_mlora") and content.get("model.dense") == "dense":
        notes.append("the released code trains a plain MLP under this name")
    by_deepctr = name not in ("mlora", *_STAR_NAMES)
    notes += [
        f"the released code does not read {key} for this model"
        for key, ours in (("lora_r", "rank"), ("norm", "norm"))
        if by_deepctr and ours in values
    ]
    if values.get("two_stage"):
        notes.append("the released code fails before its second stage")
    if values.get("vectors") == "frozen":
        notes.append(
            "the released code also freezes the linear weights of users and items, at zero"
        )
    return tuple(notes)
