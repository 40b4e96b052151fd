"""Results of cells as training leaves them, and what tests of tables and figures share."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from mlorakit.data import floors as data_floors
from mlorakit.report.figures import apply_style, save_figure

from ..conftest import SetParams
from .task_tree import Tree

Cell = Callable[..., dict]


def p_of(t: float) -> float:
    """Two-sided p of Student's t with 2 degrees of freedom, in closed form."""
    return 1 - t / math.sqrt(2 + t * t)


def saved(figure: Figure, folder: Path) -> dict[str, bytes]:
    """A figure's files by name."""
    save_figure(figure, folder, "figure", dpi=60)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def style() -> Iterator[None]:
    """The figures' style, without a window; closes what was drawn."""
    with mpl.rc_context():
        plt.switch_backend("agg")
        apply_style()
        yield
        plt.close("all")


def over_seeds(waucs: dict[str, float]) -> dict:
    """What metrics say of WAUC per seed as a whole."""
    values = list(waucs.values())
    mean = sum(values) / len(values)
    squares = sum((value - mean) ** 2 for value in values)
    return {
        "n_seeds": len(values),
        "wauc_mean": mean,
        "wauc_std": (squares / (len(values) - 1)) ** 0.5 if len(values) > 1 else None,
    }


@pytest.fixture
def cell() -> Cell:
    """Makes the metrics of one cell from its WAUC per seed."""

    def make(
        backbone: str,
        variant: str,
        waucs: dict[str, float],
        *,
        dataset: str = "generated",
        batch_order: str = "mixed",
    ) -> dict:
        return {
            "dataset": dataset,
            "backbone": backbone,
            "variant": variant,
            "batch_order": batch_order,
            **over_seeds(waucs),
            "epochs_mean": 4.5,
            "params": 12345,
            "params_embedding": 11000,
            "params_added": 0 if variant == "base" else 345,
            "seeds": {
                seed: {
                    "wauc": wauc,
                    "mean_auc": wauc - 0.25,
                    "auc": {"female": wauc + 0.125, "male": wauc - 0.125},
                }
                for seed, wauc in waucs.items()
            },
        }

    return make


@pytest.fixture
def baseline(cell: Cell) -> Cell:
    """Makes the metrics of one baseline's cell from its WAUC per seed."""

    def make(name: str, waucs: dict[str, float], **more: str) -> dict:
        made = cell("", "base", waucs, **more)
        return {k: v for k, v in made.items() if k not in ("backbone", "variant")} | {
            "baseline": name
        }

    return make


@pytest.fixture
def point() -> Cell:
    """Makes the metrics of a point of a sweep from its WAUC per seed."""

    def make(
        alpha: int | str,
        waucs: dict[str, float],
        *,
        dataset: str = "generated",
        backbone: str = "mlp",
        hidden: str = "256x128x64",
        n_domains: int = 2,
        added: int = 0,
    ) -> dict:
        return {
            "dataset": dataset,
            "backbone": backbone,
            "alpha": alpha,
            "hidden": hidden,
            "n_domains": n_domains,
            "rows_train": 1000 * n_domains,
            **over_seeds(waucs),
            "params": 1000 + added,
            "params_embedding": 800,
            "params_added": added,
            "seeds": {seed: {"wauc": wauc} for seed, wauc in waucs.items()},
        }

    return make


@pytest.fixture
def new_domain_cell() -> Cell:
    """Makes the metrics of a new-domain cell from WAUC per seed: none, each share, full."""

    def make(
        waucs: dict[str, tuple[float, ...]],
        *,
        dataset: str = "generated",
        backbone: str = "mlp",
        shares: tuple[float, ...] = (0.1, 1.0),
    ) -> dict:
        keys = [("none", 0.0), *(("adapter", share) for share in shares), ("full", 1.0)]
        return {
            "dataset": dataset,
            "backbone": backbone,
            "n_seeds": len(waucs),
            "seeds": {
                seed: {
                    "held_out": {"a": 60, "b": 40},
                    "known": {"user": 0.25, "item": 1.0},
                    "ways": [
                        {
                            "way": way,
                            "share": share,
                            "wauc": value,
                            "mean_auc": value,
                            "rows_train": round(500 * share),
                            "rows_validation": round(100 * share),
                            "epochs": 0 if way == "none" else 4,
                            "weights_trained": {"none": 0, "adapter": 70, "full": 900}[way],
                            "weights_added": 0 if way == "none" else 70,
                            "auc": {"a": value, "b": value},
                        }
                        for (way, share), value in zip(keys, values, strict=True)
                    ],
                }
                for seed, values in waucs.items()
            },
        }

    return make


FLOORS = [
    {"floor": "constant", "metric": "ctr_auc", "value": 0.5, "low": 0.5, "high": 0.5, "rows": 20},
    {"floor": "constant", "metric": "cvr_mse", "value": 0.2, "low": 0.1, "high": 0.3, "rows": 10},
    {"floor": "position", "metric": "ctr_auc", "value": 0.6, "low": 0.55, "high": 0.65, "rows": 20},
]


@pytest.fixture
def tree(project: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Results of two data sets, `census` with a second label that is a share."""
    set_params(lt4rec={"datasets": ["movielens", "census"], "methods": ["sparse", "hard"]})
    monkeypatch.setattr(data_floors, "floors", lambda name: FLOORS)
    found = Tree(project)
    for dataset in ("movielens", "census"):
        binary = dataset == "movielens"
        best = {} if binary else {"ctr_auc": 0.9}
        found.data(dataset, best=best, planted={} if binary else {"cvr": ["user"]})
        found.prune(dataset, "ctr", {"ctr_auc": [0.7, 0.72, 0.71]}, [0.31, 0.28, 0.29])
        cvr = {"cvr_mse": [0.2, 0.19, 0.18]} | ({"cvr_auc": [0.6, 0.61, 0.62]} if binary else {})
        found.prune(dataset, "cvr", cvr, [0.2, 0.21, 0.19])
        found.select(dataset, ctr=1, cvr=2)
        more = {"cvr_auc": 0.7} if binary else {}
        found.multitask(dataset, "sparse", {"ctr_auc": 0.75, "cvr_mse": 0.15} | more)
        found.multitask(dataset, "hard", {"ctr_auc": 0.76, "cvr_mse": 0.16} | more)
    return found
