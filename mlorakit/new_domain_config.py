"""Parameters of new_domain.ipynb, and the cells that params.yaml asks for."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from mlorakit.ablation_config import CellSettings, CrossedWidths
from mlorakit.config_base import (
    NotebookConfig,
    PositiveInt,
    dataset_of_params,
    distinct,
    inside_project,
    one_of,
    split_list,
)
from mlorakit.models import BACKBONES
from mlorakit.train_config import TrainConfig


def _numbers(value: Any) -> Any:
    """Shares of "0.01,1" and of 0.1."""
    return (value,) if isinstance(value, float) else split_list(value)


Share = Annotated[float, Field(gt=0, le=1)]
Shares = Annotated[tuple[Share, ...], BeforeValidator(_numbers), Field(min_length=1)]


@dataclass(frozen=True)
class NewDomainConfig(CellSettings):
    """Parameters of new_domain.ipynb; see `TrainConfig` for the rest.

    Args:
        dataset: a name under `datasets` in params.yaml, of two domains or more.
        held_out: share of the domains that are new, of at least one; a seed draws its own.
        shares: of a new domain's training and validation rows that its adapter is trained with.
        adapter_patience: epochs without a better validation AUC before training of an adapter
            stops; few rows make an epoch of few steps.
        alpha: temperature coefficient of the ranks, or `paper` for the paper's choice for the
            backbone and the kind of data.
        hidden: widths of the MLP.
        into: folder below the project's root that gets the metrics.
    """

    dataset: str = "movielens_age"
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    shares: Shares = (0.01, 0.1, 1.0)
    adapter_patience: PositiveInt = 10
    alpha: PositiveInt | Literal["paper"] = "paper"
    hidden: CrossedWidths = (256, 128, 64)
    into: str = "reports/scratch/new_domain"

    def __post_init__(self) -> None:
        distinct("shares", self.shares)
        inside_project("into", self.into)
        _ = self.train  # whose own checks are those of the rest

    @property
    def train(self) -> TrainConfig:
        """The cell that is trained before the new domains come, and with them anew."""
        return self._cell(variant="mlora", alpha=self.alpha, hidden=self.hidden)


@dataclass(frozen=True)
class NewDomainGrid(NotebookConfig):
    """The cells of the experiment, from `new_domain` in params.yaml: every combination."""

    datasets: tuple[str, ...]
    backbones: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.datasets:
            dataset_of_params(name)
        for name in self.backbones:
            one_of("backbones", name, BACKBONES)
