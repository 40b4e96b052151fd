"""Figures of the sweeps and of new domains: what they show, and equal files of equal input."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes

from mlorakit.report.ablation_figures import (
    alpha_figure,
    domains_figure,
    new_domain_figure,
    widths_figure,
)
from mlorakit.report.new_domain_tables import new_domains

from .conftest import Cell, saved

pytestmark = pytest.mark.usefixtures("style")


def lines(axes: Axes) -> dict[str, tuple[list, list]]:
    """Labelled lines' points."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.lines
        if not str(line.get_label()).startswith("_")
    }


def ticks(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_xticklabels()]


@pytest.fixture
def alphas(point: Cell) -> list[dict]:
    return [
        point("none", {"1": 0.5, "2": 0.75}),
        point(16, {"1": 0.625, "2": 0.875}),
        point(1, {"1": 0.25, "2": 0.5}),
        point("none", {"1": 0.5}, backbone="wdl"),
        point(4, {"1": 0.5}, backbone="wdl"),
        point(4, {"1": 0.0}, dataset="movielens"),
    ]


def test_alpha_runs_through_means_beside_the_controls_line(alphas: list[dict]) -> None:
    figure = alpha_figure(alphas, "generated")
    mlp, wdl = figure.axes
    assert [axes.get_title() for axes in (mlp, wdl)] == ["MLP", "WDL"]
    drawn = lines(mlp)
    assert drawn["mlora"] == ([1, 16], [0.375, 0.75])
    assert drawn["control"][1] == [0.625, 0.625]
    assert ticks(mlp) == ["1", "16"]
    assert ticks(wdl) == ["4"]
    dots = [line for line in mlp.lines if line.get_marker() == "o"]
    assert sorted(dots[0].get_ydata()) == [0.25, 0.5, 0.625, 0.875]


def test_domains_of_a_kind_share_a_panel(point: Cell) -> None:
    sizes = {"a": 2, "b": 16, "c": 7}
    points = [
        point(alpha, {"1": wauc}, dataset=name, n_domains=n)
        for name, n in sizes.items()
        for alpha, wauc in (("none", 0.5), (16, 0.5 + n / 64))
    ]
    best = {"a": 0.9, "b": 0.95, "c": float("nan")}
    kinds = {"a": "made", "b": "made", "c": "real"}
    made, real = domains_figure(points, best, kinds).axes
    assert made.get_title() == "made, MLP"
    assert lines(made) == {
        "control": ([2, 16], [0.5, 0.5]),
        "mlora": ([2, 16], [0.53125, 0.75]),
        "best possible": ([2, 16], [0.9, 0.95]),
    }
    assert set(lines(real)) == {"control", "mlora"}
    assert ticks(made) == ["2", "16"]


def test_what_a_later_panel_alone_shows_is_in_the_legend(point: Cell) -> None:
    points = [
        point(alpha, {"1": 0.5}, dataset=name)
        for name in ("real", "made")
        for alpha in ("none", 16)
    ]
    best = {"real": float("nan"), "made": 0.9}
    figure = domains_figure(points, best, {"real": "r", "made": "m"})
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["control", "mlora", "best possible"]


def test_widths_stand_by_their_weights(point: Cell) -> None:
    def sized(alpha: int | str, hidden: str, params: int, wauc: float) -> dict:
        return point(alpha, {"1": wauc}, hidden=hidden) | {"params": params}

    points = [
        sized(alpha, hidden, params, wauc)
        for hidden, params, wauc in (("512x256", 9000, 0.75), ("64", 1000, 0.5), ("8x4", 100, 0.25))
        for alpha in ("none", 16)
    ]
    (axes,) = widths_figure(points, "generated").axes
    assert ticks(axes) == ["8x4", "64", "512x256"]
    assert lines(axes) == {
        "control": ([0, 1, 2], [0.25, 0.5, 0.75]),
        "mlora": ([0, 1, 2], [0.25, 0.5, 0.75]),
    }


def test_new_domains_show_rows_needed_between_two_lines(new_domain_cell: Cell) -> None:
    cells = [
        new_domain_cell({"1": (0.5, 0.5625, 0.625, 0.75)}),
        new_domain_cell({"1": (0.25, 0.25, 0.25, 0.25)}, dataset="movielens"),
    ]
    (axes,) = new_domain_figure(new_domains(cells), "generated").axes
    drawn = lines(axes)
    assert drawn["no adaptation"][1] == [0.5, 0.5]
    assert drawn["retraining on all domains"][1] == [0.75, 0.75]
    assert ticks(axes) == ["50", "500"]
    (bars,) = axes.containers
    assert list(bars.lines[0].get_xdata()) == [50, 500]
    assert list(bars.lines[0].get_ydata()) == [0.5625, 0.625]


def test_equal_input_gives_equal_files(alphas: list[dict], tmp_path: Path) -> None:
    first, second = (
        saved(alpha_figure(alphas, "generated"), tmp_path / name) for name in ("first", "second")
    )
    assert set(first) == {"figure.png", "figure.svg"}
    assert first == second
