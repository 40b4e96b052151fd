"""The pruning benchmark on few weights: its two sides, its memory, its page."""

from pathlib import Path

import pytest
import torch

from benchmarks import pruning, results
from benchmarks.pages import pruning_page
from benchmarks.tables import pruning_table


def test_both_sides_keep_the_same_weights() -> None:
    weights = pruning.matrices(10_000, "cpu")
    assert [tuple(weight.shape) for weight in weights] == [(2, 1000)] * 5
    kept = {side: run(weights, 2000) for side, run in pruning.SIDES.items()}
    ours, theirs = kept.values()
    assert sum(int(mask.sum()) for mask in ours) == 2000
    assert all(torch.equal(a, b.bool()) for a, b in zip(ours, theirs, strict=True))


def test_the_table_divides_neighbouring_rounds() -> None:
    seconds = {"mlorakit": [0.5, 1.0, 0.25], "torch": [5.0, 20.0, 10.0]}
    memory = {"mlorakit": {"1000": 2.0, "5000": 1.5}, "torch": {"1000": 44.0}}
    assert pruning_table(1000, seconds, memory).splitlines()[2:] == [
        "| mlorakit | 1,000 | 0.50 |  | 2.00 |",
        "| mlorakit | 5,000 |  |  | 1.50 |",
        "| torch | 1,000 | 10.00 | 20.0 (10.0 to 40.0) | 44.00 |",
    ]


def test_a_run_writes_its_numbers_and_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "in_own_process", lambda side, total, device: total / 2000)
    monkeypatch.setattr(pruning, "LARGE", 4000)
    command = ["--weights", "10000", "--rounds", "2", "--large", "--note", "A note."]
    pruning.measure(pruning.parse([*command, "--reports", str(tmp_path)]))
    found = results.read_json(tmp_path / "pruning.json")
    assert found["differ"] == 0
    assert {side: len(times) for side, times in found["seconds"].items()} == {
        "mlorakit": 2,
        "torch.nn.utils.prune": 2,
    }
    assert found["bytes_per_weight"]["mlorakit"] == {"10000": 5.0, "4000": 2.0}
    page = (tmp_path / "pruning.md").read_text()
    assert page == pruning_page(found)
    assert "A note." in page
    assert "--device cuda" in pruning_page(found | {"device": "cuda"})


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
def test_memory_is_measured_in_a_process_of_its_own() -> None:
    # The masks alone take a byte per weight.
    assert 1 <= pruning.in_own_process("mlorakit", 20_000_000, "cpu") <= 1 + 8
