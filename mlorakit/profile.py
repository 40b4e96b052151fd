"""`python -m mlorakit.profile FILE...`: set the values of profiles in params.yaml, in place."""

import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mlorakit import paths


def apply_profile(profile: Path, params: Path) -> None:
    """Replace values of params.yaml by those of a profile, keeping its comments.

    A key that ends in `+` adds to a list instead: `sources+: [taobao]`.

    Args:
        profile: YAML file with some of the keys of params.yaml.
        params: file to change.

    Raises:
        KeyError: the profile has a key that params.yaml lacks, or adds to what is no list.
    """
    yaml = YAML()
    content = yaml.load(params)
    _merge(content, yaml.load(profile), profile.name)
    yaml.dump(content, params)


def _merge(into: Any, values: Any, where: str) -> None:
    for key, value in values.items():
        name = key.removesuffix("+")
        if name not in into:
            raise KeyError(f"{where} sets {name!r}, which params.yaml does not have.")
        if name != key:
            if not isinstance(into[name], list) or not isinstance(value, list):
                raise KeyError(f"{where} adds to {name!r}, and both must be lists for that.")
            into[name] += [item for item in value if item not in into[name]]
        elif isinstance(value, dict):
            _merge(into[key], value, f"{where}: {key}")
        else:
            into[key] = value


if __name__ == "__main__":
    for file in sys.argv[1:]:
        apply_profile(Path(file), paths.root() / "params.yaml")
