"""Parameters of the baselines' notebook and of their part of the grid."""

import pytest

from mlorakit.baseline_config import BaselineConfig, BaselineGrid
from mlorakit.config import ParameterError

from .conftest import SetParams

pytestmark = pytest.mark.usefixtures("project")


def test_the_defaults_follow_mamdr() -> None:
    config = BaselineConfig.of()
    assert (config.sizes, config.dropout, config.learning_rate) == ("auto", "mamdr", "mamdr")
    assert config.cell == "baseline-star-mixed"


def test_numbers_may_come_as_text() -> None:
    config = BaselineConfig.of(dropout="0.25", learning_rate="1e-2", seeds="4,5")
    assert (config.dropout, config.learning_rate, config.seeds) == (0.25, 0.01, (4, 5))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("baseline", "mmoe2", "'mmoe2' is not known; it is one of shared_bottom, mmoe, ple, star"),
        ("sizes", "taobao", "'taobao' is not known; it is one of auto, amazon, taobao_10"),
        ("dataset", "movielenz", "params.yaml describes movielens"),
        ("seeds", "1,1", "names a seed twice"),
        ("into", "../elsewhere", "is no folder below the project's root"),
        ("batch_order", "protocol", "'protocol' cannot be used: Input should be 'mixed' or"),
        ("dropout", "paper", "'paper' cannot be used"),
        ("dropout", 1.0, "1.0 cannot be used"),
        ("learning_rate", 0, "0 cannot be used"),
        ("vectors", "maybe", "'maybe' cannot be used: Input should be 'auto', 'none', 'frozen'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object, said: str) -> None:
    with pytest.raises(ParameterError) as refused:
        BaselineConfig.of(**{name: value})
    assert str(refused.value).startswith(f"Parameter {name} = ")
    assert said in str(refused.value)


def test_a_parameter_of_the_backbones_is_refused_with_those_of_a_baseline() -> None:
    with pytest.raises(ParameterError, match="Unknown parameter alpha; BaselineConfig takes data"):
        BaselineConfig.of(alpha=16)


def test_a_cells_name_tells_its_vectors_apart_from_the_grids(
    set_params: SetParams,
) -> None:
    assert BaselineConfig.of(vectors="none").cell == "baseline-star-mixed-vectors_none"
    set_params(train={"vectors": "none"})
    assert BaselineConfig.of(vectors="none").cell == "baseline-star-mixed"
    assert BaselineConfig.of().cell == "baseline-star-mixed-vectors_auto"


def test_a_cells_name_tells_its_options_apart(set_params: SetParams) -> None:
    options = {"sizes": "amazon", "dropout": 0.2, "learning_rate": 0.01, "embedding_size": 16}
    name = "baseline-star-mixed-sizes_amazon-embedding_16-dropout_0.2-lr_0.01"
    assert BaselineConfig.of(**options).cell == name
    set_params(train={"embedding_size": 16}, baselines={"dropout": 0.2, "learning_rate": 0.01})
    assert BaselineConfig.of(**options).cell == "baseline-star-mixed-sizes_amazon"


def test_an_unknown_baseline_in_the_grid_is_refused_with_the_known_ones() -> None:
    assert BaselineGrid.of(models=("ple", "star")).models == ("ple", "star")
    with pytest.raises(ParameterError, match=r"baselines\.models = 'dnn' is not known; .*separate"):
        BaselineGrid.of(models=("ple", "dnn"))
