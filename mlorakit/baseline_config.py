"""Parameters of the multi-domain baselines' notebook, checked before anything runs."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mlorakit.config_base import (
    IntList,
    NonNegativeInt,
    NotebookConfig,
    ParameterError,
    PositiveInt,
    Vectors,
    dataset_of_params,
    inside_project,
    one_of,
)
from mlorakit.models.baselines import BASELINE_SETTINGS, BASELINES

_OF_DATA_SET = "auto"


@dataclass(frozen=True)
class BaselineConfig(NotebookConfig):
    """Parameters of baselines.ipynb.

    Args:
        dataset: a name under `datasets` in params.yaml.
        baseline: a key of `mlorakit.models.baselines.BASELINES`.
        batch_order: mixed (a batch mixes domains) or alternate (one domain per batch).
        seeds: one run each.
        sizes: the data set whose sizes MAMDR's configs are followed in, a key of
            `BASELINE_SETTINGS`; `auto` chooses by the data set.
        vectors: what becomes of the vectors that a data set gives, see `TrainConfig`.
        embedding_size: K, of the backbones that it is compared with; MAMDR's is 128. Where vectors
            are used, their length stands in its place.
        dropout: probability, or `mamdr` for the baseline's own.
        learning_rate: of Adam, or `mamdr` for the baseline's own.
        batch_size: rows.
        l2: on embeddings.
        patience: epochs without a better validation AUC before training stops.
        max_epochs: 0 for no cap.
        device: cpu, cuda, or auto for cuda where there is one.
        threads: of the CPU; results are the same to the bit with any number.
        into: folder below the project's root for metrics, history, weights and predictions; the
            pipeline's own is `reports`, so that a run by hand does not replace its results.
    """

    dataset: str = "movielens"
    baseline: str = "star"
    batch_order: Literal["mixed", "alternate"] = "mixed"
    seeds: IntList = (1,)
    sizes: str = _OF_DATA_SET
    vectors: Vectors = "auto"
    embedding_size: PositiveInt = 8
    dropout: Annotated[float, Field(ge=0, le=0.99)] | Literal["mamdr"] = "mamdr"
    learning_rate: Annotated[float, Field(gt=0)] | Literal["mamdr"] = "mamdr"
    batch_size: PositiveInt = 1024
    l2: Annotated[float, Field(ge=0)] = 1e-5
    patience: PositiveInt = 3
    max_epochs: NonNegativeInt = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = 2
    into: str = "reports/scratch"

    def __post_init__(self) -> None:
        dataset_of_params(self.dataset)
        one_of("baseline", self.baseline, BASELINES)
        one_of("sizes", self.sizes, (_OF_DATA_SET, *BASELINE_SETTINGS))
        if len(set(self.seeds)) < len(self.seeds):
            raise ParameterError(f"Parameter seeds = {self.seeds} names a seed twice.")
        inside_project("into", self.into)

    @property
    def cell(self) -> str:
        """Name of the cell among those of its data set; see `differences`."""
        return baseline_cell(self.baseline, self.batch_order) + self.differences("vectors")


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
