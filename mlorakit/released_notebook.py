"""The parameter `config` of the notebooks: a config of MLoRA's released code.

Its values take the place of the notebook's defaults; parameters that papermill injects, and
defaults that were edited by hand, take the place of both.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mlorakit import paths
from mlorakit.baseline_config import BaselineConfig
from mlorakit.config import ParameterError, PreprocessConfig, TrainConfig
from mlorakit.config_base import notebook_parameters
from mlorakit.released_config import STAR, ReleasedConfig, read_released_config
from mlorakit.released_keys import DECIDES
from mlorakit.released_split import as_yaml, dataset_like, read_released_split

Lines = list[str]


def train_parameters(cells: list[str], namespace: dict[str, Any]) -> tuple[TrainConfig, Lines]:
    """The parameters of train.ipynb, and what became of a released config's keys, a line each.

    Args:
        cells: sources of the executed cells, IPython's `In`.
        namespace: the notebook's globals.

    Raises:
        ParameterError: an unknown parameter or value; the file of `config` is missing, or says
            something that cannot be done.
    """
    path, defaults, given = _parameters(TrainConfig, cells, namespace)
    if path is None:
        return TrainConfig.of(**defaults | given), []
    released = read_released_config(path)
    if released.values["backbone"] == STAR:
        raise ParameterError(
            f"{path} describes STAR, a multi-domain baseline; give it to notebooks/baselines.ipynb."
        )
    values, lines = dict(released.values), _account(path, released, given)
    if "alpha" in given and "rank" not in given and "rank" in values:
        # A rank would leave alpha without effect.
        lines.append(f"rank = {values.pop('rank')!r} of the config gives way to alpha")
    return TrainConfig.of(**defaults | values | given), lines


def baseline_parameters(
    cells: list[str], namespace: dict[str, Any]
) -> tuple[BaselineConfig, Lines]:
    """The parameters of baselines.ipynb, and what became of a released config's keys, a line each.

    Of the baselines the released code has a config of STAR alone.

    Args:
        cells: sources of the executed cells, IPython's `In`.
        namespace: the notebook's globals.

    Raises:
        ParameterError: see `train_parameters`; or the config is none of STAR.
    """
    path, defaults, given = _parameters(BaselineConfig, cells, namespace)
    if path is None:
        return BaselineConfig.of(**defaults | given), []
    released = read_released_config(path)
    backbone = released.values["backbone"]
    if backbone != STAR:
        raise ParameterError(
            f"{path} describes {backbone}, which is no baseline; give it to notebooks/train.ipynb."
        )
    released.values["baseline"] = released.values.pop("backbone")
    taken = {field.name for field in fields(BaselineConfig)}
    ignored = {
        key: f"the parameter sizes decides {parameter}"
        for parameter in released.values.keys() - taken
        for key in DECIDES[parameter]
    }
    values = {name: value for name, value in released.values.items() if name in taken}
    released = replace(released, values=values, ignored=released.ignored | ignored)
    return BaselineConfig.of(**defaults | values | given), _account(path, released, given)


def preprocess_parameters(
    cells: list[str], namespace: dict[str, Any]
) -> tuple[PreprocessConfig, Lines]:
    """The parameters of preprocess.ipynb, and what became of a split config's keys, a line each.

    The data set is the one that params.yaml describes as the config does.

    Args:
        cells: sources of the executed cells, IPython's `In`.
        namespace: the notebook's globals.

    Raises:
        ParameterError: see `train_parameters`; or params.yaml has no such data set.
    """
    path, defaults, given = _parameters(PreprocessConfig, cells, namespace)
    if path is None:
        return PreprocessConfig.of(**defaults | given), []
    released = read_released_split(path)
    values: dict[str, Any] = {}
    if "dataset" not in given:
        values["dataset"] = dataset_like(path, released.description, "makes a data set")
    if released.split_seed is not None:
        values["split_seed"] = released.split_seed
    lines = [f"{path.name}, key by key:"]
    for key, value in released.content.items():
        if key in released.ignored:
            lines.append(f"{key} = {value!r}: ignored, {released.ignored[key]}")
        elif key == "seed":
            lines.append(f"seed = {value!r}: split_seed")
        else:
            lines.append(f"{key} = {value!r}: describes the data set")
    lines.append(f"the data set is {as_yaml(released.description)}")
    return PreprocessConfig.of(**defaults | values | given), lines + _overridden(values, given)


def find_config(name: str) -> Path:
    """The file of a config, given from the current folder or from the project's root.

    Raises:
        ParameterError: it is in neither.
    """
    wanted = Path(name).expanduser()
    for folder in (Path.cwd(), paths.root()):
        if (folder / wanted).is_file():
            return folder / wanted
    raise ParameterError(
        f"Parameter config = {name!r} is no file, neither from {Path.cwd()} nor from the project's "
        f"root {paths.root()}; give the path of a JSON file."
    )


def _parameters(
    kind: type[TrainConfig] | type[BaselineConfig] | type[PreprocessConfig],
    cells: list[str],
    namespace: dict[str, Any],
) -> tuple[Path | None, dict[str, Any], dict[str, Any]]:
    """The config's file if there is one, the notebook's defaults, and what was set by hand."""
    defaults, injected = notebook_parameters(cells, namespace)
    name = (defaults | injected).get("config", "")
    if not isinstance(name, str):
        raise ParameterError(f"Parameter config = {name!r} is no path; give that of a JSON file.")
    defaults.pop("config", None)
    injected.pop("config", None)
    edited = {
        key: value
        for key, value in defaults.items()
        if getattr(kind.of(**{key: value}), key) != getattr(kind.of(), key)
    }
    return find_config(name) if name else None, defaults, edited | injected


def _account(path: Path, released: ReleasedConfig, given: dict[str, Any]) -> Lines:
    """What became of a config's keys, where it says other than the code does, and what was given
    beside it.
    """
    lines = [f"{path.name}, key by key:", *_keys_of(released)]
    lines += [f"note: {note}" for note in released.notes]
    return lines + _overridden(released.values, given)


def _keys_of(released: ReleasedConfig) -> Lines:
    """A line per key of the file."""
    lines = []
    for key, value in released.content.items():
        if key in released.ignored:
            lines.append(f"{key} = {value!r}: ignored, {released.ignored[key]}")
            continue
        decides = [
            f"{parameter} = {released.values[parameter]!r}"
            for parameter, keys in DECIDES.items()
            if key in keys and parameter in released.values
        ]
        lines.append(f"{key} = {value!r}: {', '.join(decides) or 'as it is here anyway'}")
    return lines


def _overridden(values: dict[str, Any], given: dict[str, Any]) -> Lines:
    """A line per parameter that was set beside the config."""
    return [
        f"given beside the config: {name} = {value!r}"
        + (f", where it has {values[name]!r}" if name in values else "")
        for name, value in sorted(given.items())
    ]
