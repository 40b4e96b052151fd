"""Parameters of the notebooks: one frozen dataclass each, checked before anything runs."""

import ast
import dataclasses
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.dataclasses import dataclass

from mlorakit import paths
from mlorakit.models import BACKBONES, PAPER_ALPHA, PROTOCOLS, VARIANTS

BATCH_ORDERS = ("mixed", "alternate")

_DEFAULTS_MARK = "# Defaults"
_INJECTED_MARK = "# Parameters"  # what papermill writes above the parameters it injects


class ParameterError(ValueError):
    """A parameter that a notebook does not have, or a value that it cannot take."""


def _split_list(value: Any) -> Any:
    """Lists of "1,2,3" and of 1: a list given to papermill on a command line arrives as text."""
    if isinstance(value, str):
        return [part for part in value.strip("[]() ").replace(" ", ",").split(",") if part]
    return [value] if isinstance(value, int) else value


IntList = Annotated[tuple[int, ...], BeforeValidator(_split_list), Field(min_length=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]
Widths = Annotated[tuple[PositiveInt, ...], BeforeValidator(_split_list), Field(min_length=1)]


def _one_of(name: str, value: str, valid: Any) -> None:
    if value not in valid:
        raise ParameterError(
            f"Parameter {name} = {value!r} is not known; it is one of {', '.join(valid)}."
        )


def _inside_project(name: str, folder: str) -> None:
    if not (paths.root() / folder).resolve().is_relative_to(paths.root().resolve()):
        raise ParameterError(
            f"Parameter {name} = {folder!r} is no folder below the project's root."
        )


def _dataset_of_params(name: str) -> None:
    datasets = paths.params()["datasets"]
    if name not in datasets:
        raise ParameterError(
            f"Parameter dataset = {name!r} is not known; params.yaml describes "
            f"{', '.join(datasets)}."
        )


class _Config:
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
        """The config from a notebook's parameters.

        Papermill only warns of a parameter that a notebook does not have, so names are read from
        the source of the cells that ran: the latest one marked `# Defaults`, and the latest
        that papermill marks `# Parameters` after it.

        Args:
            cells: sources of the executed cells, IPython's `In`.
            namespace: the notebook's globals.

        Raises:
            ParameterError: see `of`.
        """
        starts = [i for i, cell in enumerate(cells) if cell.startswith(_DEFAULTS_MARK)]
        if not starts:
            raise ParameterError(
                f"No executed cell starts with {_DEFAULTS_MARK!r}; run the cell of parameters, and "
                "leave its first line as it is."
            )
        later = [cell for cell in cells[starts[-1] + 1 :] if cell.startswith(_INJECTED_MARK)]
        recent = [cells[starts[-1]], *later[-1:]]
        names = {
            target.id
            for cell in recent
            for node in ast.parse(cell).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        return cls.of(**{name: namespace[name] for name in sorted(names)})


@dataclass(frozen=True)
class PreprocessConfig(_Config):
    """Parameters of preprocess.ipynb.

    Args:
        dataset: a name under `datasets` in params.yaml.
        strict: stop at the first malformed row instead of rejecting and counting it.
        split_seed: of the random split.
    """

    dataset: str = "movielens"
    strict: bool = False
    split_seed: int = 123

    def __post_init__(self) -> None:
        _dataset_of_params(self.dataset)


@dataclass(frozen=True)
class TrainConfig(_Config):
    """Parameters of train.ipynb; the defaults are MLoRA's settings on MovieLens.

    Args:
        dataset: a name under `datasets` in params.yaml.
        backbone: one of the nine.
        variant: base, control (MLoRA's layer without its low-rank term) or mlora.
        batch_order: mixed (a batch mixes domains), alternate (one domain per batch, one domain
            after the other, as released), or protocol (mixed if described, alternate if released).
        protocol: described or released; see `mlorakit.models.build_model`.
        seeds: one run each.
        alpha: temperature coefficient of the ranks, or `paper` for the paper's choice.
        embedding_size: K.
        hidden: widths of the MLP.
        dropout: probability.
        batch_size: rows.
        learning_rate: of Adam.
        l2: on embeddings, linear weights and cross layers.
        patience: epochs without a better validation AUC before training stops.
        max_epochs: 0 for no cap.
        device: cpu, cuda, or auto for cuda where there is one.
        threads: of the CPU; results are the same to the bit only with the same number.
        into: folder below the project's root for metrics, history, weights and predictions; the
            pipeline's own is `reports`, so that a run by hand does not replace its results.
    """

    dataset: str = "movielens"
    backbone: str = "deepfm"
    variant: str = "mlora"
    batch_order: Literal["mixed", "alternate", "protocol"] = "protocol"
    protocol: str = "described"
    seeds: IntList = (1,)
    alpha: PositiveInt | Literal["paper"] = "paper"
    embedding_size: PositiveInt = 8
    hidden: Widths = (256, 128, 64)
    dropout: Annotated[float, Field(ge=0, le=0.99)] = 0.5
    batch_size: PositiveInt = 1024
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    l2: Annotated[float, Field(ge=0)] = 1e-5
    patience: PositiveInt = 3
    max_epochs: NonNegativeInt = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = 2
    into: str = "reports/scratch"

    def __post_init__(self) -> None:
        _dataset_of_params(self.dataset)
        _one_of("backbone", self.backbone, BACKBONES)
        _one_of("variant", self.variant, VARIANTS)
        _one_of("protocol", self.protocol, PROTOCOLS)
        if len(set(self.seeds)) < len(self.seeds):
            raise ParameterError(f"Parameter seeds = {self.seeds} names a seed twice.")
        _inside_project("into", self.into)

    @property
    def rank_alpha(self) -> int:
        """Alpha as a number."""
        return PAPER_ALPHA[self.backbone] if self.alpha == "paper" else self.alpha

    @property
    def order(self) -> str:
        """batch_order with `protocol` resolved."""
        if self.batch_order != "protocol":
            return self.batch_order
        return "alternate" if self.protocol == "released" else "mixed"

    @property
    def cell(self) -> str:
        """Name of the cell among those of its data set."""
        return f"{self.backbone}-{self.variant}-{self.order}"


@dataclass(frozen=True)
class TablesConfig(_Config):
    """Parameters of tables.ipynb.

    Args:
        into: folder below the project's root.
    """

    into: str = "reports/tables"

    def __post_init__(self) -> None:
        _inside_project("into", self.into)


@dataclass(frozen=True)
class ClaimsConfig(_Config):
    """Parameters of claims.ipynb.

    Args:
        into: folder below the project's root.
        tables: folder of the tables that claims are decided by.
    """

    into: str = "reports/claims"
    tables: str = "reports/tables"

    def __post_init__(self) -> None:
        _inside_project("into", self.into)
        _inside_project("tables", self.tables)


@dataclass(frozen=True)
class FiguresConfig(_Config):
    """Parameters of figures.ipynb.

    Args:
        into: folder below the project's root.
        dpi: resolution of the PNGs.
    """

    into: str = "reports/figures"
    dpi: PositiveInt = 150

    def __post_init__(self) -> None:
        _inside_project("into", self.into)


@dataclass(frozen=True)
class Grid(_Config):
    """The cells that tables and figures are made of, `grid` in params.yaml."""

    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    variants: tuple[str, ...]
    batch_orders: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.datasets:
            _dataset_of_params(name)
        for key, valid in (
            ("backbones", BACKBONES),
            ("variants", VARIANTS),
            ("batch_orders", BATCH_ORDERS),
        ):
            for value in getattr(self, key):
                _one_of(f"grid.{key}", value, valid)
