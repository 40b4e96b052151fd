"""The new-domain table: numbers by hand."""

import math

import pytest
from scipy.stats import ttest_rel

from mlorakit.report.new_domain_tables import new_domains, readable_new_domains

from .conftest import Cell

THREE = {
    "1": (0.5, 0.5, 0.625, 0.75),
    "2": (0.5625, 0.625, 0.75, 0.875),
    "3": (0.625, 0.625, 0.6875, 1.0),
}


def test_ways_are_compared_seed_by_seed(new_domain_cell: Cell) -> None:
    frame = new_domains([new_domain_cell(THREE)])
    ways = frame[["way", "share"]].to_numpy().tolist()
    assert ways == [["none", 0.0], ["adapter", 0.1], ["adapter", 1.0], ["full", 1.0]]
    assert frame["wauc_mean"].tolist() == pytest.approx([0.5625, 1.75 / 3, 2.0625 / 3, 0.875])
    assert math.isnan(frame["minus_none"][0])
    assert frame["minus_none"][2] == pytest.approx((0.125 + 0.1875 + 0.0625) / 3)
    assert frame["minus_full"][2] == pytest.approx(-(0.125 + 0.125 + 0.3125) / 3)
    assert math.isnan(frame["minus_full"][3])
    assert frame["rows_train"].tolist() == [0, 50, 500, 500]
    assert frame["weights_trained"].tolist() == [0, 70, 70, 900]
    assert set(frame["new_domains"]) == {2}
    assert set(frame["known"]) == {"user 25%, item 100%"}


def test_p_values_are_corrected_over_the_rows(new_domain_cell: Cell) -> None:
    frame = new_domains([new_domain_cell(THREE)])
    columns = list(zip(*THREE.values(), strict=True))
    plain = sorted(ttest_rel(columns[way], columns[0]).pvalue for way in (1, 2, 3))
    expected = [3 * plain[0], max(3 * plain[0], 2 * plain[1])]
    expected.append(max(expected[1], plain[2]))
    assert sorted(frame["minus_none_p"].dropna()) == pytest.approx([min(1.0, p) for p in expected])


def test_one_seed_has_no_deviation_and_no_p(new_domain_cell: Cell) -> None:
    frame = new_domains([new_domain_cell({"1": THREE["1"]})])
    assert frame[["wauc_std", "minus_none_p", "minus_full_p"]].isna().all(axis=None)
    shown = readable_new_domains(frame)
    assert not [column for column in shown if column.startswith("p (")]
    assert shown["new domain served by"].tolist() == [
        "no adaptation",
        "its adapter alone, 10% of its rows",
        "its adapter alone, 100% of its rows",
        "retraining on all domains",
    ]
    assert shown["training rows of new domains"].tolist() == ["0", "50", "500", "500"]
    assert shown["WAUC"].tolist() == ["0.5000", "0.5000", "0.6250", "0.7500"]
    assert shown["− no adaptation"].tolist() == ["", "+0.0000", "+0.1250", "+0.2500"]
    assert shown["− retraining"].tolist() == ["-0.2500", "-0.2500", "-0.1250", ""]


def test_a_seed_whose_new_domains_have_one_class_counts_for_nothing(new_domain_cell: Cell) -> None:
    cell = new_domain_cell({"1": (0.5, 0.5, 0.5, 0.5), "2": (None, None, None, None)})
    frame = new_domains([cell])
    assert set(frame["n_seeds"]) == {1}
    assert set(frame["wauc_mean"]) == {0.5}
    nothing = new_domains([new_domain_cell({"1": (None, None, None, None)})])
    assert nothing["wauc_mean"].isna().all()
    assert set(readable_new_domains(nothing)["WAUC"]) == {""}


def test_several_seeds_show_p(new_domain_cell: Cell) -> None:
    shown = readable_new_domains(new_domains([new_domain_cell(THREE)]))
    assert shown["p (− no adaptation)"][0] == ""
    assert float(shown["p (− no adaptation)"][2]) < 1
    assert "±" in shown["WAUC"][1]


def test_no_cells_make_no_table() -> None:
    assert new_domains([]).empty
    assert readable_new_domains(new_domains([])).empty
