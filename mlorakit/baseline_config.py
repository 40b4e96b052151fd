"""Parameters of the multi-domain baselines' notebook, checked before anything runs."""

from typing import Literal

from pydantic.dataclasses import dataclass

from mlorakit import paths
from mlorakit.config_base import (
    Device,
    Dropout,
    IntList,
    NonNegativeFloat,
    NonNegativeInt,
    NotebookConfig,
    PositiveFloat,
    PositiveInt,
    Vectors,
    dataset_of_params,
    distinct,
    inside_project,
    one_of,
)
from mlorakit.models.baselines import BASELINE_SETTINGS, BASELINES

_OF_DATA_SET = "auto"

_OPTIONS = (
    *("sizes", "vectors", "embedding_size", "dropout"),
    *("batch_size", "learning_rate", "l2", "patience", "max_epochs"),
)
"""Options that a cell's name tells apart, in this order."""


@dataclass(frozen=True)
class BaselineConfig(NotebookConfig):
    """Parameters of baselines.ipynb; see `TrainConfig` for the rest.

    Args:
        baseline: a key of `mlorakit.models.baselines.BASELINES`.
        batch_order: mixed (a batch mixes domains) or alternate (one domain per batch).
        sizes: the data set whose sizes MAMDR's configs are followed in, a key of
            `BASELINE_SETTINGS`; `auto` chooses by the data set.
        embedding_size: K, of the backbones that it is compared with; MAMDR's is 128. Where vectors
            are used, their length stands in its place.
        dropout: probability, or `mamdr` for the baseline's own.
        learning_rate: of Adam, or `mamdr` for the baseline's own.
        l2: on embeddings.
    """

    dataset: str = "movielens"
    baseline: str = "star"
    batch_order: Literal["mixed", "alternate"] = "mixed"
    seeds: IntList = (1,)
    sizes: str = _OF_DATA_SET
    vectors: Vectors = "auto"
    embedding_size: PositiveInt = 8
    dropout: Dropout | Literal["mamdr"] = "mamdr"
    learning_rate: PositiveFloat | Literal["mamdr"] = "mamdr"
    batch_size: PositiveInt = 1024
    l2: NonNegativeFloat = 1e-5
    patience: PositiveInt = 3
    max_epochs: NonNegativeInt = 0
    device: Device = "auto"
    threads: PositiveInt = 2
    into: str = "reports/scratch"

    def __post_init__(self) -> None:
        dataset_of_params(self.dataset)
        one_of("baseline", self.baseline, BASELINES)
        one_of("sizes", self.sizes, (_OF_DATA_SET, *BASELINE_SETTINGS))
        distinct("seeds", self.seeds)
        inside_project("into", self.into)

    @property
    def cell(self) -> str:
        """Name of the cell among those of its data set; see `differences`."""
        params = paths.params()
        usual = params.get("train", {}) | params.get("baselines", {})
        return baseline_cell(self.baseline, self.batch_order) + self.differences(_OPTIONS, usual)


def baseline_cell(baseline: str, batch_order: str) -> str:
    """Name of a baseline's cell of the grid among those of its data set."""
    return f"baseline-{baseline}-{batch_order}"


@dataclass(frozen=True)
class BaselineGrid(NotebookConfig):
    """The baselines of tables and figures, from `baselines` in params.yaml.

    Their data sets and batch orders are those of `grid`: a baseline says something beside the
    backbones of the same data.
    """

    models: tuple[str, ...]

    def __post_init__(self) -> None:
        for value in self.models:
            one_of("baselines.models", value, BASELINES)
