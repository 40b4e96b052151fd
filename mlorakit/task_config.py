"""Parameters of LT4REC's notebooks: one frozen dataclass each, checked before anything runs."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from mlorakit import paths
from mlorakit.config_base import (
    Device,
    IntList,
    NotebookConfig,
    ParameterError,
    PositiveFloat,
    PositiveInt,
    Widths,
    distinct,
    inside_project,
    one_of,
)
from mlorakit.data.tasks import TASKS
from mlorakit.models import PROTOCOLS

METHODS = ("sparse", "hard", "mmoe", "ple")
"""Ways of training two tasks together: sparse sharing, and those that it is compared with."""

SCRATCH = "reports/scratch/lt4rec"


def _task_dataset_of_params(name: str) -> None:
    one_of("dataset", name, paths.params()["task_datasets"])


@dataclass(frozen=True)
class PreprocessTasksConfig(NotebookConfig):
    """Parameters of preprocess_tasks.ipynb.

    Args:
        dataset: a name under `task_datasets` in params.yaml.
        strict: stop at the first malformed row instead of rejecting and counting it.
        split_seed: of the random split.
    """

    dataset: str = "movielens"
    strict: bool = False
    split_seed: int = 123

    def __post_init__(self) -> None:
        _task_dataset_of_params(self.dataset)


@dataclass(frozen=True)
class TaskTrainConfig(NotebookConfig):
    """What prune.ipynb and multitask.ipynb share.

    Args:
        dataset: a name under `task_datasets` in params.yaml.
        protocol: `described`, or `released`, which departs from the method as the released code
            does; see the notebooks.
        seeds: one run each.
        embedding_size: K.
        hidden: widths of LT4REC's trunk.
        epochs: passes over the training rows; of each round, when pruning.
        batch_size: rows.
        learning_rate: of Adam.
        bootstrap: replicates of the intervals.
        device: cpu, cuda, or auto for cuda where there is one.
        threads: of the CPU; results are the same to the bit with any number.
        into: folder below the project's root for metrics, history, weights and masks; the
            pipeline's own is `reports/lt4rec`, so that a run by hand does not replace its results.
    """

    dataset: str = "movielens"
    protocol: str = "described"
    seeds: IntList = (1, 2, 3)
    embedding_size: PositiveInt = 16
    hidden: Widths = (512, 256, 128)
    epochs: PositiveInt = 1
    batch_size: PositiveInt = 1024
    learning_rate: PositiveFloat = 3e-3
    bootstrap: PositiveInt = 1000
    device: Device = "auto"
    threads: PositiveInt = 2
    into: str = SCRATCH

    def __post_init__(self) -> None:
        _task_dataset_of_params(self.dataset)
        one_of("protocol", self.protocol, PROTOCOLS)
        distinct("seeds", self.seeds)
        inside_project("into", self.into)

    @property
    def cell(self) -> str:
        """Name of the cell among those of its data set."""
        raise NotImplementedError


@dataclass(frozen=True)
class PruneConfig(TaskTrainConfig):
    """Parameters of prune.ipynb; see `TaskTrainConfig` for the rest.

    Args:
        task: `ctr` or `cvr`.
        rounds: how often to prune, n.
        final_rate: share of the trunk's weights left after the last round, s.
        released_layout: folder below the project's root that gets the masks as LT4REC's released
            code writes them too, below `seed-<seed>`; "" for none.
    """

    task: str = "ctr"
    rounds: PositiveInt = 4
    final_rate: Annotated[float, Field(gt=0, le=1)] = 0.2
    released_layout: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("task", self.task, TASKS)
        inside_project("released_layout", self.released_layout)

    @property
    def cell(self) -> str:
        return f"prune-{self.task}"


@dataclass(frozen=True)
class SelectConfig(NotebookConfig):
    """Parameters of select.ipynb.

    Args:
        dataset: a name under `task_datasets` in params.yaml.
        into: folder below the project's root that holds the tickets' metrics and gets the choice.
        released_layout: folder below the project's root that gets the chosen masks as LT4REC's
            released code reads them too, below `seed-<seed>`; "" for none.
    """

    dataset: str = "movielens"
    into: str = SCRATCH
    released_layout: str = ""

    def __post_init__(self) -> None:
        _task_dataset_of_params(self.dataset)
        inside_project("into", self.into)
        inside_project("released_layout", self.released_layout)


@dataclass(frozen=True)
class MultitaskConfig(TaskTrainConfig):
    """Parameters of multitask.ipynb; see `TaskTrainConfig` for the rest.

    Args:
        method: sparse (sparse sharing with a ticket per task), hard (hard sharing: the same network
            without masks), mmoe or ple.
        expert_hidden: widths of an expert of mmoe and ple.
        masks: folder with chosen masks in the layout of LT4REC's released code, which sparse takes
            instead of the tickets in `into`; below `seed-<seed>` where there is such a folder, else
            the same for every seed. "" for none.
    """

    method: str = "sparse"
    expert_hidden: Widths = (256, 128)
    masks: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method", self.method, METHODS)
        if self.masks and self.method != "sparse":
            raise ParameterError(
                f"Parameter masks = {self.masks!r} is for method 'sparse'; {self.method!r} has no "
                "masks."
            )

    @property
    def cell(self) -> str:
        return f"multitask-{self.method}"


@dataclass(frozen=True)
class Lt4recGrid(NotebookConfig):
    """The cells of LT4REC's tables and figures, from `lt4rec` in params.yaml."""

    datasets: tuple[str, ...]
    methods: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.datasets:
            _task_dataset_of_params(name)
        for value in self.methods:
            one_of("lt4rec.methods", value, METHODS)
