"""Which files are read of the sweeps and of new domains."""

import json
from pathlib import Path

import pytest

from mlorakit.report.ablation_results import (
    ablation_datasets,
    overhead_datasets,
    read_new_domain,
    read_points,
)
from mlorakit.report.results import MissingCellsError

from ..conftest import SetParams


@pytest.fixture
def points(project: Path, set_params: SetParams) -> Path:
    """A project with points of each sweep; a point's content is its own name."""
    set_params(
        grid={"datasets": ["movielens", "taobao_10"]},
        train={"hidden": "8,4"},
        ablations={
            "alpha": {
                "datasets": ["movielens"],
                "backbones": ["mlp", "deepfm"],
                "values": ["none", 2, 16, 32],
            },
            "domains": {"datasets": ["movielens", "movielens_age"], "backbones": ["mlp"]},
            "widths": {"datasets": ["movielens"], "backbones": ["mlp"], "hidden": ["16x8", 4]},
        },
        new_domain={"datasets": ["movielens_occupation"], "backbones": ["mlp", "wdl"]},
    )
    names = [f"alpha/movielens/{b}-{a}" for b in ("mlp", "deepfm") for a in ("none", 2, 16, 32)]
    names += [f"domains/{d}/mlp-{a}" for d in ("movielens", "movielens_age") for a in ENDS]
    names += [f"widths/movielens/mlp-{w}-{a}" for w in ("16x8", "4") for a in ENDS]
    write(project / "reports/ablations/points", names)
    write(project / "reports/ablations/new_domain", [f"movielens_occupation/{b}" for b in NEW])
    return project


ENDS = ("none", "paper")
NEW = ("mlp", "wdl")


def write(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"file": name}))


@pytest.mark.usefixtures("points")
def test_alphas_are_read_in_the_order_of_params_yaml() -> None:
    found = read_points("alpha")
    assert [(p["backbone"], p["alpha"]) for p in found] == [
        (backbone, alpha) for backbone in ("mlp", "deepfm") for alpha in ("none", 2, 16, 32)
    ]
    assert [p["file"] for p in found[:2]] == ["alpha/movielens/mlp-none", "alpha/movielens/mlp-2"]
    assert {p["hidden"] for p in found} == {"8x4"}


@pytest.mark.usefixtures("points")
def test_the_papers_alpha_is_read_as_a_number() -> None:
    found = read_points("domains")
    assert [(p["dataset"], p["alpha"]) for p in found] == [
        (dataset, alpha) for dataset in ("movielens", "movielens_age") for alpha in ("none", 16)
    ]


@pytest.mark.usefixtures("points")
def test_widths_of_training_come_from_the_sweep_of_alpha() -> None:
    found = {(p["hidden"], p["alpha"]): p["file"] for p in read_points("widths")}
    assert found == {
        ("16x8", "none"): "widths/movielens/mlp-16x8-none",
        ("16x8", 16): "widths/movielens/mlp-16x8-paper",
        ("4", "none"): "widths/movielens/mlp-4-none",
        ("4", 16): "widths/movielens/mlp-4-paper",
        ("8x4", "none"): "alpha/movielens/mlp-none",
        ("8x4", 16): "alpha/movielens/mlp-16",
    }


def test_widths_of_training_have_the_papers_alpha_of_the_data(
    points: Path, set_params: SetParams
) -> None:
    on_taobao = {"datasets": ["generated_taobao"], "backbones": ["mlp"]}
    set_params(
        ablations={
            "alpha": on_taobao | {"values": ["none", 16, 256]},
            "widths": on_taobao | {"hidden": []},
        }
    )
    write(
        points / "reports/ablations/points",
        [f"alpha/generated_taobao/mlp-{alpha}" for alpha in ("none", 16, 256)],
    )
    assert [p["alpha"] for p in read_points("widths")] == ["none", 256]


def test_widths_that_both_sweeps_have_count_once(points: Path, set_params: SetParams) -> None:
    own = {"datasets": ["movielens"], "backbones": ["mlp"]}
    set_params(ablations={"widths": own | {"hidden": ["8x4"]}})
    write(
        points / "reports/ablations/points",
        [f"widths/movielens/mlp-8x4-{alpha}" for alpha in ENDS],
    )
    assert [p["file"] for p in read_points("widths")] == [
        "widths/movielens/mlp-8x4-none",
        "widths/movielens/mlp-8x4-paper",
    ]


@pytest.mark.usefixtures("points")
def test_new_domain_cells_are_read() -> None:
    assert read_new_domain() == [
        {"dataset": "movielens_occupation", "backbone": b, "file": f"movielens_occupation/{b}"}
        for b in NEW
    ]


@pytest.mark.usefixtures("points")
def test_each_data_set_counts_once() -> None:
    assert ablation_datasets() == ("movielens", "movielens_age", "movielens_occupation")
    assert overhead_datasets() == (
        "movielens",
        "taobao_10",
        "movielens_age",
        "movielens_occupation",
    )


def test_what_is_missing_is_named(points: Path) -> None:
    folder = points / "reports/ablations"
    (folder / "points/alpha/movielens/mlp-2.json").unlink()
    with pytest.raises(MissingCellsError, match=r"1 of 8 files that ablations.alpha .*mlp-2.json"):
        read_points("alpha")
    (folder / "new_domain/movielens_occupation/wdl.json").unlink()
    with pytest.raises(MissingCellsError, match=r"1 of 2 files that new_domain .*wdl.json"):
        read_new_domain()


def test_an_empty_sweep_has_no_points(points: Path, set_params: SetParams) -> None:
    nothing = {"datasets": [], "backbones": ["mlp"]}
    set_params(ablations={"widths": nothing | {"hidden": ["8x4"]}, "domains": nothing})
    assert read_points("widths") == read_points("domains") == []
