"""The runner, the options that all benchmarks share, and the summary of their figures."""

import importlib
import json
from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks import options, results
from benchmarks.figures import (
    FIGURES,
    Figure,
    evaluation,
    floor,
    grid,
    lora,
    pipeline,
    seeds,
    speed,
)
from benchmarks.registry import BENCHMARKS
from benchmarks.summary import lines, table, write_summary
from mlorakit import paths
from mlorakit.models import BACKBONES, VARIANTS

ENVIRONMENT = {"cpu": "a processor", "threads": 2, "gpu": "a card", "date": "2026-11-24"}
SPEED = {
    "environment": ENVIRONMENT,
    "note": "",
    "device": "cpu",
    "peers": {"deepctr_torch": "0.3.0", "fuxictr": "2.3.10"},
    "training": {
        "mlp": {"mlorakit": [90.0, 80.0], "fuxictr_alone": [10.0, 10.0]},
        "deepfm": {
            "mlorakit": [90.0, 90.0],
            "fuxictr_alone": [10.0, 10.0],
            "deepctr_torch_alone": [30.0, 30.0],
        },
    },
    "epochs": {
        "movielens": {
            "mlp": {"base": [1.0], "control": [1.0], "mlora": [1.2]},
            "nfm": {"base": [1.0], "control": [1.0], "mlora": [1.4]},
        }
    },
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_takes_the_shared_options(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    command = ["--threads", "3", "--note", "A note.", "--reports", str(tmp_path)]
    args = module.parse([*command, *(["--device", "cpu"] if BENCHMARKS[name].on_gpu else [])])
    assert (args.threads, args.note, args.reports) == (3, "A note.", tmp_path)
    assert hasattr(args, "device") is BENCHMARKS[name].on_gpu
    assert callable(module.main)
    assert name in FIGURES


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_run_does_less_and_replaces_no_measurement(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    full, quick = vars(module.parse([])), vars(module.parse(["--quick"]))
    assert full["reports"] == results.folder()
    assert quick["reports"] == paths.root() / "build" / "benchmarks"
    changed = {key for key in full if full[key] != quick[key]} - {"quick", "reports"}
    assert changed, "the same work as without --quick"


def test_an_option_given_wins_over_quick(tmp_path: Path) -> None:
    parser = options.make_parser("speed", "text")
    parser.add_argument("--rounds", type=int, default=9)
    args = options.parse(parser, ["--quick", "--reports", str(tmp_path)], {"rounds": 1})
    assert (args.rounds, args.reports) == (1, tmp_path)
    assert options.parse(parser, ["--quick", "--rounds", "4"], {"rounds": 1}).rounds == 4


def test_without_a_gpu_the_device_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        options.parse(options.make_parser("lora", "", device=True), ["--device", "cuda"], {})
    assert "torch finds no CUDA device" in capsys.readouterr().err


def test_the_runner_hands_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = runner.parse(["lora", "parity", "--threads", "1", "--reports", str(tmp_path)])
    found = runner.commands(args)
    assert list(found) == ["lora", "parity"]
    shared = ["--threads", "1", "--reports", str(tmp_path)]
    assert found["lora"][2:] == ["benchmarks.lora", *shared, "--device", "cpu"]
    assert found["parity"][2:] == ["benchmarks.parity", *shared]
    assert list(runner.commands(runner.parse([]))) == [n for n in BENCHMARKS if n != "grid"]
    assert list(runner.commands(runner.parse(["grid"]))) == ["grid"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    on_gpu = runner.commands(runner.parse(["--device", "cuda"]))
    assert list(on_gpu) == [name for name, entry in BENCHMARKS.items() if entry.on_gpu]


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.parse(["sped"])
    assert "no benchmark sped; there are speed, parity" in capsys.readouterr().err


def test_a_benchmark_runs_in_its_own_process_and_the_summary_follows(tmp_path: Path) -> None:
    runner.main(["pruning", "--quick", "--threads", "1", "--reports", str(tmp_path)])
    assert results.read_json(tmp_path / "pruning.json")["weights"] == 100_000
    (figure,) = results.read_json(tmp_path / "summary.json")["figures"]
    assert figure["benchmark"] == "pruning"
    assert figure["machine"].endswith(", 1 thread")
    assert "torch.nn.utils.prune's time over ours, 100,000" in (tmp_path / "summary.md").read_text()


def test_one_failure_stops_no_other_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def fake(args: object) -> dict[str, list[str]]:
        return {"lora": ["false"], "pruning": ["true"]}

    monkeypatch.setattr(runner, "commands", fake)
    call = runner.subprocess.run
    monkeypatch.setattr(runner.subprocess, "run", lambda c, **k: (ran.append(c), call(c, **k))[1])
    with pytest.raises(SystemExit, match=r"^lora failed"):
        runner.main(["--reports", str(tmp_path)])
    assert ran == [["false"], ["true"]]
    assert (tmp_path / "summary.md").is_file()


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("x", 8.0, least=8), True),
        (Figure("x", 7.99, least=8), False),
        (Figure("x", 3.0, most=3), True),
        (Figure("x", 3.01, most=3), False),
        (Figure("x", 3.01), None),
    ],
)
def test_a_target_is_met_at_its_bound(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_speed_is_judged_by_the_fastest_peer_and_the_dearest_backbone() -> None:
    # MLP: 9 and 8 times FuxiCTR; DeepFM: 3 times DeepCTR-Torch, which is faster than FuxiCTR.
    found = [(f.what, f.measured, f.detail, f.met) for f in speed(SPEED)]
    training = "training rows/s over the fastest peer's, 2 of 9 backbones"
    price = "an epoch of mlora over one of base, 2 domains"
    assert found == [
        (f"{training}, median", 5.75, "", False),
        (f"{training}, the least", 3.0, "DeepFM", False),
        (f"{price}, median of backbones", pytest.approx(1.3), "", None),
        (f"{price}, the most", 1.4, "NFM", False),
    ]


def test_on_a_gpu_two_backbones_have_a_target_of_their_own() -> None:
    found = speed({**SPEED, "device": "cuda", "epochs": {}})
    assert [(f.detail, f.measured, f.least) for f in found] == [
        ("MLP", 8.5, 20),
        ("DeepFM", 3.0, 20),
    ]


def test_seeds_that_differ_from_those_alone_are_said() -> None:
    cell = {"seconds": {"1": [2.0, 2.0], "5": [5.0, 7.0]}, "equal": False}
    found = {"device": "cpu", "seeds": 5, "cells": {"mlp": {"mlora": cell}}}
    (figure,) = seeds(found)
    assert (figure.measured, figure.most, figure.met) == (3.0, 3.0, True)
    assert "differ from those of running it alone" in figure.what
    (figure,) = seeds({**found, "device": "cuda"})
    assert (figure.most, figure.met) == (1.5, False)


def test_the_whole_table_has_a_target_on_a_gpu_alone() -> None:
    cells = {b: {v: {"seconds": 10.0, "epochs": 50} for v in VARIANTS} for b in BACKBONES}
    found = {"device": "cuda", "share": 1.0, "seeds": 5, "max_epochs": 0, "cells": cells}
    assert [(f.measured, f.most, f.met) for f in grid(found)] == [(270.0, 300, True)]
    for change in ({"device": "cpu"}, {"seeds": 2}, {"max_epochs": 1}, {"share": 0.5}):
        assert grid({**found, **change})[0].met is None


def test_a_step_over_its_floor_has_no_target() -> None:
    of_time = {"operations": 8e9, "copy_seconds": 1e-3, "kernels": 0.0}
    cells = {
        "mlp": {"base": {**of_time, "seconds": [9e-3, 4e-3, 8e-3]}},
        "nfm": {"base": {**of_time, "seconds": [12e-3]}},
    }
    found = floor({"device": "cpu", "operations_per_second": 2e12, "cells": cells})
    assert [f.measured for f in found] == pytest.approx([2.5, 3.0])
    assert [f.met for f in found] == [None, None]
    assert found[1].detail == "NFM base"


def test_the_other_figures_are_ratios_of_neighbouring_rounds() -> None:
    times = {"layer": [1.0, 2.0], "loop": [2.0, 8.0], "forward": [1.0, 1.0], "PEFT": [9.0, 11.0]}
    many = {**times, "layer": [3.0, 6.0]}
    found = lora({"device": "cpu", "seconds": {"64": {"2": times, "256": many}}})
    assert [f.measured for f in found] == [3.0, 1.0, 10.0]
    assert found[0].met is False
    cell = {"epoch": [10.0, 10.0], "evaluation": [0.5, 1.0]}
    (figure,) = evaluation({"cells": {"movielens": {"mlp": {"base": cell}}}, "auc": {}})
    assert (figure.measured, figure.met) == (pytest.approx(7.5), True)
    taken = {"training": [6.0], "papermill": [8.0], "dvc": [10.0]}
    repro = {"stages": 3, "stale": 0, "seconds": [4.0]}
    found = pipeline({"cell": "a cell", "seconds": taken, "nothing_to_do": repro})
    assert [(f.measured, f.unit, f.met) for f in found] == [(40.0, "%", False), (4.0, "s", True)]


def test_the_summary_names_each_machine_once(tmp_path: Path) -> None:
    results.write_json(tmp_path / "speed.json", SPEED)
    on_gpu = {**SPEED, "device": "cuda", "epochs": {}}
    results.write_json(tmp_path / "speed_cuda.json", on_gpu)
    write_summary(tmp_path)
    found = json.loads((tmp_path / "summary.json").read_text())["figures"]
    assert found == lines(tmp_path)
    text = (tmp_path / "summary.md").read_text()
    assert text == table(found)
    assert text.endswith("Machines. A: a processor, 2 threads; B: a card.\n")
    assert (
        "| training rows/s over the fastest peer's, 2 of 9 backbones, the least (DeepFM) | "
        "at least 5 | 3.00 | no | A | 2026-11-24 | [speed](reports/benchmarks/speed.md) |"
    ) in text
    assert "[speed_cuda](reports/benchmarks/speed_cuda.md)" in text


def test_the_committed_summary_is_that_of_the_committed_results() -> None:
    folder = paths.root() / "reports" / "benchmarks"
    stored = json.loads((folder / "summary.json").read_text())["figures"]
    assert stored == lines(folder), "run `python -m benchmarks --summary`, then `make readme`"
    assert (folder / "summary.md").read_text() == table(stored)
