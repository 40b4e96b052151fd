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
            where, what = (
                (f"params.yaml, {keys[0]}", "data set") if depth else ("params.yaml", "section")
            )
            raise DataError(
                f"{where}: there is no {what} {key!r}; it describes {', '.join(section)}."
            )
        section = section[key]
    try:
        return TypeAdapter(kind).validate_python(section)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((*keys, *map(str, first["loc"])))
        raise DataError(f"params.yaml, {where}: {first['msg']}.") from None
