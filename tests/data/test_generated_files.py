"""Generated files of Amazon's and Taobao's formats go through the readers of the real ones."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mlorakit.data.amazon import read_reviews
from mlorakit.data.generated_files import generate_clicks, generate_reviews
from mlorakit.data.planted import PlantedSpec
from mlorakit.data.prepare import GENERATORS
from mlorakit.data.taobao import read_clicks

SPEC = PlantedSpec(
    domains=3, users=30, items=40, presence=0.6, positives=6, rank=1, signal=1.0, shift=1.0, seed=3
)


def changed(**changes: float) -> PlantedSpec:
    return PlantedSpec(**asdict(SPEC) | changes)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def truth(folder: Path) -> dict[str, float]:
    return json.loads((folder / "truth.json").read_text())["bayes_auc"]


def test_a_strict_reader_takes_every_review(tmp_path: Path) -> None:
    generate_reviews(SPEC, tmp_path)
    assert set(truth(tmp_path)) == {"Domain_1", "Domain_2", "Domain_3"}
    items = []
    for name, best in truth(tmp_path).items():
        frame, account = read_reviews(tmp_path / f"{name}_5.json.gz", strict=True)
        assert account.read == account.kept >= 18 * 5
        assert frame["user"].n_unique() == 18
        assert 0.5 < best < 1
        items.append(set(frame["item"]))
    assert set.intersection(*items)


def test_a_strict_reader_takes_every_click(tmp_path: Path) -> None:
    generate_clicks(SPEC, tmp_path)
    clicks = read_clicks(tmp_path, strict=True, themes=3, timed=True)
    assert set(clicks.themes) == set(truth(tmp_path))
    assert all(account.read == account.kept for account in clicks.accounts)
    for frame in clicks.themes.values():
        time = frame["time"].to_numpy()
        assert (np.diff(time) >= 0).all()
        assert 20181207000000 <= time.min() <= time.max() <= 20181212235959
    vectors = clicks.vectors["item"]["vector"].to_numpy()
    assert np.linalg.matrix_rank(vectors, tol=1e-3) == 9  # 8 of taste, and popularity


@pytest.mark.parametrize("generate", [generate_reviews, generate_clicks])
def test_a_seed_decides_every_byte(
    tmp_path: Path, generate: Callable[[PlantedSpec, Path], None]
) -> None:
    generate(SPEC, tmp_path / "first")
    generate(SPEC, tmp_path / "again")
    generate(changed(seed=4), tmp_path / "other")
    assert content(tmp_path / "again") == content(tmp_path / "first")
    assert content(tmp_path / "other").keys() == content(tmp_path / "first").keys()
    assert content(tmp_path / "other") != content(tmp_path / "first")


def test_files_of_an_earlier_draw_go(tmp_path: Path) -> None:
    generate_reviews(changed(domains=12), tmp_path)
    assert (tmp_path / "Domain_01_5.json.gz").is_file()
    generate_reviews(SPEC, tmp_path)
    assert set(content(tmp_path)) == {
        "truth.json", *(f"Domain_{n}_5.json.gz" for n in (1, 2, 3)),
    }  # fmt: skip


def test_both_are_registered() -> None:
    assert GENERATORS["generated_amazon"] == (PlantedSpec, generate_reviews)
    assert GENERATORS["generated_taobao"] == (PlantedSpec, generate_clicks)
