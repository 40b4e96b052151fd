"""The benchmark of serving a ticket: its masks, its memory, its table and page."""

from pathlib import Path

import pytest
import torch

from benchmarks import results, sparse
from benchmarks.pages import sparse_page
from benchmarks.tables import sparse_table, sparse_verdict
from mlorakit.models.lt4rec import LT4REC
from mlorakit.tensor_files import write_tensors
from mlorakit.tickets import kept

MODELS = [
    {"side": "dense", "kept": 1000, "trunk_bytes": 4096},
    {"side": "masked", "kept": 500, "trunk_bytes": 8192},
    {"side": "compact", "kept": 480, "trunk_bytes": 3072},
]
SECONDS = [[0.002, 0.004], [0.004, 0.004], [0.001, 0.004]]


@pytest.fixture(scope="module")
def model() -> LT4REC:
    return sparse.network("cpu")


def test_the_masks_are_those_of_four_rounds(model: LT4REC) -> None:
    masks = sparse.pruned_masks(model)
    assert [kept(mask) for mask in masks] == [532_480, 356_091, 238_132, 159_248, 106_496]


def test_a_ticket_of_a_fifth_holds_its_weights_and_their_places(model: LT4REC) -> None:
    dense, masked, compact = sparse.served(model, sparse.pruned_masks(model)[-1:])
    assert [entry.side for entry in (dense, masked, compact)] == ["dense", "masked", "compact"]
    assert dense.kept == 532_480
    assert dense.trunk_bytes == 4 * (532_480 + 512 + 256 + 128)
    assert masked.trunk_bytes == dense.trunk_bytes + 4 * 532_480
    # A value and a column of four bytes each per weight, a start per row and one more per layer.
    rows = 512 + 256 + 128
    assert compact.kept == masked.kept == 106_496
    assert compact.trunk_bytes == 8 * 106_496 + 4 * (rows + 3) + 4 * rows


def test_whole_model_and_trunk_give_the_same_on_both_sides(model: LT4REC) -> None:
    models = sparse.served(model, sparse.pruned_masks(model)[2:3])
    ids = sparse.random_ids(70, model, "cpu")
    assert sparse.largest_difference(models, ids) < 1e-5
    with torch.inference_mode():
        _, masked, compact = models
        x = model.input(ids)
        torch.testing.assert_close(compact.trunk(x), masked.trunk(x), rtol=1e-4, atol=1e-6)
        logits = model.heads[sparse.TASK](masked.trunk(x)).squeeze(1)
        torch.testing.assert_close(masked.whole(ids), logits)


def test_stored_masks_are_those_of_a_cell(model: LT4REC, tmp_path: Path) -> None:
    masks = sparse.pruned_masks(model)
    for number, mask in enumerate(masks):
        small = {name: part.to(torch.uint8) for name, part in mask.items()}
        write_tensors(tmp_path / f"seed-2-round-{number}.safetensors", small, {"round": number})
    found = sparse.stored_masks(model, tmp_path, 2)
    for mask, expected in zip(found, masks, strict=True):
        torch.testing.assert_close(mask, expected)
    with pytest.raises(sparse.TicketError, match=r"seed-1-round-0.safetensors is not there"):
        sparse.stored_masks(model, tmp_path, 1)
    other = {"trunk.0.weight": torch.ones(8, 4, dtype=torch.uint8)}
    write_tensors(tmp_path / "seed-2-round-0.safetensors", other, {"round": 0})
    with pytest.raises(sparse.TicketError, match=r"holds masks trunk.0.weight 8 x 4; .* 512 x 720"):
        sparse.stored_masks(model, tmp_path, 2)


def test_the_table_divides_the_dense_time_by_a_models_own_in_the_same_round() -> None:
    table = sparse_table(MODELS, {"1": SECONDS, "4096": SECONDS}, 1000)
    middle = "3.000 ms |  | 1,365,333 rows/s | "
    assert table.splitlines()[2:] == [
        f"| dense | 100.00% | 1,000 | {middle} | 4 KiB |  |",
        "| masked | 50.00% | 500 | 4.000 ms | 0.75 (0.50 to 1.00) | 1,024,000 rows/s"
        " | 0.75 (0.50 to 1.00) | 8 KiB | 2.00 |",
        # In the row of the mask it was made from, though it folded some of its weights away.
        "| compact | 50.00% | 480 | 2.500 ms | 1.50 (1.00 to 2.00) | 1,638,400 rows/s"
        " | 1.50 (1.00 to 2.00) | 3 KiB | 0.75 |",
    ]


@pytest.mark.parametrize(
    ("times", "verdict"),
    [([0.001, 0.003], "faster"), ([0.003, 0.005], "slower"), ([0.001, 0.005], "undecided")],
)
def test_a_verdict_needs_every_round(times: list[float], verdict: str) -> None:
    found = sparse_verdict(MODELS, [SECONDS[0], SECONDS[1], times], 1000)
    assert found == {"faster": [], "slower": [], "undecided": []} | {verdict: ["50.00%"]}


def test_a_run_writes_its_numbers_and_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "CALLS", {1: 2, 70: 1})
    command = ["--rounds", "2", "--note", "A note.", "--reports", str(tmp_path)]
    sparse.measure(sparse.parse(command))
    found = results.read_json(tmp_path / "sparse.json")
    assert [entry["side"] for entry in found["models"]] == ["dense"] + ["masked", "compact"] * 5
    for part in ("whole", "trunk"):
        assert {
            rows: [len(t) for t in times] for rows, times in found["seconds"][part].items()
        } == {
            "1": [2] * 11,
            "70": [2] * 11,
        }
    page = (tmp_path / "sparse.md").read_text()
    assert page == sparse_page(found)
    for text in (
        "A note.",
        "| compact | 20.00% | 106,496 |",
        "70 rows at a time: ",
        "over 2 rounds",
    ):
        assert text in page
    assert "--device cuda" in sparse_page(found | {"device": "cuda"})
    assert "those of tickets, seed 1." in sparse_page(found | {"tickets": "tickets, seed 1"})
