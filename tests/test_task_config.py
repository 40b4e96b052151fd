"""Parameters of LT4REC's notebooks: what is taken, and how the rest is refused."""

import pytest

from mlorakit.config import ParameterError
from mlorakit.task_config import (
    Lt4recGrid,
    MultitaskConfig,
    PreprocessTasksConfig,
    PruneConfig,
    SelectConfig,
)

pytestmark = pytest.mark.usefixtures("project")


def refusal(config: type, **values: object) -> str:
    """The message that the values are refused with."""
    with pytest.raises(ParameterError) as refused:
        config.of(**values)  # type: ignore[attr-defined]
    return str(refused.value)


def test_the_defaults_are_the_papers_network_and_rounds() -> None:
    config = PruneConfig.of()
    assert (config.embedding_size, config.hidden) == (16, (512, 256, 128))
    assert (config.rounds, config.final_rate, config.protocol) == (4, 0.2, "described")


def test_a_run_by_hand_does_not_write_where_the_pipeline_does() -> None:
    for config in (PruneConfig, SelectConfig, MultitaskConfig):
        assert config.of().into == "reports/scratch/lt4rec"


def test_values_may_come_as_text() -> None:
    config = PruneConfig.of(rounds="4", final_rate="0.2", seeds="4,5", hidden="8,4", epochs="2")
    assert (config.rounds, config.final_rate, config.seeds) == (4, 0.2, (4, 5))
    assert (config.hidden, config.epochs) == ((8, 4), 2)


@pytest.mark.parametrize(
    ("config", "name", "value", "valid"),
    [
        (PruneConfig, "task", "click", ["ctr", "cvr"]),
        (MultitaskConfig, "method", "cgc", ["sparse", "hard", "mmoe", "ple"]),
        (PruneConfig, "protocol", "mine", ["described", "released"]),
        (PruneConfig, "dataset", "movielens_age", ["movielens", "video_logs", "tencent"]),
        (SelectConfig, "dataset", "movielenz", ["movielens", "census"]),
        (PreprocessTasksConfig, "dataset", "movielenz", ["movielens", "census"]),
        (MultitaskConfig, "device", "tpu", ["auto", "cpu", "cuda"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    config: type, name: str, value: str, valid: list[str]
) -> None:
    message = refusal(config, **{name: value})
    assert message.startswith(f"Parameter {name} = {value!r} ")
    assert all(known in message for known in valid)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rounds", 0),
        ("final_rate", 0),
        ("final_rate", 1.5),
        ("epochs", "many"),
        ("bootstrap", 0),
        ("learning_rate", -1),
        ("seeds", ()),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_by_name(name: str, value: object) -> None:
    message = refusal(PruneConfig, **{name: value})
    assert message.startswith(f"Parameter {name} = {value!r} cannot be used")


def test_a_parameter_of_another_notebook_is_refused() -> None:
    assert refusal(MultitaskConfig, rounds=4).startswith("Unknown parameter rounds; Multitask")
    assert refusal(PruneConfig, method="hard").startswith("Unknown parameter method; Prune")


def test_a_seed_named_twice_is_refused() -> None:
    assert "names a seed twice" in refusal(MultitaskConfig, seeds="1,2,1")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (PruneConfig, "into"),
        (PruneConfig, "released_layout"),
        (SelectConfig, "into"),
        (SelectConfig, "released_layout"),
        (MultitaskConfig, "into"),
    ],
)
def test_nothing_is_written_outside_the_project(config: type, name: str) -> None:
    assert "is no folder below the project's root" in refusal(config, **{name: "../elsewhere"})


def test_masks_are_for_sparse_sharing() -> None:
    assert MultitaskConfig.of(masks="some/folder").masks == "some/folder"
    assert "'mmoe' has no masks" in refusal(MultitaskConfig, masks="some/folder", method="mmoe")


def test_cells_are_named_by_what_they_hold() -> None:
    assert PruneConfig.of(task="cvr", protocol="released").cell == "prune-cvr"
    assert MultitaskConfig.of(method="ple").cell == "multitask-ple"


@pytest.mark.parametrize(("key", "value"), [("datasets", "generated"), ("methods", "single")])
def test_an_unknown_name_in_the_grid_is_refused(key: str, value: str) -> None:
    valid = {"datasets": ("census",), "methods": ("ple",)}
    assert f"{value!r} is not known" in refusal(Lt4recGrid, **valid | {key: (value,)})
    assert Lt4recGrid.of(**valid | {key: ()}) is not None
