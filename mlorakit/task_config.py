"""Parameters of LT4REC's notebooks: one frozen dataclass each, checked before anything runs."""

from pydantic.dataclasses import dataclass

from mlorakit import paths
from mlorakit.config import _Config, _one_of


def _task_dataset_of_params(name: str) -> None:
    _one_of("dataset", name, paths.params()["task_datasets"])


@dataclass(frozen=True)
class PreprocessTasksConfig(_Config):
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
