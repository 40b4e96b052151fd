"""Parameters of the notebooks: one frozen dataclass each, checked before anything runs."""

from pydantic.dataclasses import dataclass

from mlorakit.config_base import (
    NotebookConfig,
    ParameterError,
    PositiveInt,
    dataset_of_params,
    inside_project,
    one_of,
)
from mlorakit.models import BACKBONES, VARIANTS
from mlorakit.train_config import TrainConfig, TwoStageGrid

BATCH_ORDERS = ("mixed", "alternate")


@dataclass(frozen=True)
class PreprocessConfig(NotebookConfig):
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
        dataset_of_params(self.dataset)


@dataclass(frozen=True)
class TablesConfig(NotebookConfig):
    """Parameters of tables.ipynb.

    Args:
        into: folder below the project's root.
    """

    into: str = "reports/tables"

    def __post_init__(self) -> None:
        inside_project("into", self.into)


@dataclass(frozen=True)
class ClaimsConfig(NotebookConfig):
    """Parameters of claims.ipynb.

    Args:
        into: folder below the project's root.
        tables: folder of the tables that claims are decided by.
    """

    into: str = "reports/claims"
    tables: str = "reports/tables"

    def __post_init__(self) -> None:
        inside_project("into", self.into)
        inside_project("tables", self.tables)


@dataclass(frozen=True)
class FiguresConfig(NotebookConfig):
    """Parameters of figures.ipynb.

    Args:
        into: folder below the project's root.
        dpi: resolution of the PNGs.
    """

    into: str = "reports/figures"
    dpi: PositiveInt = 150

    def __post_init__(self) -> None:
        inside_project("into", self.into)


@dataclass(frozen=True)
class Grid(NotebookConfig):
    """The cells that tables and figures are made of, `grid` in params.yaml."""

    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    variants: tuple[str, ...]
    batch_orders: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.datasets:
            dataset_of_params(name)
        for key, valid in (
            ("backbones", BACKBONES),
            ("variants", VARIANTS),
            ("batch_orders", BATCH_ORDERS),
        ):
            for value in getattr(self, key):
                one_of(f"grid.{key}", value, valid)


__all__ = [
    "BATCH_ORDERS",
    "ClaimsConfig",
    "FiguresConfig",
    "Grid",
    "ParameterError",
    "PreprocessConfig",
    "TablesConfig",
    "TrainConfig",
    "TwoStageGrid",
]
