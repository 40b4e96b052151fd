"""Metrics of the points that params.yaml asks for, and of the new-domain experiment."""

import json
from itertools import product
from pathlib import Path
from typing import Any

from mlorakit import paths
from mlorakit.ablation_config import CONTROL, SWEEPS, AblationConfig, Sweep, crossed
from mlorakit.config import TrainConfig
from mlorakit.new_domain_config import NewDomainGrid
from mlorakit.report.results import MissingCellsError, grid

POINTS = "reports/ablations/points"
NEW_DOMAIN = "reports/ablations/new_domain"
"""Where the pipeline's cells leave their results."""


def sweep(name: str) -> Sweep:
    """A sweep of `ablations` in params.yaml.

    Raises:
        ParameterError: it names something that is not known.
    """
    return Sweep.of(**paths.params()["ablations"][name])


def new_domain_grid() -> NewDomainGrid:
    """The cells of `new_domain` in params.yaml.

    Raises:
        ParameterError: it names something that is not known.
    """
    section = paths.params()["new_domain"]
    return NewDomainGrid.of(datasets=section["datasets"], backbones=section["backbones"])


def train_settings() -> dict[str, Any]:
    """`train` of params.yaml as `TrainConfig` takes it."""
    return dict(paths.params()["train"])


def ablation_datasets() -> tuple[str, ...]:
    """All data sets of the sweeps and of the new-domain experiment, each once."""
    names = [name for kind in SWEEPS for name in sweep(kind).datasets]
    return tuple(dict.fromkeys((*names, *new_domain_grid().datasets)))


def overhead_datasets() -> tuple[str, ...]:
    """Those of `grid`, and after them `ablation_datasets`."""
    return tuple(dict.fromkeys((*grid().datasets, *ablation_datasets())))


def read_points(kind: str) -> list[dict]:
    """Metrics of a sweep's points with their dataset, backbone, alpha and hidden, in grid order.

    `alpha` is a number, or `none` of a control. Widths that the sweep of widths leaves out and that
    of alpha has, those of `train`, are taken from there: a point of both is trained once.

    Raises:
        MissingCellsError: some have not been trained.
    """
    points = _points(kind)
    if kind == "widths":
        wanted = sweep(kind)
        have = {_key(point) for point in points}
        points += [
            point
            for point in _points("alpha")
            if point["dataset"] in wanted.datasets
            and point["backbone"] in wanted.backbones
            and point["alpha"] in (CONTROL, _paper_alpha(point))
            and _key(point) not in have
        ]
    return points


def _paper_alpha(point: dict) -> int:
    of_paper = TrainConfig.of(dataset=point["dataset"], backbone=point["backbone"], alpha="paper")
    return of_paper.rank_alpha


def _key(point: dict) -> tuple:
    return point["dataset"], point["backbone"], point["alpha"], point["hidden"]


def _points(kind: str) -> list[dict]:
    chosen = sweep(kind)
    usual = TrainConfig.of(**train_settings()).hidden
    hidden = chosen.hidden if kind == "widths" else (usual,)
    configs = [
        AblationConfig.of(sweep=kind, dataset=dataset, backbone=backbone, alpha=alpha, hidden=width)
        for dataset, backbone, width, alpha in product(
            chosen.datasets, chosen.backbones, hidden, chosen.values
        )
    ]
    files = [paths.root() / POINTS / kind / c.dataset / f"{c.point}.json" for c in configs]
    return [
        {
            "dataset": config.dataset,
            "backbone": config.backbone,
            "alpha": CONTROL if config.alpha == CONTROL else config.train.rank_alpha,
            "hidden": crossed(config.hidden),
            **json.loads(path.read_text()),
        }
        for config, path in zip(configs, _present(files, f"ablations.{kind}"), strict=True)
    ]


def read_new_domain() -> list[dict]:
    """Metrics of the new-domain cells with their dataset and backbone.

    Raises:
        MissingCellsError: some have not been trained.
    """
    asked = new_domain_grid()
    cells = list(product(asked.datasets, asked.backbones))
    files = [paths.root() / NEW_DOMAIN / data / f"{backbone}.json" for data, backbone in cells]
    return [
        {"dataset": dataset, "backbone": backbone, **json.loads(path.read_text())}
        for (dataset, backbone), path in zip(cells, _present(files, "new_domain"), strict=True)
    ]


def _present(files: list[Path], section: str) -> list[Path]:
    missing = [path.relative_to(paths.root()).as_posix() for path in files if not path.is_file()]
    if missing:
        raise MissingCellsError(
            f"{len(missing)} of {len(files)} files that {section} in params.yaml asks for are not "
            f"there: {', '.join(missing)}. `dvc repro` makes them."
        )
    return files
