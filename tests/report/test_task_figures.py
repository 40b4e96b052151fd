"""LT4REC's figures: what they show, and that equal input gives equal files."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlorakit.report.task_figures import (
    METHOD_COLOURS,
    ROLE_TITLES,
    SHARE_COLOURS,
    field_use,
    mask_overlap,
    multitask_curves,
    scores_by_kept,
)
from mlorakit.report.task_masks import ROLES, SHARES, overlap
from mlorakit.report.task_methods import METHOD_TITLES
from mlorakit.report.task_results import (
    read_masks,
    read_scores,
    read_selection,
    read_task_histories,
)
from mlorakit.report.task_tables import floors

from .conftest import saved

pytestmark = pytest.mark.usefixtures("style", "tree")


def scores_figure(dataset: str) -> Figure:
    return scores_by_kept(read_scores(), read_selection(), floors((dataset,)), dataset)


def overlap_figure() -> Figure:
    masks = {"movielens": read_masks("movielens", read_selection())}
    return mask_overlap(overlap(masks), "movielens")


def points(axes: Axes, marker: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() == marker
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def levels(axes: Axes) -> list[float]:
    """Heights of the lines that run through a panel."""
    return [
        float(line.get_ydata()[0])
        for line in axes.lines
        if list(line.get_xdata()) == [0, 1] and line.get_marker() == "None"
    ]


USE = pd.DataFrame(
    {
        "dataset": ["census"] * 4 + ["movielens"],
        "field": ["FEA_A", "FEA_B", "FEA_C", "FEA_D", "user"],
        "role": ["neither", "ctr", "ctr", "both", None],
        "ctr": [1.0, 1.1, 1.3, 1.0, 0.9],
        "cvr": [0.9, 1.0, 0.8, 1.2, 1.1],
    }
)


@pytest.mark.parametrize("name", ["scores", "overlap", "fields", "curves"])
def test_equal_results_are_equal_files(name: str, tmp_path: Path) -> None:
    def draw() -> Figure:
        if name == "scores":
            return scores_figure("census")
        if name == "overlap":
            return overlap_figure()
        if name == "fields":
            return field_use(USE, "census")
        return multitask_curves(read_task_histories(), "census")

    first, second = (saved(draw(), tmp_path / folder) for folder in ("first", "second"))
    assert set(first) == {"figure.png", "figure.svg"}
    assert first == second


def test_there_is_a_row_per_metric_of_the_data_set() -> None:
    assert len(scores_figure("movielens").axes) == 2 * 3
    figure = scores_figure("census")
    assert len(figure.axes) == 2 * 2
    assert figure.axes[0].get_ylabel() == "test CTR AUC\n(higher is better)"
    assert figure.axes[2].get_ylabel() == "test CVR MSE\n(lower is better)"


def test_tickets_lie_at_the_share_that_they_keep_from_dense_to_sparse() -> None:
    ctr, _, cvr, _ = scores_figure("census").axes
    assert points(ctr, "o")[:3] == [(1.0, 0.7), (0.5, 0.72), (0.25, 0.71)]
    assert points(cvr, "o")[:3] == [(1.0, 0.2), (0.5, 0.19), (0.25, 0.18)]
    assert ctr.get_xlim()[0] > ctr.get_xlim()[1]
    labels = ctr.xaxis.get_major_formatter().format_ticks([1.0, 0.5, 0.25])
    assert labels == ["100%", "50%", "25%"]


def test_a_ring_marks_the_chosen_round() -> None:
    ctr, _, cvr, _ = scores_figure("census").axes
    assert points(ctr, "o")[3:] == [(0.5, 0.72)]
    assert points(cvr, "o")[3:] == [(0.25, 0.18)]


def test_the_dense_network_runs_through_both_panels() -> None:
    for axes in scores_figure("census").axes[:2]:
        assert 0.7 in levels(axes)
        (band,) = axes.patches
        assert (band.get_y(), band.get_height()) == pytest.approx((0.681, 0.038))


def test_floors_are_drawn_where_they_lie_near_the_scores() -> None:
    # Scores of 0.68 to 0.78: the position's 0.6 lies near, the constant's 0.5 and 0.9 do not.
    _, right, _, errors = scores_figure("census").axes
    assert sorted(levels(right)) == [0.6, 0.7]
    assert [text.get_text() for text in right.texts] == ["position in the list"]
    assert levels(errors) == [0.2, 0.2]  # the constant's error is the dense network's here


def test_multitask_models_stand_beside_the_tickets_in_their_colours() -> None:
    _, right, _, bottom = scores_figure("census").axes
    names = [tick.get_text() for tick in bottom.get_xticklabels()]
    assert names == ["hard\nsharing", "sparse\nsharing"]
    assert points(right, "s") == [(0.0, 0.76)]
    assert points(right, "D") == [(1.0, 0.75)]


def test_a_bar_stacks_the_shares_of_a_layer() -> None:
    figure = overlap_figure()
    (axes,) = figure.axes
    widths = {
        container.get_label(): [float(bar.get_width()) for bar in container]
        for container in axes.containers
    }
    # Of the trunk's 100 weights; see the table's test.
    assert {name: width[-1] for name, width in widths.items()} == pytest.approx(
        {
            "kept by both tasks": 0.125,
            "by CTR alone": 0.375,
            "by CVR alone": 0.125,
            "by neither": 0.375,
        }
    )
    for layer in range(3):
        assert sum(width[layer] for width in widths.values()) == pytest.approx(1)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "1: 10 to 8\n80 weights",
        "2: 10 to 2\n20 weights",
        "trunk\n100 weights",
    ]
    (legend,) = figure.legends
    titles = [text.get_text() for text in legend.get_texts()]
    assert titles[0] == "kept by both tasks"
    assert titles[-1] == "by both, if one were drawn at random"


def test_fields_stand_by_their_planted_role_and_by_what_ctr_reads_more() -> None:
    (axes,) = field_use(USE, "census").axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["D", "C", "B", "A"]
    assert points(axes, "o") == [(1.0, 0), (1.3, 1), (1.1, 2), (1.0, 3)]
    assert points(axes, "D") == [(1.2, 0), (0.8, 1), (1.0, 2), (0.9, 3)]
    roles = [(text.get_text(), text.xy[1]) for text in axes.texts]
    assert roles == [("decides both", 0), ("decides clicks", 1.5), ("decides neither", 3)]


def test_fields_without_a_planted_role_have_none() -> None:
    (axes,) = field_use(USE, "movielens").axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["user"]
    assert not axes.texts


def test_curves_are_means_over_seeds() -> None:
    figure = multitask_curves(read_task_histories(), "census")
    assert [axes.get_title() for axes in figure.axes] == [
        "CTR: focal loss, training",
        "CTR: 1 − AUC, validation",
        "CVR: squared error, training",
        "CVR: squared error, validation",
    ]
    for axes in figure.axes[::2]:  # training: a line through every stretch
        hard, sparse = axes.lines
        assert hard.get_xdata().tolist() == [0.5, 1, 1.5, 2]
        assert hard.get_ydata()[:2] == pytest.approx([1.015, 0.515])
        assert sparse.get_ydata().tolist() == hard.get_ydata().tolist()
    for axes in figure.axes[1::2]:  # validation: a point where an epoch ends
        (hard,), (sparse,) = (points(axes, marker)[:1] for marker in ("s", "D"))
        assert hard[1] == sparse[1] == pytest.approx(0.415)
        # Side by side at the first epoch.
        assert hard[0] < 1 < sparse[0]
        assert sparse[0] - hard[0] == pytest.approx(0.06)
        assert len(points(axes, "s")) == 2
        assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_every_method_and_every_share_has_a_colour_of_its_own() -> None:
    assert set(METHOD_COLOURS) == set(METHOD_TITLES)
    assert set(SHARE_COLOURS) == set(SHARES)
    assert set(ROLE_TITLES) == set(ROLES)
    for colours in (METHOD_COLOURS, SHARE_COLOURS):
        assert len(set(colours.values())) == len(colours)


def test_one_seed_and_one_epoch_are_a_point_without_a_bar() -> None:
    history = read_task_histories()
    once = history[(history["seed"] == 1) & (history["epoch"] == 1)]
    axes = multitask_curves(once, "census").axes[1]
    ((_, value),) = points(axes, "s")
    assert value == pytest.approx(0.41)
    (bar,) = axes.containers[0].lines[2]
    low, high = bar.get_segments()[0][:, 1]
    assert low == high == pytest.approx(0.41)
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low < tick < high] == [1]
