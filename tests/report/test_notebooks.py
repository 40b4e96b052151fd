"""The notebooks of tables and figures on stored results, with either part or both."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from mlorakit.ablation_config import SWEEPS

from ..conftest import SetParams
from .conftest import Cell
from .task_tree import Tree

MLORA = (
    "data_statistics",
    "row_account",
    "mlora_wauc",
    "mlora_comparison",
    "mlora_domain_auc",
    "mlora_two_stage",
    "mlora_baselines",
)
LT4REC = (
    "lt4rec_data",
    "lt4rec_row_account",
    "lt4rec_floors",
    "lt4rec_tasks",
    "lt4rec_differences",
    "lt4rec_selection",
    "lt4rec_overlap",
    "lt4rec_fields",
)


NOTHING = {"datasets": [], "backbones": []}


@pytest.fixture
def run(checkout: Path) -> Iterator[Callable[[str], None]]:
    """Runs a notebook's cells in this process, in the current folder."""

    def execute(name: str) -> None:
        notebook = nbformat.read(checkout / "notebooks" / f"{name}.ipynb", as_version=4)
        namespace: dict = {"In": []}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                namespace["In"].append(cell.source)
                exec(compile(cell.source, name, "exec"), namespace)

    with mpl.rc_context():
        plt.switch_backend("agg")
        yield execute
        plt.close("all")


@pytest.fixture
def results(
    prepared_project: Path, tree: Tree, set_params: SetParams, cell: Cell, baseline: Cell
) -> Path:
    """Results of both parts in a project."""
    set_params(
        grid={
            "datasets": ["generated"],
            "backbones": ["mlp"],
            "variants": ["base", "mlora"],
            "batch_orders": ["mixed"],
        },
        two_stage={"backbones": ["mlp"]},
        baselines={"models": ["star"]},
    )
    set_params(ablations=dict.fromkeys(SWEEPS, NOTHING), new_domain=NOTHING)
    for variant in ("base", "mlora"):
        name = f"generated/mlp-{variant}-mixed"
        metrics = prepared_project / "reports" / "metrics" / f"{name}.json"
        history = prepared_project / "reports" / "history" / f"{name}.csv"
        for path in (metrics, history):
            path.parent.mkdir(parents=True, exist_ok=True)
        metrics.write_text(json.dumps(cell("mlp", variant, {"1": 0.7})))
        history.write_text("seed,epoch,validation_auc\n1,1,0.6\n1,2,0.7\n")
    staged = cell("mlp", "mlora", {"1": 0.75})
    staged["seeds"]["1"] |= {"first_stage_epochs": 1, "best_stage": 2}
    path = prepared_project / "reports" / "metrics" / "generated" / "mlp-mlora-mixed-two_stage.json"
    path.write_text(json.dumps(staged))
    star = prepared_project / "reports/metrics/generated/baseline-star-mixed.json"
    star.write_text(json.dumps(baseline("star", {"1": 0.71})))
    return tree.root


def written(folder: Path, suffix: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{suffix}")}


def test_both_parts_make_their_tables(results: Path, run: Callable[[str], None]) -> None:
    run("tables")
    folder = results / "reports" / "tables"
    for suffix in ("csv", "md", "tex"):
        assert written(folder, suffix) == {*MLORA, *LT4REC}
    sources = json.loads((folder / "sources.json").read_text())
    assert set(sources["mlora_wauc"]["data"]) == {"generated"}
    assert sources["mlora_two_stage"]["parameters"] != sources["mlora_wauc"]["parameters"]
    page = (folder / "mlora_two_stage.md").read_text()
    assert "| generated | mixed | MLP | 0.7000 | 0.7500 | +0.0500 | 1 | 1 |" in page
    frame = pd.read_csv(folder / "mlora_baselines.csv")
    assert frame["model"].tolist() == ["mlp", "mlp", "star"]
    assert frame["mlora_minus"].tolist()[2] == pytest.approx(-0.01)
    # The baselines' settings count to its origin, and not to that of the backbones' tables.
    assert sources["mlora_baselines"]["parameters"] != sources["mlora_wauc"]["parameters"]
    assert set(sources["lt4rec_tasks"]["data"]) == {"movielens", "census"}
    frame = pd.read_csv(folder / "lt4rec_tasks.csv")
    assert len(frame) == 2 * 5
    columns = {"ctr_auc", "ctr_auc_low", "ctr_auc_high", "cvr_mse", "cvr_mse_low", "cvr_mse_high"}
    assert columns | {"dataset", "method", "kept_share", "n_seeds"} <= set(frame)
    page = (folder / "lt4rec_tasks.md").read_text()
    assert "| census, 100 records | position in the list | 0.6000 (0.5500 to 0.6500) |" in page


def test_claims_are_decided_by_the_tables(results: Path, run: Callable[[str], None]) -> None:
    run("tables")
    run("claims")
    folder = results / "reports" / "claims"
    for suffix in ("csv", "md", "tex"):
        assert written(folder, suffix) == {"claims", "claim_tests"}
    frame = pd.read_csv(folder / "claims.csv").set_index("claim")
    assert frame.loc["mlora_beats_base", "verdict"] == "undecided"  # one seed
    assert frame.loc["mlora_beats_baselines", "undecided"] == 4  # three of them were not run
    assert frame.loc["mlora_two_stage", "datasets"] == "generated"
    sources = json.loads((folder / "sources.json").read_text())
    assert "mlora_comparison.csv" in sources["claims"]["data"]


def test_both_parts_make_their_figures(results: Path, run: Callable[[str], None]) -> None:
    run("figures")
    names = {"training_curves_generated_mixed", "wauc_generated_mixed"}
    names |= {"baselines_generated_mixed"}
    names |= {
        f"lt4rec_{kind}_{dataset}"
        for kind in ("scores", "overlap", "fields", "curves")
        for dataset in ("movielens", "census")
    }
    for suffix in ("png", "svg"):
        assert written(results / "reports" / "figures", suffix) == names


@pytest.mark.parametrize(("section", "left"), [("grid", LT4REC), ("lt4rec", MLORA)])
def test_a_part_without_data_sets_has_neither(
    section: str,
    left: tuple[str, ...],
    results: Path,
    set_params: SetParams,
    run: Callable[[str], None],
) -> None:
    set_params(**{section: {"datasets": []}})
    run("tables")
    run("claims")
    run("figures")
    assert written(results / "reports" / "tables", "csv") == set(left)
    assert "claims" in written(results / "reports" / "claims", "csv")
    figures = written(results / "reports" / "figures", "png")
    assert figures
    assert all(name.startswith("lt4rec_") == (section == "grid") for name in figures)


def test_without_baselines_there_is_no_table_of_them(
    results: Path, set_params: SetParams, run: Callable[[str], None]
) -> None:
    set_params(baselines={"models": []})
    run("tables")
    run("claims")
    run("figures")
    tables = written(results / "reports" / "tables", "csv")
    assert tables == {*MLORA, *LT4REC} - {"mlora_baselines"}
    assert "baselines_generated_mixed" not in written(results / "reports" / "figures", "png")


ABLATIONS = ("mlora_alpha", "mlora_domains", "mlora_widths", "mlora_overhead", "mlora_new_domain")


@pytest.fixture
def ablated(results: Path, set_params: SetParams, point: Cell, new_domain_cell: Cell) -> Path:
    """Results of every sweep and of new domains besides."""
    asked = {"datasets": ["generated"], "backbones": ["mlp"]}
    set_params(
        ablations={
            "alpha": asked | {"values": ["none", 1, 16]},
            "domains": asked,
            "widths": asked | {"hidden": ["8x4"]},
        },
        new_domain=asked,
    )
    folder = results / "reports" / "ablations"
    contents = {
        f"points/{name}": point(alpha, {"1": 0.75, "2": 0.5 + i / 64}, added=i)
        for i, (name, alpha) in enumerate(
            {
                **{f"alpha/generated/mlp-{alpha}": alpha for alpha in ("none", 1, 16)},
                **{f"domains/generated/mlp-{alpha}": alpha for alpha in ("none", "paper")},
                **{f"widths/generated/mlp-8x4-{alpha}": alpha for alpha in ("none", "paper")},
            }.items()
        )
    }
    contents["new_domain/generated/mlp"] = new_domain_cell({"1": (0.5, 0.5, 0.6, 0.7)})
    for name, content in contents.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        for key in ("dataset", "backbone", "alpha", "hidden"):
            content.pop(key, None)  # which the file's place says
        path.write_text(json.dumps(content))
    return results


def test_ablations_make_their_tables_and_figures(ablated: Path, run: Callable[[str], None]) -> None:
    run("ablations")
    folder = ablated / "reports" / "ablations"
    for suffix in ("csv", "md", "tex"):
        assert written(folder / "tables", suffix) == set(ABLATIONS)
    figures = {"alpha_generated", "domains", "widths_generated", "new_domain_generated"}
    for suffix in ("png", "svg"):
        assert written(folder / "figures", suffix) == figures
    alpha = pd.read_csv(folder / "tables" / "mlora_alpha.csv")
    assert alpha["alpha"].tolist() == [1, 16]
    # Seed 2's WAUC rises by 1/64 with each file, seed 1's not at all.
    assert alpha["mlora_minus_control"].tolist() == pytest.approx([1 / 128, 2 / 128])
    widths = pd.read_csv(folder / "tables" / "mlora_widths.csv")
    assert widths["hidden"].tolist() == ["8x4", "256x128x64"]
    sources = json.loads((folder / "tables" / "sources.json").read_text())
    assert set(sources["mlora_alpha"]["data"]) == {"generated"}
    assert sources["mlora_alpha"]["command"] == "dvc repro ablations"


def test_claims_read_the_tables_of_ablations(ablated: Path, run: Callable[[str], None]) -> None:
    for name in ("tables", "ablations", "claims"):
        run(name)
    frame = pd.read_csv(ablated / "reports/claims/claim_tests.csv").set_index("claim")
    assert len(frame.loc["mlora_small_compute"]) == 9
    assert frame.loc["mlora_new_domain", "value"] == pytest.approx(0.1)
    assert frame.loc["mlora_new_domain", "verdict"] == "undecided"  # one seed


def test_without_sweeps_what_adapters_add_is_left(
    results: Path, run: Callable[[str], None], set_params: SetParams
) -> None:
    run("ablations")
    folder = results / "reports" / "ablations"
    assert written(folder / "tables", "csv") == {"mlora_overhead"}
    assert (folder / "figures").is_dir()
    set_params(grid={"datasets": []})
    for path in (folder / "tables").iterdir():
        path.unlink()
    run("ablations")
    assert list((folder / "tables").iterdir()) == []
