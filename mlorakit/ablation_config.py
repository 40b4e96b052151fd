"""Parameters of the ablations' notebooks, and the points that params.yaml asks for."""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from mlorakit.config_base import (
    Device,
    Dropout,
    IntList,
    NonNegativeFloat,
    NonNegativeInt,
    NotebookConfig,
    PositiveFloat,
    PositiveInt,
    Widths,
    crossed,
    dataset_of_params,
    inside_project,
    one_of,
)
from mlorakit.models import BACKBONES
from mlorakit.train_config import TrainConfig

SWEEPS = ("alpha", "domains", "widths")
"""What a sweep changes; the rest of a point's settings is that of `train` in params.yaml."""

CONTROL = "none"
"""The alpha of a point without a low-rank term, which is the variant `control`."""


def _crossed(value: Any) -> Any:
    """Widths of "256x128x64", which can stand in a file's name, beside those of "256,128,64"."""
    return value.replace("x", ",") if isinstance(value, str) else value


CrossedWidths = Annotated[Widths, BeforeValidator(_crossed)]
Alpha = PositiveInt | Literal["paper", "none"]


@dataclass(frozen=True)
class CellSettings(NotebookConfig):
    """What ablate.ipynb and new_domain.ipynb have of `TrainConfig`, which describes it."""

    dataset: str = "movielens"
    backbone: str = "mlp"
    protocol: str = "described"
    seeds: IntList = (1,)
    embedding_size: PositiveInt = 8
    dropout: Dropout = 0.5
    batch_size: PositiveInt = 1024
    learning_rate: PositiveFloat = 1e-3
    l2: NonNegativeFloat = 1e-5
    patience: PositiveInt = 3
    max_epochs: NonNegativeInt = 0
    device: Device = "auto"
    threads: PositiveInt = 2

    def _cell(self, **more: Any) -> TrainConfig:
        """The cell with these settings and some more."""
        shared = {field.name: getattr(self, field.name) for field in fields(CellSettings)}
        return TrainConfig.of(**shared, **more)


@dataclass(frozen=True)
class AblationConfig(CellSettings):
    """Parameters of ablate.ipynb, a point of a sweep; see `TrainConfig` for the rest.

    Args:
        sweep: what the point is part of: alpha, domains or widths.
        alpha: temperature coefficient of the ranks, `paper` for the paper's choice (of the
            backbone and the kind of data, so that the generated logs of the sweep of domains all
            have Taobao-10's), or `none` for the control, which has no low-rank term.
        hidden: widths of the MLP.
        into: folder below the project's root that gets the point's metrics.
    """

    sweep: str = "alpha"
    alpha: Alpha = "paper"
    hidden: CrossedWidths = (256, 128, 64)
    into: str = "reports/scratch/ablations"

    def __post_init__(self) -> None:
        one_of("sweep", self.sweep, SWEEPS)
        inside_project("into", self.into)
        _ = self.train  # whose own checks are those of the rest

    @property
    def train(self) -> TrainConfig:
        """The point as a cell: of `mlora`, or of `control` without a low-rank term."""
        none = self.alpha == CONTROL
        return self._cell(
            variant="control" if none else "mlora",
            alpha="paper" if none else self.alpha,
            hidden=self.hidden,
        )

    @property
    def point(self) -> str:
        """Name of the point among those of its sweep and data set."""
        widths = f"-{crossed(self.hidden)}" if self.sweep == "widths" else ""
        return f"{self.backbone}{widths}-{self.alpha}"


@dataclass(frozen=True)
class AblationsConfig(NotebookConfig):
    """Parameters of ablations.ipynb.

    Args:
        tables: folder below the project's root that gets the tables.
        figures: and the one that gets the figures.
        dpi: resolution of the PNGs.
    """

    tables: str = "reports/ablations/tables"
    figures: str = "reports/ablations/figures"
    dpi: PositiveInt = 150

    def __post_init__(self) -> None:
        inside_project("tables", self.tables)
        inside_project("figures", self.figures)


@dataclass(frozen=True)
class Sweep(NotebookConfig):
    """The points of one sweep, below `ablations` in params.yaml: every combination.

    Args:
        datasets, backbones: of the points.
        values: alphas, of the sweep of alpha; `none` is the control.
        hidden: widths, of the sweep of widths.
    """

    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    values: tuple[Alpha, ...] = ("none", "paper")
    hidden: tuple[CrossedWidths, ...] = ()

    def __post_init__(self) -> None:
        for name in self.datasets:
            dataset_of_params(name)
        for name in self.backbones:
            one_of("backbones", name, BACKBONES)
