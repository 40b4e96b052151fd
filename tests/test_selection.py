"""The choice among tickets: the rule, what it needs, and the released layout."""

import json
from pathlib import Path

import pytest
import torch

from mlorakit.released_masks import chosen_path, read_released_mask
from mlorakit.selection import (
    MissingTicketsError,
    choose_round,
    read_selection,
    read_theta_0,
    read_ticket,
    select,
    selection_path,
    write_selection,
)
from mlorakit.task_cells import cell_files, write_json
from mlorakit.task_config import SelectConfig
from mlorakit.tensor_files import write_tensors

pytestmark = pytest.mark.usefixtures("project")

AT = ("movielens", "reports/lt4rec")


def rounds(*losses: float | None) -> dict[str, dict]:
    """Rounds of 8, 4, 2, ... weights with these validation losses, for seeds 1 and 2."""
    return {
        str(k): {
            "kept": 8 >> k,
            "kept_share": 2.0**-k,
            "validation_loss": loss,
            "seeds": {"1": {}, "2": {}},
        }
        for k, loss in enumerate(losses)
    }


def write(task: str, *losses: float | None) -> None:
    write_json(cell_files(*reversed(AT), f"prune-{task}").metrics, {"rounds": rounds(*losses)})


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        ((0.3, 0.2, 0.1, 0.4), 2),
        ((0.0, 0.3, 0.4), 1),  # the dense network is the best, and no ticket
        ((0.1, 0.2, 0.2, 0.3, 0.2), 4),  # of equal ones the sparsest
        ((0.1, None, 0.5), 2),
    ],
)
def test_the_ticket_with_the_smallest_validation_loss_is_chosen(
    losses: tuple[float | None, ...], chosen: int
) -> None:
    assert choose_round(rounds(*losses)) == chosen


def test_without_a_loss_nothing_is_chosen() -> None:
    with pytest.raises(ValueError, match="None of the rounds 0, 1, 2 has a validation loss"):
        choose_round(rounds(0.1, None, None))


def test_each_task_has_its_own_choice(project: Path) -> None:
    write("ctr", 0.1, 0.3, 0.2)
    write("cvr", 0.1, 0.2, 0.3)
    chosen = select(*AT)
    assert chosen["ctr"] == {
        "round": 2,
        "kept": 2,
        "kept_share": 0.25,
        "validation_loss": {"1": 0.3, "2": 0.2},
    }
    assert chosen["cvr"]["round"] == 1
    (path,) = write_selection(chosen, SelectConfig(dataset=AT[0], into=AT[1]))
    assert path == selection_path(*AT) == project / "reports/lt4rec/metrics/movielens/select.json"
    assert read_selection(*AT) == chosen == json.loads(path.read_text())


def test_a_task_without_tickets_is_named() -> None:
    write("ctr", 0.1, 0.3)
    with pytest.raises(MissingTicketsError, match=r"no tickets of movielens for cvr; run prune"):
        select(*AT)


def test_nothing_chosen_says_what_to_run() -> None:
    with pytest.raises(MissingTicketsError, match=r"select.json is not there.*select.ipynb"):
        read_selection(*AT)


def test_a_seed_without_tickets_is_named() -> None:
    for read in (lambda: read_ticket(*AT, "cvr", 7, 1), lambda: read_theta_0(*AT, "cvr", 7)):
        with pytest.raises(MissingTicketsError, match=r"prune-cvr has no tickets of seed 7 \(seed"):
            read()


def test_the_chosen_masks_are_written_for_the_released_code(project: Path) -> None:
    shapes = {"trunk.0.weight": (2, 3), "trunk.1.weight": (1, 2)}
    masks = {}
    for task in ("ctr", "cvr"):
        write(task, 0.1, 0.3, 0.2)
        folder = cell_files(*reversed(AT), f"prune-{task}").folder
        for seed in (1, 2):
            for number in (1, 2):
                masks[task, seed, number] = {
                    name: torch.randint(2, shape, dtype=torch.uint8)
                    for name, shape in shapes.items()
                }
                path = folder / f"seed-{seed}-round-{number}.safetensors"
                write_tensors(path, masks[task, seed, number], {})
    settings = SelectConfig(dataset=AT[0], into=AT[1], released_layout="build/masks")
    assert len(write_selection(select(*AT), settings)) == 1 + 4
    for task in ("ctr", "cvr"):
        for seed in (1, 2):
            path = chosen_path(project / f"build/masks/seed-{seed}", task)
            mask, number = read_released_mask(path, shapes)
            assert number == 2
            for name, part in mask.items():
                assert torch.equal(part, masks[task, seed, 2][name].float())
