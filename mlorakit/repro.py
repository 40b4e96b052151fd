"""`python -m mlorakit.repro`: `dvc repro`, several stages at a time.

DVC runs one stage after the other, but several `dvc repro` may work in one project, each on stages
of its own; DVC's locks keep them apart. A cell of the grid computes on one core for about half its
time, so two cells with a thread each end sooner than one after the other with two. What comes out
is the same: results do not depend on the number of threads.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mlorakit import paths

_MOST_JOBS = 4
"""Unless more are asked for; each takes up to a gigabyte of memory."""

_MOST_AT_ONCE = 6
"""Stages that one `dvc repro` gets, so that what waits for them does not wait long."""

_EARLY = re.compile(r"(clean|code)@")
"""Stages of a second that other stages depend on and that seldom change what these see."""

_STAGE = re.compile(r"(?:Running stage '(.+)':|Stage '(.+)' didn't change, skipping)")
_EDGE = re.compile(r'"(.+)" -> "(.+)";')

Graph = dict[str, set[str]]
"""The stages that each stage waits for."""


def read_graph(dot: str) -> Graph:
    """The graph of stages from the output of `dvc dag --dot`."""
    graph: Graph = {name: set() for name in re.findall(r'^\s*"([^"]+)";$', dot, re.MULTILINE)}
    for before, after in _EDGE.findall(dot):
        graph.setdefault(before, set())
        graph.setdefault(after, set()).add(before)
    return graph


def stages_to_run(graph: Graph, changed: Iterable[str]) -> Graph:
    """The part of a graph that consists of changed stages and of all that follow them."""
    chosen = set(changed) & graph.keys()
    while more := {s for s in graph.keys() - chosen if graph[s] & chosen}:
        chosen |= more
    return {stage: graph[stage] & chosen for stage in graph if stage in chosen}


def by_length_of_what_follows(graph: Graph) -> list[str]:
    """All stages, those first that begin the longest chains."""
    followers: Graph = {stage: set() for stage in graph}
    for stage, befores in graph.items():
        for before in befores:
            followers[before].add(stage)
    lengths: dict[str, int] = {}

    def length(stage: str) -> int:
        if stage not in lengths:
            lengths[stage] = 1 + max(map(length, followers[stage]), default=0)
        return lengths[stage]

    return sorted(graph, key=length, reverse=True)  # a stable sort


def next_stages(waiting: list[str], graph: Graph, done: set[str], jobs: int) -> list[str]:
    """The stages that a free job gets.

    Several, because `dvc repro` takes seconds to start, but fewer towards the end, so that all
    jobs end at the same time; and not neighbours, which are alike in what they cost.
    """
    ready = [stage for stage in waiting if graph[stage] <= done]
    return ready[:: 2 * jobs][:_MOST_AT_ONCE]


def run(graph: Graph, jobs: int, threads: int) -> bool:
    """Run the stages of a graph; whether all succeeded. After a failure none is started."""
    waiting, done, failed = by_length_of_what_follows(graph), set[str](), False
    with ThreadPoolExecutor(jobs) as pool:
        running: dict[Future[bool], list[str]] = {}
        while running or (waiting and not failed):
            while waiting and not failed and len(running) < jobs:
                chosen = next_stages(waiting, graph, done, jobs)
                if not chosen:
                    break
                waiting = [stage for stage in waiting if stage not in chosen]
                running[pool.submit(_reproduce, chosen, threads)] = chosen
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done.update(running.pop(future))
                failed = failed or not future.result()
    return not failed


def _reproduce(stages: list[str], threads: int) -> bool:
    """Run stages in a `dvc repro` of their own, every line shown behind its stage's name."""
    command = ["dvc", "--wait-for-lock", "repro", "--single-item", *stages]
    limit = {"NUMBA_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    stage = stages[0]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**limit, **os.environ},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _STAGE.match(line):
                stage = found[1] or found[2]
            if line.strip():
                print(f"[{stage}] {line}", end="", flush=True)
    return process.returncode == 0


def sort_lock(path: Path) -> None:
    """Put the stages of dvc.lock in order of their names, whichever ended first."""
    yaml = YAML()
    yaml.default_flow_style = False  # as DVC writes it
    content = yaml.load(path)
    names = list(content["stages"])
    if names != sorted(names):
        content["stages"] = {name: content["stages"][name] for name in sorted(names)}
        yaml.dump(content, path)


def unprepared(params: dict[str, Any]) -> list[str]:
    """A sentence for each list of data sets in params.yaml that has some which
    `preprocess.datasets` does not; DVC would miss a folder and not say why.
    """
    sections = {name: params.get(name, {}) for name in ("grid", "new_domain")}
    sweeps = {f"ablations.{name}": value for name, value in params.get("ablations", {}).items()}
    prepared = params.get("preprocess", {}).get("datasets", [])
    found = []
    for name, section in {**sections, **sweeps}.items():
        wanted = section.get("datasets", []) if isinstance(section, dict) else []
        if missing := [dataset for dataset in wanted if dataset not in prepared]:
            found.append(
                f"params.yaml: {name}.datasets has {', '.join(missing)}, which "
                "preprocess.datasets lacks; add it there."
            )
    return found


def _changed() -> list[str]:
    """The stages that DVC would run, but for those that depend on them alone."""
    return list(json.loads(_asked("dvc", "status", "--json")))


def _asked(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # it has said why
    return done.stdout


def main(arguments: list[str] | None = None) -> None:
    """Bring the pipeline of the project up to date."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(prog="python -m mlorakit.repro", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=min(cores or 1, _MOST_JOBS), help="stages at a time"
    )
    jobs = parser.parse_args(arguments).jobs
    if jobs < 1:
        parser.error(f"--jobs is {jobs}; it must be at least 1.")
    if missing := unprepared(paths.params()):
        sys.exit("\n".join(missing))
    changed = _changed()
    if jobs > 1 and (early := list(filter(_EARLY.match, changed))):
        # First, or all that follows them would be gone through.
        if code := subprocess.run(["dvc", "repro", *early]).returncode:
            sys.exit(code)
        changed = _changed()
    if not changed:
        print("Data and pipelines are up to date.")  # in DVC's words, which needs seconds for them
        return
    graph = stages_to_run(read_graph(_asked("dvc", "dag", "--dot")), changed)
    if graph and jobs > 1:
        try:
            succeeded = run(graph, jobs, max((cores or 1) // jobs, 1))
        except KeyboardInterrupt:  # which the running stages got as well
            sys.exit(130)
        if not succeeded:
            sys.exit(
                "A stage failed, see above. What was finished is kept: run this again to go on."
            )
        sort_lock(paths.root() / "dvc.lock")
    # Last, DVC itself over all stages: where they are up to date, it says so.
    sys.exit(subprocess.run(["dvc", "repro"]).returncode)


if __name__ == "__main__":
    main()
