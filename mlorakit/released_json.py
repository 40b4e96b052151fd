"""JSON files of MLoRA's released code: read, with every key either known or refused."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlorakit.config import ParameterError


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds.

    Raises:
        ParameterError: the file cannot be read, or holds anything else.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} cannot be read as JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{path} holds {type(content).__name__}, not a JSON object.")
    return content


def check_keys(path: Path, found: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keys of which nothing is known: leaving them out might change what is run.

    Raises:
        ParameterError: there are some.
    """
    unknown = [key for key in found if key not in known]
    if unknown:
        raise ParameterError(
            f"{path}: unknown key {', '.join(unknown)}; known are {', '.join(known)}."
        )


def one_of(path: Path, key: str, value: Any, valid: Iterable[Any]) -> None:
    """Refuse a value that cannot be taken.

    Raises:
        ParameterError: it is not among the valid ones.
    """
    if value not in valid:
        choices = ", ".join(json.dumps(each) for each in valid)
        raise ParameterError(
            f"{path}: {key} is {json.dumps(value)}, and only {choices} can be taken."
        )
