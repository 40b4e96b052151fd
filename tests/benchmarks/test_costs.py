"""The benchmarks of what things cost, on little: their sides, their files, their pages."""

from pathlib import Path

import nbformat
import pytest
import torch

from benchmarks import evaluation, floor, grid, lora, pipeline, results, seeds, training_memory
from benchmarks.cost_pages import (
    evaluation_page,
    floor_page,
    grid_page,
    lora_page,
    over_floor,
    over_training,
    pipeline_page,
    pipeline_table,
    seeds_page,
    step_bounds,
    training_memory_page,
)
from benchmarks.data import random_data
from benchmarks.peers import PEERS, PeerMissingError
from mlorakit import paths
from mlorakit.cells import make_model
from mlorakit.config import TrainConfig
from mlorakit.data.batches import epoch_order
from mlorakit.data.dataset import MultiDomainData, Rows

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="needs Linux's /proc"
)
TRAIN_NOTEBOOK = paths.root() / "notebooks" / "train.ipynb"


def test_scikit_learns_aucs_are_ours() -> None:
    data = random_data(3, 400, 300)
    found = evaluation.auc_costs(data, rounds=2)
    assert found["rows"] == 300
    assert found["difference"] < 1e-12
    assert {side: len(times) for side, times in found["seconds"].items()} == {
        "mlorakit": 2,
        "scikit-learn": 2,
    }


def test_an_evaluation_is_timed_beside_its_epoch() -> None:
    costs = evaluation.cell_costs("deepfm", "mlora", random_data(2, 3000, 1000), rounds=2)
    assert list(costs) == ["epoch", "evaluation"]
    assert all(
        ours < whole for ours, whole in zip(costs["evaluation"], costs["epoch"], strict=True)
    )


def test_the_page_of_evaluation_divides_neighbouring_rounds() -> None:
    cell = {"epoch": [1.0, 2.0, 1.0], "evaluation": [0.1, 0.1, 0.02], "deepctr_torch": [0.2] * 3}
    auc = {
        "rows": 1000,
        "difference": 0.0,
        "seconds": {"mlorakit": [0.01, 0.01], "scikit-learn": [0.04, 0.02]},
    }
    found = {
        "environment": {"cpu": "a processor"},
        "note": "A note.",
        "share": 0.5,
        "deepctr_torch": "0.3.0",
        "data": {"movielens": "random ids"},
        "cells": {"movielens": {"deepfm": {"base": cell}}},
        "auc": {"movielens": auc},
    }
    page = evaluation_page(found)
    row = "| DeepFM | base | 1.000 | 0.100 | 5.0 (2.0 to 10.0) | 0.200 | 2.0 (2.0 to 10.0) |"
    assert row in page
    assert "| movielens (random ids) | 1,000 | 10.0 | 30.0 | 3.00 (2.00 to 4.00) | 0 |" in page
    assert "A note." in page


def test_the_cell_of_training_is_the_notebooks_own() -> None:
    source = seeds.training_cell(TRAIN_NOTEBOOK)
    notebook = nbformat.read(TRAIN_NOTEBOOK, as_version=4)
    assert source in [cell.source for cell in notebook.cells]
    config = TrainConfig.of(
        backbone="mlp", seeds=(1, 3), hidden=(8,), batch_size=64, max_epochs=1, device="cpu"
    )
    cell = seeds.Cell(config, random_data(2, 200, 100), source)
    cell.run()
    histories = cell.histories()
    assert list(histories) == [1, 3]
    assert histories[1] != histories[3]
    assert [len(history) for history in histories.values()] == [1, 1]


def test_a_notebook_without_that_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.ipynb"
    cells = [nbformat.v4.new_code_cell("for results in (1, 2):\n    pass")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with pytest.raises(ValueError, match=r"other\.ipynb has 0 cells that assign results"):
        seeds.training_cell(path)


def test_a_run_of_seeds_finds_the_first_unchanged(tmp_path: Path) -> None:
    command = ["--quick", "--backbones", "mlp", "--epochs", "1", "--share", "0.002"]
    folders = ["--reports", str(tmp_path), "--processed", str(tmp_path)]
    seeds.measure(seeds.parse([*command, *folders]))
    found = results.read_json(tmp_path / "seeds.json")
    cell = found["cells"]["mlp"]["mlora"]
    assert cell["equal"]
    assert {count: len(times) for count, times in cell["seconds"].items()} == {"1": 1, "2": 1}
    assert (tmp_path / "seeds.md").read_text() == seeds_page(found)
    assert "| MLP | mlora |" in seeds_page(found)


def test_a_run_of_the_grid_adds_up_its_cells(tmp_path: Path) -> None:
    command = ["--quick", "--variants", "base", "mlora", "--share", "0.002"]
    folders = ["--reports", str(tmp_path), "--processed", str(tmp_path)]
    grid.measure(grid.parse([*command, *folders]))
    found = results.read_json(tmp_path / "grid.json")
    assert {v: cell["epochs"] for v, cell in found["cells"]["mlp"].items()} == {
        "base": 2,
        "mlora": 2,
    }
    total = sum(cell["seconds"] for cell in found["cells"]["mlp"].values())
    page = (tmp_path / "grid.md").read_text()
    assert page == grid_page(found)
    assert f"| all |  | {total:.1f} | 4 |" in page


def first_batch(data: MultiDomainData, size: int) -> Rows:
    order = epoch_order(data.train, size, "mixed", torch.Generator().manual_seed(0))
    return next(order.batches(data.train))


def test_the_work_of_a_step_is_that_of_its_weights_and_products() -> None:
    data, rows = random_data(2, 200, 100), 64
    work = {}
    for variant in ("base", "mlora"):
        config = TrainConfig.of(backbone="mlp", variant=variant, hidden=(16, 8), alpha=4)
        model = make_model(config, data, seed=1)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        found = floor.work_of_a_step(model, first_batch(data, rows))
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert all(p.grad is None and p.dtype is torch.float32 for p in model.parameters())
        of_weights = 4 * 8 * sum(p.numel() for p in model.parameters())
        work[variant] = found["operations"], found["bytes"] - of_weights
    # 3 fields of 8, layers of 16 and 8, the head; each forward, and backward to input and weight.
    assert work["base"][0] == 6 * rows * (24 * 16 + 16 * 8 + 8)
    # Ranks 4 and 2: their products, and what they pass on, written and read.
    assert work["mlora"][0] - work["base"][0] == 6 * rows * (4 * (24 + 16) + 2 * (16 + 8))
    assert work["mlora"][1] - work["base"][1] == 4 * 2 * rows * (4 + 2)
    assert work["base"][1] >= 4 * 2 * rows * (24 + 16 + 8)


FLOOR = {
    "environment": {"cpu": "a processor"},
    "note": "",
    "device": "cuda",
    "data": "movielens",
    "steps": 100,
    "product": 4096,
    "operations_per_second": 1e12,
    "launch_seconds": 1e-6,
    "cells": {
        "mlp": {
            "base": {
                "operations": 300_000_000,
                "bytes": 12_000_000,
                "seconds": [240e-6, 300e-6, 210e-6],
                "kernels": 60.2,
                "copy_seconds": 10e-6,
            }
        }
    },
}


def test_a_step_is_set_beside_the_largest_of_its_bounds() -> None:
    cell = FLOOR["cells"]["mlp"]["base"]
    bounds = {"operations": 300e-6, "bytes": 10e-6, "launches": 60.2e-6}
    assert step_bounds(FLOOR, cell) == pytest.approx(bounds)
    assert over_floor(FLOOR, cell) == pytest.approx([0.8, 1.0, 0.7])
    assert list(step_bounds({**FLOOR, "device": "cpu"}, cell)) == ["operations", "bytes"]
    row = (
        "| MLP | base | 240 | 300 | 12.0 | 60 | 300 | 10 | 60 | operations | 0.80 (0.70 to 1.00) |"
    )
    assert row in floor_page(FLOOR)
    assert "launches" not in floor_page({**FLOOR, "device": "cpu"}).split("| backbone")[1]


def test_a_run_of_the_floor_measures_its_bounds(tmp_path: Path) -> None:
    folders = ["--reports", str(tmp_path), "--processed", str(tmp_path)]
    floor.measure(floor.parse(["--quick", "--steps", "2", *folders]))
    found = results.read_json(tmp_path / "floor.json")
    assert list(found["cells"]["mlp"]) == ["base", "mlora"]
    for cell in found["cells"]["mlp"].values():
        assert cell["kernels"] == 0
        assert len(cell["seconds"]) == 1
        assert all(bound > 0 for bound in step_bounds(found, cell).values())
    assert (tmp_path / "floor.md").read_text() == floor_page(found)


def test_the_loop_over_domains_gives_what_the_layer_gives() -> None:
    sides = lora.Sides(rows=48, n_domains=5, steps=2, device="cpu", with_peft=False)
    assert sides.differences()["loop"] < 1e-5
    groups = [batch.ends.tolist()[-1] for batch in sides.batches()]
    assert groups == [48, 48]
    before = sides.layer.lora_a.detach().clone()
    assert sides.train(sides.ours) > 0
    assert torch.equal(before, sides.layer.lora_a)  # no step
    assert sides.train(sides.ours, adam=True) > 0
    assert not torch.equal(before, sides.layer.lora_a)


@pytest.mark.skipif(lora.importlib.util.find_spec("peft") is None, reason="peft is not installed")
def test_pefts_adapters_give_what_the_layer_gives() -> None:
    sides = lora.Sides(rows=48, n_domains=5, steps=2, device="cpu", with_peft=True)
    assert sides.differences()["PEFT"] < 1e-5
    assert sides.infer_peft() > 0


def test_a_run_of_adapters_writes_its_numbers_and_its_page(tmp_path: Path) -> None:
    command = ["--quick", "--without-peft", "--note", "A note.", "--reports", str(tmp_path)]
    lora.measure(lora.parse(command))
    found = results.read_json(tmp_path / "lora.json")
    assert found["peft"] is None
    assert list(found["seconds"]) == ["64"]
    assert list(found["seconds"]["64"]["5"]) == ["layer", "loop", "with Adam", "forward"]
    assert max(d["loop"] for d in found["differences"]["64"].values()) < 1e-5
    page = (tmp_path / "lora.md").read_text()
    assert page == lora_page(found)
    assert "A note." in page


def test_the_page_of_adapters_divides_by_the_fewest_domains() -> None:
    few = {"layer": [1e-3, 1e-3], "loop": [2e-3, 2e-3], "forward": [1e-3] * 2, "PEFT": [9e-3] * 2}
    many = {**few, "layer": [1e-3, 3e-3]}
    found = {
        "environment": {},
        "note": "",
        "device": "cpu",
        "peft": "0.21.2",
        "shape": [256, 128, 8],
        "seconds": {"1024": {"2": few, "256": many}},
        "differences": {"1024": {"2": {"loop": 1e-6}}},
    }
    row = "| 256 | 2.00 | 2.00 | 1.00 | 9.00 | 2.00 (1.00 to 3.00) | 1.3 (0.7 to 2.0) |"
    assert f"{row} 9.0 (9.0 to 9.0) |" in lora_page(found)
    assert "PEFT 0.21.2's mixed batches" in lora_page(found)


def test_without_peft_the_benchmark_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PeerMissingError, match="peft is not installed; run `make bench`"):
        lora.peft_version()


@needs_proc
def test_memory_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    taken = training_memory.in_own_process("mlora", "mlp", tmp_path, 0.02, 1)
    # The random rows of the whole set alone take 22 MB.
    assert 20e6 < taken["peak"] - taken["imports"] < 1e9
    environment = {"cpu": "a processor"}
    sides = {"mlora": {"imports": 300_000_000, "peak": 520_000_000}, "fuxictr": taken}
    found = {
        "environment": environment,
        "note": "",
        "share": 1.0,
        "data": "movielens",
        "bytes": {"mlp": sides},
    }
    page = training_memory_page(found)
    assert "| MLP | mlorakit, mlora | 300 | 520 | 220 |" in page
    assert f"| MLP | {PEERS['fuxictr'].title} |" in page


def test_the_overhead_is_the_share_that_is_not_training() -> None:
    taken = {"training": [6.0, 9.0], "papermill": [8.0, 10.0], "dvc": [10.0, 12.0]}
    assert over_training(taken, "dvc") == [0.4, 0.25]
    assert pipeline_table(taken).splitlines()[2:] == [
        "| training alone | 7.50 |  |  |",
        "| papermill | 9.00 | 1.50 | 17.5 (10.0 to 25.0) |",
        "| dvc repro | 11.00 | 3.50 | 32.5 (25.0 to 40.0) |",
    ]


def test_the_page_of_the_pipeline_says_what_is_stale() -> None:
    taken = {"training": [6.0], "papermill": [8.0], "dvc": [10.0]}
    found = {"environment": {}, "note": "", "cell": "a cell", "seconds": taken}
    repro = {"stages": 58, "stale": 2, "seconds": []}
    page = pipeline_page({**found, "nothing_to_do": repro})
    assert "2 of 58 stages are not up to date. Run `make repro` first." in page
    page = pipeline_page({**found, "nothing_to_do": {**repro, "stale": 0, "seconds": [3.0, 4.0]}})
    assert "3.5 (3.0 to 4.0) seconds, 58 stages" in page


DVC_YAML = """\
stages:
  copy:
    cmd: cp given taken
    deps: [given]
    outs: [taken]
"""


def test_a_project_with_stale_stages_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "given").write_text("1")
    pipeline.run(tmp_path, "dvc", "init", "--quiet", "--no-scm")
    assert pipeline.nothing_to_do(tmp_path, 1) == {"stages": 1, "stale": 1, "seconds": []}
    assert not (tmp_path / "taken").exists()
    pipeline.run(tmp_path, "dvc", "repro")
    found = pipeline.nothing_to_do(tmp_path, 2)
    assert (found["stages"], found["stale"], len(found["seconds"])) == (1, 0, 2)
    (tmp_path / "given").write_text("2")
    assert pipeline.nothing_to_do(tmp_path, 1)["stale"] == 1
    assert (tmp_path / "taken").read_text() == "1"


def test_a_failing_command_is_said_with_its_message(tmp_path: Path) -> None:
    with pytest.raises(pipeline.StageError, match=r"`python -m dvc repro` exited with \d+ in"):
        pipeline.run(tmp_path, "dvc", "repro")


def test_a_cell_is_trained_alike_alone_by_papermill_and_by_dvc(tmp_path: Path) -> None:
    train = {"hidden": "8,4", "batch_size": 256, "max_epochs": 1, "threads": 1, "device": "cpu"}
    generated = {"users": 60, "movies": 40, "ratings": 1500}
    profile = {"generated": generated, "grid": {"datasets": ["generated"]}, "train": train}
    project = tmp_path / "project"
    pipeline.copy_project(project, profile, "generated")
    config = TrainConfig.of(
        **{**paths.params()["train"], **train},
        dataset="generated",
        backbone="mlp",
        variant="mlora",
        batch_order="mixed",
    )
    # Of the first round, which is not counted.
    found = pipeline.cell_seconds(config, project, rounds=0)
    assert found == {"training": [], "papermill": [], "dvc": []}
    cell = Path("metrics", "generated", "mlp-mlora-mixed.json")
    alone, by_dvc = (project / folder / cell for folder in ("reports/alone", "reports"))
    assert alone.read_bytes() == by_dvc.read_bytes()
