"""Figures: what they show, and that equal input gives equal files."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mlorakit.models import VARIANTS
from mlorakit.report.figures import VARIANT_COLOURS, training_curves, wauc_dots

from .conftest import Cell, saved

pytestmark = pytest.mark.usefixtures("style")


@pytest.fixture
def history() -> pd.DataFrame:
    """Two backbones, two variants, two seeds, three epochs; another data set beside them."""
    return pd.DataFrame(
        [
            {
                "dataset": dataset,
                "batch_order": "mixed",
                "backbone": backbone,
                "variant": variant,
                "seed": seed,
                "epoch": epoch,
                "validation_auc": 0.5 + 0.1 * epoch + 0.01 * seed + 0.02 * (variant == "mlora"),
            }
            for dataset in ("generated", "movielens")
            for backbone in ("deepfm", "mlp")
            for variant in ("base", "mlora")
            for seed in (1, 2)
            for epoch in (1, 2, 3)
        ]
    )


@pytest.fixture
def metrics(cell: Cell) -> list[dict]:
    return [
        cell("deepfm", "base", {"1": 0.5, "2": 0.6}),
        cell("deepfm", "mlora", {"1": 0.7, "2": 0.8}),
        cell("mlp", "base", {"1": 0.55, "2": 0.65}),
        cell("mlp", "mlora", {"1": 0.75, "2": 0.85}, dataset="movielens"),
    ]


def dots(figure: Figure) -> list[float]:
    return sorted(
        float(x)
        for collection in figure.axes[0].collections
        for x in collection.get_offsets()[:, 0]
    )


def test_equal_curves_are_equal_files(history: pd.DataFrame, tmp_path: Path) -> None:
    first = saved(training_curves(history, "generated", "mixed"), tmp_path / "first")
    second = saved(training_curves(history, "generated", "mixed"), tmp_path / "second")
    assert set(first) == {"figure.png", "figure.svg"}
    assert first == second
    history.loc[0, "validation_auc"] += 0.05
    other = saved(training_curves(history, "generated", "mixed"), tmp_path / "other")
    assert all(other[name] != first[name] for name in first)


def test_equal_dots_are_equal_files(metrics: list[dict], tmp_path: Path) -> None:
    first = saved(wauc_dots(metrics, "generated", "mixed"), tmp_path / "first")
    assert saved(wauc_dots(metrics, "generated", "mixed"), tmp_path / "second") == first


def test_one_figure_saved_twice_is_the_same_file(metrics: list[dict], tmp_path: Path) -> None:
    figure = wauc_dots(metrics, "generated", "mixed")
    assert saved(figure, tmp_path / "first") == saved(figure, tmp_path / "second")


def test_files_hold_neither_date_nor_version(metrics: list[dict], tmp_path: Path) -> None:
    files = saved(wauc_dots(metrics, "generated", "mixed"), tmp_path)
    assert b"Software" not in files["figure.png"]
    assert b"<dc:date>" not in files["figure.svg"]
    assert b"test WAUC" in files["figure.svg"]  # text stays text


def test_there_is_a_panel_per_backbone_with_a_line_per_variant(history: pd.DataFrame) -> None:
    figure = training_curves(history, "generated", "mixed")
    assert [axes.get_title() for axes in figure.axes] == ["DeepFM", "MLP"]
    for axes in figure.axes:
        base, mlora = axes.lines[:2]
        assert list(base.get_xdata()) == [1, 2, 3]
        # The mean of seeds 1 and 2 of this data set.
        assert list(base.get_ydata()) == pytest.approx([0.615, 0.715, 0.815])
        assert list(mlora.get_ydata()) == pytest.approx([0.635, 0.735, 0.835])


def test_epochs_are_whole_numbers(history: pd.DataFrame) -> None:
    ticks = training_curves(history, "generated", "mixed").axes[0].get_xticks()
    assert all(float(tick).is_integer() for tick in ticks)


def test_one_epoch_is_a_marker_at_a_whole_number(history: pd.DataFrame) -> None:
    axes = training_curves(history[history["epoch"] == 1], "generated", "mixed").axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
    assert all(line.get_marker() not in ("None", "") for line in axes.lines[:2])


def test_there_is_a_dot_per_seed_of_the_data_set(metrics: list[dict]) -> None:
    figure = wauc_dots(metrics, "generated", "mixed")
    assert dots(figure) == pytest.approx([0.5, 0.55, 0.6, 0.65, 0.7, 0.8])
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["DeepFM", "MLP"]


def test_one_seed_has_dots_and_no_bar_of_means(cell: Cell) -> None:
    figure = wauc_dots([cell("mlp", "base", {"1": 0.5})], "generated", "mixed")
    assert dots(figure) == [0.5]
    assert [line for line in figure.axes[0].lines if len(line.get_xdata())] == []


def test_every_variant_has_a_colour_of_its_own() -> None:
    assert set(VARIANT_COLOURS) == set(VARIANTS)
    assert len(set(VARIANT_COLOURS.values())) == len(VARIANTS)


def test_a_notebook_shows_figures_that_pyplot_did_not_make_as_images() -> None:
    code = (
        "from matplotlib.figure import Figure; from mlorakit.report.figures import apply_style; "
        "apply_style(); get_ipython().display_formatter.formatters['image/png'].lookup(Figure())"
    )
    env = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    command = (sys.executable, "-m", "IPython", "--HistoryManager.enabled=False", "-c", code)
    subprocess.run(command, env=env, check=True)
