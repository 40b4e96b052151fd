"""Parameters of a point of a sweep and of the new-domain experiment."""

from typing import Any

import pytest

from mlorakit.ablation_config import AblationConfig, Sweep, crossed
from mlorakit.config import ParameterError
from mlorakit.new_domain_config import NewDomainConfig, NewDomainGrid


def test_a_point_without_alpha_is_the_control() -> None:
    control = AblationConfig.of(alpha="none", backbone="deepfm", seeds="1,2", dropout=0.1)
    assert control.train.variant == "control"
    assert control.point == "deepfm-none"
    point = AblationConfig.of(alpha=4, backbone="deepfm", seeds="1,2", dropout=0.1)
    assert (point.train.variant, point.train.rank_alpha) == ("mlora", 4)
    assert point.point == "deepfm-4"
    for config in (control, point):
        assert (config.train.seeds, config.train.dropout) == ((1, 2), 0.1)


@pytest.mark.parametrize("config", [AblationConfig, NewDomainConfig])
def test_the_papers_alpha_is_that_of_the_backbone_and_the_data(config: type) -> None:
    assert config.of(dataset="movielens", backbone="mlp").train.rank_alpha == 16
    assert config.of(dataset="movielens", backbone="deepfm").train.rank_alpha == 32
    for domains in (2, 256):
        assert config.of(dataset=f"generated_domains_{domains}").train.rank_alpha == 256


@pytest.mark.parametrize(
    ("given", "widths"),
    [("64x32", (64, 32)), ("256,128,64", (256, 128, 64)), (64, (64,)), ("64", (64,))],
)
def test_widths_are_written_crossed_or_with_commas(given: Any, widths: tuple[int, ...]) -> None:
    config = AblationConfig.of(sweep="widths", hidden=given)
    assert config.hidden == config.train.hidden == widths
    assert config.point == f"mlp-{crossed(widths)}-paper"
    assert Sweep.of(datasets=[], backbones=[], hidden=[given]).hidden == (widths,)


def test_settings_reach_the_cell_of_either_notebook() -> None:
    given = {
        "dataset": "movielens_age",
        "backbone": "wdl",
        "protocol": "released",
        "seeds": "3",
        "embedding_size": 4,
        "dropout": 0.2,
        "batch_size": 99,
        "learning_rate": 0.5,
        "l2": 0.25,
        "patience": 7,
        "max_epochs": 9,
        "device": "cpu",
        "threads": 1,
        "alpha": 2,
        "hidden": "8,4",
    }
    for config in (AblationConfig.of(**given), NewDomainConfig.of(**given)):
        expected = given | {"seeds": (3,), "hidden": (8, 4), "variant": "mlora"}
        assert {key: getattr(config.train, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sweep": "ranks"}, "sweep = 'ranks' is not known; it is one of alpha, domains, widths"),
        ({"alpha": 0}, "Parameter alpha = 0 cannot be used"),
        ({"alpha": "nothing"}, "Parameter alpha = 'nothing' cannot be used"),
        ({"hidden": "64x0"}, "Parameter hidden = '64x0' cannot be used"),
        ({"backbone": "mlpp"}, "backbone = 'mlpp' is not known; it is one of mlp, wdl"),
        ({"dataset": "netflix"}, "dataset = 'netflix' is not known"),
        ({"into": "/elsewhere"}, "is no folder below the project's root"),
        ({"rank": 3}, "Unknown parameter rank; AblationConfig takes dataset"),
    ],
)
def test_a_wrong_point_stops_with_a_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence.replace("(", r"\(")):
        AblationConfig.of(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"held_out": 0}, "Parameter held_out = 0 cannot be used"),
        ({"held_out": 1}, "Parameter held_out = 1 cannot be used"),
        ({"shares": "0.1,1.5"}, "Parameter shares = '0.1,1.5' cannot be used"),
        ({"shares": ""}, "Parameter shares = '' cannot be used"),
        ({"shares": "1,0.1,1"}, "names a share twice"),
        ({"adapter_patience": 0}, "Parameter adapter_patience = 0 cannot be used"),
        ({"seeds": "1,1"}, "names a seed twice"),
    ],
)
def test_a_wrong_experiment_stops_with_a_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        NewDomainConfig.of(**values)


@pytest.mark.parametrize(
    ("given", "shares"),
    [("0.01,1", (0.01, 1.0)), (0.1, (0.1,)), (1, (1.0,)), ([0.5, 1], (0.5, 1.0))],
)
def test_shares_may_be_text_or_numbers(given: Any, shares: tuple[float, ...]) -> None:
    assert NewDomainConfig.of(shares=given).shares == shares


@pytest.mark.parametrize("grid", [Sweep, NewDomainGrid])
def test_a_grid_names_what_it_does_not_know(grid: type) -> None:
    with pytest.raises(ParameterError, match="'nowhere' is not known"):
        grid.of(datasets=["nowhere"], backbones=[])
    with pytest.raises(ParameterError, match="backbones = 'mlpp' is not known"):
        grid.of(datasets=[], backbones=["mlpp"])
