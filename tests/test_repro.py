"""`dvc repro` with several stages at a time: the order, and a small pipeline."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlorakit.repro import (
    by_length_of_what_follows,
    next_stages,
    read_graph,
    stages_to_run,
    unprepared,
)

DOT = """strict digraph {
"fetch";
"train@a";
"train@b";
"alone";
"fetch" -> "train@a";
"fetch" -> "train@b";
"train@a" -> "tables";
"train@b" -> "tables";
}
"""
GRAPH = {
    "fetch": set(),
    "train@a": {"fetch"},
    "train@b": {"fetch"},
    "alone": set(),
    "tables": {"train@a", "train@b"},
}


def test_the_graph_is_read_from_what_dvc_prints() -> None:
    assert read_graph(DOT) == GRAPH


def test_what_changed_runs_with_all_that_follows_and_nothing_else() -> None:
    assert stages_to_run(GRAPH, ["train@b"]) == {"train@b": set(), "tables": {"train@b"}}
    assert stages_to_run(GRAPH, ["no stage of it"]) == {}


def test_long_chains_begin_first() -> None:
    graph = {"a": set(), "b": set(), "c": {"b"}, "d": {"c"}, "e": {"a"}}
    assert by_length_of_what_follows(graph) == ["b", "a", "c", "d", "e"]


def test_a_job_gets_ready_stages_only_and_fewer_towards_the_end() -> None:
    graph = {f"train-{i}": {"fetch"} for i in range(9)} | {"fetch": set()}
    waiting = list(graph)
    assert next_stages(waiting, graph, set(), jobs=2) == ["fetch"]
    waiting.remove("fetch")
    assert next_stages(waiting, graph, {"fetch"}, 2) == ["train-0", "train-4", "train-8"]
    assert next_stages(waiting[:4], graph, {"fetch"}, 2) == ["train-0"]
    many = [f"train-{i}" for i in range(100)]
    assert len(next_stages(many, {stage: set[str]() for stage in many}, set(), 2)) == 6


def test_a_data_set_that_nothing_prepares_is_named() -> None:
    params = {
        "preprocess": {"datasets": ["movielens"]},
        "grid": {"datasets": ["movielens", "mine", "other"]},
        "ablations": {"seeds": "1", "alpha": {"datasets": ["mine"]}, "widths": {"datasets": []}},
        "new_domain": {"datasets": ["movielens"]},
    }
    assert unprepared(params) == [
        "params.yaml: grid.datasets has mine, other, which preprocess.datasets lacks; add it "
        "there.",
        "params.yaml: ablations.alpha.datasets has mine, which preprocess.datasets lacks; add it "
        "there.",
    ]
    params["preprocess"]["datasets"] += ["mine", "other"]
    assert unprepared(params) == []


PIPELINE = """
stages:
  first:
    foreach: [d, c, b, a]
    do:
      cmd: echo ${item} in $NUMBA_NUM_THREADS > first-${item}.txt
      outs: ["first-${item}.txt"]
  last:
    cmd: cat first-a.txt first-b.txt first-c.txt first-d.txt > last.txt && grep -q a last.txt
    deps: [first-a.txt, first-b.txt, first-c.txt, first-d.txt]
    outs: [last.txt]
"""


class Pipeline:
    """A project of five small stages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.define(PIPELINE)
        (root / "params.yaml").write_text("{}\n")
        (root / "mlorakit").mkdir()
        subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
        self.run("-m", "dvc", "init", "--quiet")

    def define(self, stages: str) -> None:
        (self.root / "dvc.yaml").write_text(stages)

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        package = str(Path(__file__).resolve().parents[1])
        environment = {**os.environ, "PATH": path, "PYTHONPATH": package, **more}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("pipeline"))


def test_stages_run_side_by_side_and_the_last_one_after_them(pipeline: Pipeline) -> None:
    done = pipeline.run("-m", "mlorakit.repro", "--jobs", "2", NUMBA_NUM_THREADS="7")
    assert done.returncode == 0, done.stdout
    made = (pipeline.root / "last.txt").read_text()
    assert made == "".join(f"{item} in 7\n" for item in "abcd")
    assert "[first@a] Running stage 'first@a':" in done.stdout
    assert done.stdout.rstrip().endswith("Data and pipelines are up to date.")
    lock = yaml.safe_load((pipeline.root / "dvc.lock").read_text())
    assert list(lock["stages"]) == ["first@a", "first@b", "first@c", "first@d", "last"]
    again = pipeline.run("-m", "mlorakit.repro", "--jobs", "2")
    assert "Running stage" not in again.stdout
    assert "up to date" in again.stdout


def test_a_failing_stage_stops_the_run_and_keeps_what_is_finished(pipeline: Pipeline) -> None:
    failing = PIPELINE.replace("echo ${item} in", "test ${item} != c && echo ${item} now in")
    pipeline.define(failing.replace("grep -q a", "grep -q now"))
    done = pipeline.run("-m", "mlorakit.repro", "--jobs", "2")
    assert done.returncode == 1
    assert "[first@c] ERROR: failed to reproduce 'first@c'" in done.stdout
    assert "A stage failed, see above." in done.stdout
    assert "Running stage 'last'" not in done.stdout
    lock = yaml.safe_load((pipeline.root / "dvc.lock").read_text())["stages"]
    assert "now" in lock["first@d"]["cmd"]


def test_what_depends_on_an_early_stage_is_left_alone_if_that_makes_the_same(
    pipeline: Pipeline,
) -> None:
    pipeline.define("""
stages:
  code:
    foreach: [a]
    do:
      cmd: grep used source.txt > code.txt
      deps: [source.txt]
      outs: [code.txt]
  cell:
    cmd: cat code.txt > cell.txt
    deps: [code.txt]
    outs: [cell.txt]
""")
    source = pipeline.root / "source.txt"

    def ran(text: str) -> list[str]:
        source.write_text(text)
        done = pipeline.run("-m", "mlorakit.repro", "--jobs", "2")
        assert done.returncode == 0, done.stdout
        found = re.findall(r"Running stage '(\S+)'", done.stdout)
        assert ("[cell]" in done.stdout) == ("cell" in found)  # else DVC has gone through it
        return found

    assert ran("used 1\n") == ["code@a", "cell"]
    assert ran("used 1\nother\n") == ["code@a"]
    assert ran("used 2\n") == ["code@a", "cell"]
    source.write_text("other\n")
    failed = pipeline.run("-m", "mlorakit.repro", "--jobs", "2")
    assert failed.returncode != 0
    assert "failed to reproduce 'code@a'" in failed.stdout


def test_a_run_that_would_miss_a_data_set_does_not_start(pipeline: Pipeline) -> None:
    (pipeline.root / "params.yaml").write_text("grid: {datasets: [mine]}\n")
    done = pipeline.run("-m", "mlorakit.repro")
    (pipeline.root / "params.yaml").write_text("{}\n")
    assert done.returncode == 1
    assert "grid.datasets has mine, which preprocess.datasets lacks" in done.stdout
    assert "stage" not in done.stdout


@pytest.mark.parametrize("jobs", ["0", "-1"])
def test_a_number_of_jobs_below_1_is_refused(pipeline: Pipeline, jobs: str) -> None:
    done = pipeline.run("-m", "mlorakit.repro", "--jobs", jobs)
    assert done.returncode == 2
    assert f"--jobs is {jobs}; it must be at least 1." in done.stdout
