"""What the tickets of two tasks have in common, and which fields they read: numbers by hand."""

import json

import pandas as pd
import pytest
import torch

from mlorakit.report.task_masks import field_use, overlap
from mlorakit.report.task_readable import readable_overlap
from mlorakit.report.task_results import read_masks, read_selection

from .task_tree import Tree


def test_weights_are_counted_by_the_tasks_that_keep_them() -> None:
    def pair(ctr: list[list[int]], cvr: list[list[int]]) -> dict:
        return {
            "ctr": {"trunk.0.weight": torch.tensor(ctr).float()},
            "cvr": {"trunk.0.weight": torch.tensor(cvr).float()},
        }

    seeds = [
        pair([[1, 1, 1], [0, 0, 0]], [[1, 0, 0], [1, 0, 0]]),
        pair([[1, 1, 1], [0, 0, 0]], [[1, 1, 0], [0, 0, 0]]),
    ]
    layer, trunk = overlap({"census": seeds}).to_dict("records")
    assert (layer["layer"], layer["weights"], layer["n_seeds"]) == ("1: 3 to 2", 6, 2)
    expected = {"shared": 1.5, "private_ctr": 1.5, "private_cvr": 0.5, "unused": 2.5}
    assert {name: layer[name] for name in expected} == expected
    assert layer["shared_by_chance"] == 1.0  # 3 of 6 times 2 of 6, of 6
    assert {name: trunk[name] for name in expected} == expected


@pytest.mark.usefixtures("tree")
def test_the_trunk_is_the_sum_of_its_layers() -> None:
    selection = read_selection()
    frame = overlap({name: read_masks(name, selection) for name in ("movielens", "census")})
    assert frame["layer"].tolist() == ["1: 10 to 8", "2: 10 to 2", "trunk"] * 2
    # Seed 1 keeps weights 0-49 for clicks, seed 2 50-99; both 75-99 for conversions.
    first, second, trunk = frame.head(3).to_dict("records")
    assert (first["shared"], first["private_ctr"], first["private_cvr"]) == (2.5, 37.5, 2.5)
    assert (second["shared"], second["private_ctr"], second["private_cvr"]) == (10, 0, 10)
    assert (trunk["shared"], trunk["unused"], trunk["weights"]) == (12.5, 37.5, 100)
    # 50 of 80 or 30 of 80 times 5 of 80; none or all of 20 times 20.
    assert trunk["shared_by_chance"] == pytest.approx((50 + 30) * 5 / 80 / 2 + 10)
    shown = readable_overlap(frame).iloc[2]
    assert (shown["shared"], shown["CTR alone"], shown["CVR alone"]) == (
        "12.50%",
        "37.50%",
        "12.50%",
    )


def test_use_is_the_share_kept_of_a_field_over_that_of_all(tree: Tree) -> None:
    path = tree.root / "data" / "processed" / "tasks" / "census" / "dataset.json"
    content = json.loads(path.read_text())
    content["fields"] = [{"name": name, "table": name, "columns": 1} for name in ("user", "tag")]
    path.write_text(json.dumps(content))
    # Two fields and K = 2: four products, then two columns of each field.
    ctr = torch.tensor([[1.0, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0, 0, 0]])
    cvr = torch.tensor([[0.0, 0, 0, 0, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1, 1]])
    seeds = [
        {"ctr": {"trunk.0.weight": ctr}, "cvr": {"trunk.0.weight": cvr}},
        {"ctr": {"trunk.0.weight": torch.ones(2, 8)}, "cvr": {"trunk.0.weight": cvr}},
    ]
    user, tag = field_use({"census": seeds}).to_dict("records")
    # Seed 1 keeps 3/4 of user and 1/4 of tag, on average 1/2; seed 2 keeps all.
    assert (user["ctr"], tag["ctr"]) == pytest.approx(((1.5 + 1) / 2, (0.5 + 1) / 2))
    # 1/4 and 3/4.
    assert (user["cvr"], tag["cvr"]) == pytest.approx((0.5, 1.5))
    assert user["role"] == "cvr"
    assert pd.isna(tag["role"])


@pytest.mark.usefixtures("tree")
def test_nothing_is_planted_in_real_data() -> None:
    frame = field_use({"movielens": read_masks("movielens", read_selection())})
    assert frame[["field", "role"]].to_numpy().tolist() == [["user", None]]


def test_without_masks_there_is_nothing() -> None:
    assert overlap({}).empty
    assert field_use({}).empty
    assert readable_overlap(pd.DataFrame()).empty
