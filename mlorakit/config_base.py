"""What the parameters of all notebooks share: types of values, checks, errors in one sentence."""

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError

from mlorakit import paths

_DEFAULTS_MARK = "# Defaults"
_INJECTED_MARK = "# Parameters"  # what papermill writes above the parameters it injects


class ParameterError(ValueError):
    """A parameter that a notebook does not have, or a value that it cannot take."""


def split_list(value: Any) -> Any:
    """Lists of "1,2,3" and of 1: a list given to papermill on a command line arrives as text."""
    if isinstance(value, str):
        return [part for part in value.strip("[]() ").replace(" ", ",").split(",") if part]
    return [value] if isinstance(value, int) else value


IntList = Annotated[tuple[int, ...], BeforeValidator(split_list), Field(min_length=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Dropout = Annotated[float, Field(ge=0, le=0.99)]
Widths = Annotated[tuple[PositiveInt, ...], BeforeValidator(split_list), Field(min_length=1)]
Vectors = Literal["auto", "none", "frozen", "trained"]
Device = Literal["auto", "cpu", "cuda"]


def one_of(name: str, value: str, valid: Any) -> None:
    """Check that a parameter has one of the valid values."""
    if value not in valid:
        raise ParameterError(
            f"Parameter {name} = {value!r} is not known; it is one of {', '.join(valid)}."
        )


def distinct(name: str, values: tuple[Any, ...]) -> None:
    """Check that a parameter, whose name is a plural, names nothing twice."""
    if len(set(values)) < len(values):
        raise ParameterError(f"Parameter {name} = {values} names a {name.removesuffix('s')} twice.")


def inside_project(name: str, folder: str) -> None:
    """Check that a parameter names a folder below the project's root."""
    if not (paths.root() / folder).resolve().is_relative_to(paths.root().resolve()):
        raise ParameterError(
            f"Parameter {name} = {folder!r} is no folder below the project's root."
        )


def dataset_of_params(name: str) -> None:
    """Check that params.yaml describes a data set of this name."""
    datasets = paths.params()["datasets"]
    if name not in datasets:
        raise ParameterError(
            f"Parameter dataset = {name!r} is not known; params.yaml describes "
            f"{', '.join(datasets)}."
        )


class NotebookConfig:
    """What the configs share: construction with one-sentence errors."""

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The config with these values.

        Raises:
            ParameterError: an unknown name or a value of the wrong type, with the valid ones.
        """
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        unknown = [name for name in values if name not in names]
        if unknown:
            raise ParameterError(
                f"Unknown parameter {', '.join(unknown)}; {cls.__name__} takes {', '.join(names)}."
            )
        try:
            return cls(**values)
        except TypeError as error:  # a value that has no default is missing
            raise ParameterError(f"{cls.__name__}: {error}.") from None
        except ValidationError as error:
            first = error.errors()[0]
            if (
                first["type"] == "value_error"
            ):  # raised by a __post_init__ below, a sentence already
                raise ParameterError(str(first["ctx"]["error"])) from None
            raise ParameterError(
                f"Parameter {first['loc'][0]} = {values[str(first['loc'][0])]!r} cannot be used: "
                f"{first['msg']}. {cls.__name__} takes {', '.join(names)}."
            ) from None

    @classmethod
    def from_notebook(cls, cells: list[str], namespace: dict[str, Any]) -> Self:
        """The config from a notebook's parameters, see `notebook_parameters`.

        Args:
            cells: sources of the executed cells, IPython's `In`.
            namespace: the notebook's globals.

        Raises:
            ParameterError: see `of`.
        """
        defaults, injected = notebook_parameters(cells, namespace)
        return cls.of(**defaults | injected)

    def differences(self, options: Iterable[str], usual: Mapping[str, Any]) -> str:
        """How a cell's name ends: with the options in which it differs from the pipeline's cells.

        Neither their results nor those of a run with other options are then replaced.

        Args:
            options: those that count, in their order.
            usual: the pipeline's values, from params.yaml; where it has none, the default stands.

        Returns:
            Such as "-hidden_64x32-dropout_0.2"; empty for a cell of the pipeline.
        """
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        theirs = {name: usual.get(name, getattr(type(self), name)) for name in options}
        pipelines = self.of(**values | theirs)
        ending = ""
        for option in theirs:
            value, called = values[option], _SHORT.get(option, option)
            if value != getattr(pipelines, option):
                ending += f"-{called}" if value is True else f"-{called}_{_in_a_name(value)}"
        return ending


_SHORT = {
    "embedding_size": "embedding",
    "batch_size": "batch",
    "learning_rate": "lr",
    "max_epochs": "epochs",
}
"""What a cell's name calls an option, where not by its name."""


def crossed(hidden: tuple[int, ...]) -> str:
    """Widths as "256x128x64"."""
    return "x".join(map(str, hidden))


def _in_a_name(value: Any) -> str:
    return crossed(value) if isinstance(value, tuple) else str(value)


def notebook_parameters(
    cells: list[str], namespace: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a notebook's cell of defaults sets, and what papermill set after it.

    Papermill only warns of a parameter that a notebook does not have, so names are read from the
    source of the cells that ran: the latest one marked `# Defaults`, and the latest that papermill
    marks `# Parameters` after it.

    Args:
        cells: sources of the executed cells, IPython's `In`.
        namespace: the notebook's globals.

    Returns:
        Values by name, of both cells; a name that both set has papermill's value in both.

    Raises:
        ParameterError: no executed cell is marked `# Defaults`.
    """
    starts = [i for i, cell in enumerate(cells) if cell.startswith(_DEFAULTS_MARK)]
    if not starts:
        raise ParameterError(
            f"No executed cell starts with {_DEFAULTS_MARK!r}; run the cell of parameters, and "
            "leave its first line as it is."
        )
    later = [cell for cell in cells[starts[-1] + 1 :] if cell.startswith(_INJECTED_MARK)]
    injected = _assigned(later[-1]) if later else []
    defaults = _assigned(cells[starts[-1]])
    return {n: namespace[n] for n in defaults}, {n: namespace[n] for n in injected}


def _assigned(cell: str) -> list[str]:
    """Names that a cell assigns to."""
    return sorted(
        {
            target.id
            for node in ast.parse(cell).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
    )
