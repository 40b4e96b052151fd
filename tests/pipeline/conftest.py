"""A copy of the project in a temporary folder, with settings small enough for a test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
PARTS = (
    "mlorakit",
    "notebooks",
    "params.yaml",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    ".dvc/config",
)

TINY = {
    "sources": ["generated", "video_logs"],
    "generated": {
        "users": 60, "movies": 40, "ratings": 1500, "rank": 2, "shift": 1.0, "seed": 7,
    },
    "grid": {
        "datasets": ["generated"],
        "backbones": ["deepfm"],
        "variants": ["base", "control", "mlora"],
        "batch_orders": ["mixed"],
    },
    "two_stage": {"backbones": ["deepfm"]},
    "baselines": {
        "models": ["star", "ple"], "sizes": "auto", "dropout": "mamdr", "learning_rate": 0.001,
    },
    "video_logs": {
        "sessions": 150, "users": 60, "videos": 80, "overlap": 0.5, "signal": 1.5,
        "position_bias": 0.4, "parts": 2, "seed": 7,
    },
}  # fmt: skip
TINY_ABLATIONS = {
    "seeds": "1,2",
    "alpha": {"datasets": ["generated"], "backbones": ["deepfm"], "values": ["none", 32]},
    "domains": {"datasets": ["generated"], "backbones": ["deepfm"]},
    "widths": {"datasets": ["generated"], "backbones": ["deepfm"], "hidden": []},
}
TINY_NEW_DOMAIN = {
    "datasets": ["generated"],
    "backbones": ["deepfm"],
    "seeds": "1,2",
    "shares": "0.1,1",
}
TINY_TRAIN = {"seeds": "1,2", "hidden": "8,4", "batch_size": 256, "max_epochs": 2, "threads": 1}
TINY_LT4REC = {
    "datasets": ["video_logs"], "methods": ["sparse", "mmoe"], "seeds": "1,2", "rounds": 2,
    "embedding_size": 4, "hidden": "8,4", "expert_hidden": "4", "epochs": 2, "batch_size": 128,
    "bootstrap": 20, "threads": 1,
}  # fmt: skip


class Project:
    """A temporary project and the commands a user gives there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root),  # from the folder of notebooks too
            "MLORAKIT_MIRROR": "",
            "DVC_NO_ANALYTICS": "1",
        }

    def run(self, *command: str, folder: str = ".", check: bool = True) -> str:
        """Run a command in the project; returns what it printed."""
        done = subprocess.run(
            command,
            cwd=self.root / folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and done.returncode:
            pytest.fail(
                f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout[-6000:]}"
            )
        if not check and not done.returncode:
            pytest.fail(
                f"{' '.join(command)} was meant to fail and did not:\n{done.stdout[-2000:]}"
            )
        return done.stdout

    def files(self, *folders: str) -> dict[str, bytes]:
        """The content of every file below the folders."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for folder in folders
            for path in sorted((self.root / folder).rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Makes a fresh copy of the project, a git repository of its own, without any result."""

    def make() -> Project:
        root = tmp_path_factory.mktemp("project") / "mlorakit"
        for part in PARTS:
            source = PROJECT / part
            (root / part).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / part)
        params = yaml.safe_load((root / "params.yaml").read_text()) | TINY
        params["train"] |= TINY_TRAIN
        params["preprocess"] |= {"datasets": params["grid"]["datasets"]}
        params["ablations"] |= TINY_ABLATIONS
        params["new_domain"] |= TINY_NEW_DOMAIN
        params["lt4rec"] |= TINY_LT4REC
        (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        project = Project(root)
        project.run("git", "init", "--quiet")
        project.run("git", "add", "--all")
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        project.run("git", *author, "commit", "--quiet", "--message", "start")
        return project

    return make
