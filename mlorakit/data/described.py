"""What params.yaml describes, as checked dataclasses."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from mlorakit import paths
from mlorakit.data.rows import DataError

T = TypeVar("T")


def described(kind: type[T], *keys: str) -> T:
    """A section of params.yaml.

    Args:
        kind: a pydantic dataclass, or another type that pydantic checks.
        keys: where the section is; the second, if there is one, is the name of a data set.

    Raises:
        DataError: it is not there, or not understood.
    """
    section = paths.params()
    for depth, key in enumerate(keys):
        if key not in section:
            what = f"{keys[0]}: there is no data set {key!r}" if depth else f"no section {key!r}"
            raise DataError(f"params.yaml, {what}; it describes {', '.join(section)}.")
        section = section[key]
    try:
        return TypeAdapter(kind).validate_python(section)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((*keys, *map(str, first["loc"])))
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"params.yaml, {where}: {message}.") from None
