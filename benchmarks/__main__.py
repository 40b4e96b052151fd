"""Run the benchmarks, one after the other, and write their summary.

`python -m benchmarks` runs all, `python -m benchmarks speed lora` those two. Each has a process of
its own and more options, see `python -m benchmarks.NAME --help`. Their results go to
reports/benchmarks, and a line for each target to summary.json and summary.md there.
"""

import argparse
import os
import subprocess
import sys

from benchmarks import options
from benchmarks.registry import BENCHMARKS
from benchmarks.summary import write_summary


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    listed = "\n".join(f"  {name:<16} {entry.about}" for name, entry in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\nbenchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="name", help="all, if none is given")
    options.add_shared(parser)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--summary", action="store_true", help="run none, write the summary")
    args = options.parse(parser, arguments, {})
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.")
    return args


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    """The command of each benchmark that is asked for, or that is meant for the device."""
    on_gpu = args.device == "cuda"
    every = [n for n, entry in BENCHMARKS.items() if (entry.on_gpu if on_gpu else entry.on_cpu)]
    shared = ["--threads", str(args.threads), "--reports", str(args.reports)]
    shared += ["--note", args.note] if args.note else []
    shared += ["--quick"] if args.quick else []
    return {
        name: [
            *(sys.executable, "-m", f"benchmarks.{name}", *shared),
            *(["--device", args.device] if BENCHMARKS[name].on_gpu else []),
        ]
        for name in args.names or every
    }


def main(arguments: list[str] | None = None) -> None:
    """Run what is asked for; the summary is written whatever fails."""
    args = parse(arguments)
    environment = {**os.environ, "POLARS_MAX_THREADS": str(args.threads)}
    failed = []
    for name, command in ({} if args.summary else commands(args)).items():
        print(f"== {name}: {BENCHMARKS[name].about}", flush=True)
        if subprocess.run(command, env=environment).returncode:
            failed.append(name)
    write_summary(args.reports)
    print((args.reports / "summary.md").read_text())
    if failed:
        sys.exit(f"{', '.join(failed)} failed; the message stands above.")


if __name__ == "__main__":
    main()
