"""`python -m mlorakit.profile FILE`: set the values of a profile in params.yaml, in place."""

import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mlorakit import paths


def apply_profile(profile: Path, params: Path) -> None:
    """Replace values of params.yaml by those of a profile, keeping its comments.

    Args:
        profile: YAML file with some of the keys of params.yaml.
        params: file to change.

    Raises:
        KeyError: the profile has a key that params.yaml lacks.
    """
    yaml = YAML()
    content = yaml.load(params)
    _merge(content, yaml.load(profile), profile.name)
    yaml.dump(content, params)


def _merge(into: Any, values: Any, where: str) -> None:
    for key, value in values.items():
        if key not in into:
            raise KeyError(f"{where} sets {key!r}, which params.yaml does not have.")
        if isinstance(value, dict):
            _merge(into[key], value, f"{where}: {key}")
        else:
            into[key] = value


if __name__ == "__main__":
    apply_profile(Path(sys.argv[1]), paths.root() / "params.yaml")
