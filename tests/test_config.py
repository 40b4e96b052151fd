"""Parameters of the notebooks: what is taken, and how the rest is refused."""

from pathlib import Path

import nbformat
import pytest

from mlorakit.config import (
    ClaimsConfig,
    FiguresConfig,
    Grid,
    ParameterError,
    PreprocessConfig,
    TablesConfig,
    TrainConfig,
    TwoStageGrid,
)
from mlorakit.models import BACKBONES
from mlorakit.task_config import PreprocessTasksConfig

from .conftest import SetParams

pytestmark = pytest.mark.usefixtures("project")

DEFAULTS = '# Defaults of this notebook\ndataset = "movielens"\nbackbone = "mlp"\npatience = 3\n'

# Alpha in the paper's configs, by backbone.
PAPER = ("mlp", "wdl", "nfm", "autoint", "pnn", "dcn", "deepfm", "xdeepfm", "fibinet")
MOVIELENS_ALPHA = (16, 16, 4, 4, 16, 16, 32, 32, 32)
AMAZON_ALPHA = (16, 16, 256, 16, 16, 128, 16, 16, 16)
TAOBAO_ALPHA = (256, 16, 16, 16, 16, 16, 256, 16, 256)


def run(*cells: str) -> tuple[list[str], dict]:
    """Sources and globals of a notebook after these cells ran; IPython's `In` starts empty."""
    namespace: dict = {"unrelated": 1}
    for cell in cells:
        exec(cell, namespace)
    return ["", *cells], namespace


def refusal(config: type, **values: object) -> str:
    """The message that the values are refused with."""
    with pytest.raises(ParameterError) as refused:
        config.of(**values)
    return str(refused.value)


def test_the_defaults_are_the_papers_settings() -> None:
    config = TrainConfig.of()
    assert (config.hidden, config.dropout, config.batch_size) == ((256, 128, 64), 0.5, 1024)
    assert (config.learning_rate, config.l2, config.patience) == (1e-3, 1e-5, 3)
    assert (config.embedding_size, config.max_epochs) == (8, 0)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("1,2,3", (1, 2, 3)),
        ("1, 2, 3", (1, 2, 3)),
        ("[1, 2, 3]", (1, 2, 3)),
        ("7", (7,)),
        (7, (7,)),
        ([1, 2], (1, 2)),
        ((3,), (3,)),
    ],
)
def test_a_list_may_be_text_a_number_or_a_list(given: object, taken: tuple[int, ...]) -> None:
    config = TrainConfig.of(seeds=given, hidden=given)
    assert config.seeds == config.hidden == taken


def test_numbers_may_come_as_text() -> None:
    config = TrainConfig.of(alpha="16", patience="5", learning_rate="1e-2")
    assert (config.alpha, config.patience, config.learning_rate) == (16, 5, 0.01)


@pytest.mark.parametrize(
    ("config", "name", "valid"),
    [
        (TrainConfig, "seed", ["seeds", "backbone", "threads", "into"]),
        (PreprocessConfig, "splitseed", ["dataset", "strict", "split_seed"]),
        (PreprocessTasksConfig, "seed", ["dataset", "strict", "split_seed"]),
        (TablesConfig, "dpi", ["into"]),
        (FiguresConfig, "format", ["into", "dpi"]),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_known_ones(
    config: type, name: str, valid: list[str]
) -> None:
    message = refusal(config, **{name: 1})
    assert message.startswith(f"Unknown parameter {name}; {config.__name__} takes ")
    assert all(known in message for known in valid)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patience", "many"),
        ("patience", 0),
        ("max_epochs", -1),
        ("batch_size", 1.5),
        ("dropout", 1.0),
        ("learning_rate", 0),
        ("l2", -1e-5),
        ("into", 3),
        ("alpha", 0),
        ("rank", -1),
        ("norm", "ln"),
        ("vectors", "maybe"),
        ("two_stage", "perhaps"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_by_name(name: str, value: object) -> None:
    message = refusal(TrainConfig, **{name: value})
    assert message.startswith(f"Parameter {name}")
    assert repr(value) in message
    assert "patience" in message  # the parameters that there are


@pytest.mark.parametrize("value", ["", [], "a,b", 1.5])
def test_a_list_that_is_none_is_refused(value: object) -> None:
    assert refusal(TrainConfig, seeds=value).startswith("Parameter seeds")


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("backbone", "deepfmm", list(BACKBONES)),
        ("variant", "lora", ["base", "control", "mlora"]),
        ("protocol", "mine", ["described", "released"]),
        ("dataset", "movielenz", ["movielens", "movielens_age", "generated"]),
        ("batch_order", "shuffled", ["mixed", "alternate", "protocol"]),
        ("device", "tpu", ["auto", "cpu", "cuda"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    name: str, value: str, valid: list[str]
) -> None:
    message = refusal(TrainConfig, **{name: value})
    assert message.startswith(f"Parameter {name} = {value!r} ")
    assert all(known in message for known in valid)
    assert "ArgsKwargs" not in message


def test_an_unknown_dataset_is_refused_by_preprocessing_too() -> None:
    message = refusal(PreprocessConfig, dataset="movielenz")
    assert message.startswith("Parameter dataset = 'movielenz' ")
    assert "movielens_age" in message


@pytest.mark.parametrize(
    ("key", "value", "known"),
    [
        ("datasets", "movielenz", "movielens_age"),
        ("backbones", "deepfmm", "xdeepfm"),
        ("variants", "lora", "control"),
        ("batch_orders", "protocol", "alternate"),
    ],
)
def test_an_unknown_name_in_the_grid_is_refused_with_the_known_ones(
    key: str, value: str, known: str
) -> None:
    valid = {
        "datasets": ("generated",),
        "backbones": ("mlp",),
        "variants": ("base",),
        "batch_orders": ("mixed",),
    }
    with pytest.raises(ValueError, match=f"'{value}' is not known.*{known}"):
        Grid(**valid | {key: (value,)})
    assert Grid(**valid).datasets == ("generated",)


@pytest.mark.parametrize(("alpha", "rank_alpha"), [("paper", 32), (16, 16), (256, 256)])
def test_alpha_may_be_the_papers(alpha: object, rank_alpha: int) -> None:
    assert TrainConfig.of(backbone="deepfm", alpha=alpha).rank_alpha == rank_alpha


@pytest.mark.parametrize(
    ("datasets", "alphas"),
    [
        # The last two are data that the paper does not have.
        (("movielens", "movielens_age", "generated", "generated_log"), MOVIELENS_ALPHA),
        (("amazon_6", "amazon_small", "generated_amazon"), AMAZON_ALPHA),
        (("taobao_10", "taobao_30", "generated_taobao", "generated_domains_2"), TAOBAO_ALPHA),
    ],
)
def test_the_papers_alpha_is_that_of_the_backbone_and_the_kind_of_data(
    datasets: tuple[str, ...], alphas: tuple[int, ...]
) -> None:
    for dataset in datasets:
        found = {name: TrainConfig.of(dataset=dataset, backbone=name).rank_alpha for name in PAPER}
        assert found == dict(zip(PAPER, alphas, strict=True))
    assert set(PAPER) == set(BACKBONES)


def test_data_of_the_readers_own_have_the_alpha_of_movielens(
    set_params: SetParams,
) -> None:
    set_params(datasets={"mine": {"source": "file"}})
    assert TrainConfig.of(dataset="mine", backbone="nfm").rank_alpha == 4


@pytest.mark.parametrize(
    ("protocol", "order", "resolved"),
    [
        ("described", "protocol", "mixed"),
        ("released", "protocol", "alternate"),
        ("released", "mixed", "mixed"),
        ("described", "alternate", "alternate"),
    ],
)
def test_the_order_of_batches_may_be_the_protocols(
    protocol: str, order: str, resolved: str
) -> None:
    config = TrainConfig.of(backbone="dcn", variant="base", protocol=protocol, batch_order=order)
    assert config.order == resolved
    ending = "-protocol_released" if protocol == "released" else ""
    assert config.cell == f"dcn-base-{resolved}{ending}"


@pytest.mark.parametrize(
    ("options", "ending"),
    [
        ({}, ""),
        ({"rank": 8}, "-rank_8"),
        ({"norm": "pn"}, "-norm_pn"),
        ({"vectors": "none"}, "-vectors_none"),
        ({"two_stage": True}, "-two_stage"),
        ({"two_stage": True, "rank": 2, "norm": "bn"}, "-rank_2-norm_bn-two_stage"),
        ({"protocol": "released", "batch_order": "mixed"}, "-protocol_released"),
        ({"alpha": 32}, "-alpha_32"),
        ({"alpha": 32, "rank": 2}, "-rank_2"),  # alpha decides nothing then
        ({"embedding_size": 16}, "-embedding_16"),
        ({"hidden": "64"}, "-hidden_64"),
        ({"hidden": "64,32", "dropout": 0.2}, "-hidden_64x32-dropout_0.2"),
        ({"batch_size": 512, "learning_rate": "5e-4"}, "-batch_512-lr_0.0005"),
        ({"l2": 0, "patience": 5, "max_epochs": 2}, "-l2_0.0-patience_5-epochs_2"),
        ({"seeds": "1,2", "device": "cpu", "threads": 1, "into": "reports/mine"}, ""),
    ],
)
def test_a_cells_name_tells_its_options_apart(options: dict, ending: str) -> None:
    assert TrainConfig.of(backbone="dcn", **options).cell == f"dcn-mlora-mixed{ending}"


def test_options_of_the_whole_grid_are_in_no_name(set_params: SetParams) -> None:
    set_params(train={"norm": "bn", "rank": 8, "hidden": "8, 4"})
    config = TrainConfig.of(backbone="dcn", norm="bn", rank=8, hidden=(8, 4))
    assert config.cell == "dcn-mlora-mixed"
    usual = "dcn-mlora-mixed-rank_0-norm_none-hidden_256x128x64"
    assert TrainConfig.of(backbone="dcn").cell == usual


def test_every_option_that_decides_a_result_is_in_the_name() -> None:
    told = {"dataset", "backbone", "variant", "batch_order"}  # by the folder, or in every name
    others = {"seeds", "device", "threads", "into"}
    changed: dict = {"protocol": "released", "norm": "bn", "vectors": "none", "two_stage": True}
    changed |= dict.fromkeys(("dropout", "learning_rate", "l2"), 0.25)
    changed |= dict.fromkeys(("alpha", "rank", "embedding_size", "hidden", "batch_size"), 7)
    changed |= dict.fromkeys(("patience", "max_epochs"), 7)
    assert changed.keys() == set(TrainConfig.__dataclass_fields__) - told - others
    names = {TrainConfig.of(batch_order="mixed", **{n: v}).cell for n, v in changed.items()}
    assert len(names | {TrainConfig.of().cell}) == len(changed) + 1


@pytest.mark.parametrize("variant", ["base", "control"])
def test_a_rank_is_in_no_name_of_a_variant_without_one(variant: str) -> None:
    config = TrainConfig.of(backbone="dcn", variant=variant, rank=8, alpha=4)
    assert config.cell == f"dcn-{variant}-mixed"


@pytest.mark.parametrize("variant", ["base", "control"])
def test_two_stages_are_for_mlora(variant: str) -> None:
    message = refusal(TrainConfig, variant=variant, two_stage=True)
    assert message == (
        f"Parameter two_stage = True is for variant 'mlora'; {variant!r} has no low-rank maps to "
        "train in a second stage."
    )


def test_an_unknown_backbone_in_two_stage_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"two_stage.backbones = 'mlpp' is not known.* mlp"):
        TwoStageGrid.of(backbones=["mlp", "mlpp"])
    assert TwoStageGrid.of(backbones=[]).backbones == ()


def test_a_notebook_run_by_hand_has_its_defaults() -> None:
    config = TrainConfig.from_notebook(*run(DEFAULTS))
    assert (config.backbone, config.patience) == ("mlp", 3)
    assert config.variant == TrainConfig.of().variant  # a parameter that the cell leaves out


def test_a_default_edited_by_hand_counts() -> None:
    edited = DEFAULTS.replace("patience = 3", "patience = 7")
    assert TrainConfig.from_notebook(*run(DEFAULTS, edited)).patience == 7


def test_papermills_parameters_win_over_the_defaults() -> None:
    config = TrainConfig.from_notebook(
        *run(DEFAULTS, '# Parameters\nbackbone = "dcn"\nseeds = "1,2"\n')
    )
    assert (config.backbone, config.seeds, config.patience) == ("dcn", (1, 2), 3)


def test_a_typo_in_papermills_parameters_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"Unknown parameter backbon; TrainConfig takes .*"):
        TrainConfig.from_notebook(*run(DEFAULTS, '# Parameters\nbackbon = "dcn"\n'))


def test_a_typo_in_the_defaults_is_refused() -> None:
    with pytest.raises(ParameterError, match="Unknown parameter backbon;"):
        TrainConfig.from_notebook(*run(DEFAULTS.replace("backbone", "backbon")))


def test_a_typo_is_forgotten_once_the_cells_ran_again_without_it() -> None:
    typo = DEFAULTS.replace("backbone", "backbon")
    assert TrainConfig.from_notebook(*run(typo, DEFAULTS)).backbone == "mlp"
    injected = '# Parameters\n{} = "dcn"\n'
    cells = DEFAULTS, injected.format("backbon"), DEFAULTS, injected.format("backbone")
    assert TrainConfig.from_notebook(*run(*cells)).backbone == "dcn"


def test_names_of_other_cells_are_no_parameters() -> None:
    other = "patience = 9\nanything = 1\n"
    config = TrainConfig.from_notebook(*run(other, DEFAULTS, "# a remark\nmodel = 2\n"))
    assert config.patience == 3


def test_the_notebooks_of_the_project_mark_their_defaults(checkout: Path) -> None:
    for name, config in (
        ("tables", TablesConfig),
        ("claims", ClaimsConfig),
        ("figures", FiguresConfig),
        ("preprocess_tasks", PreprocessTasksConfig),
    ):
        notebook = nbformat.read(checkout / "notebooks" / f"{name}.ipynb", as_version=4)
        (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
        assert config.from_notebook(*run(cell.source)) == config.of()
