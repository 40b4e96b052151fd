"""Generated raw files: MovieLens's format, a known truth."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from mlorakit.data.described import described
from mlorakit.data.generated import GeneratedSpec, generate
from mlorakit.data.movielens import read_movielens
from mlorakit.data.rows import DataError

from ..conftest import SetParams

SPEC = GeneratedSpec(users=30, movies=20, ratings=400, rank=2, shift=1.0, seed=3)


def made(folder: Path, **changes: float) -> dict[str, bytes]:
    generate(GeneratedSpec(**asdict(SPEC) | changes), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_strict_reader_takes_every_row(tmp_path: Path) -> None:
    made(tmp_path)
    frame, accounts = read_movielens(tmp_path, strict=True)
    assert [(a.file, a.read, a.kept) for a in accounts] == [
        ("ratings.dat", 400, 400),
        ("users.dat", 30, 30),
        ("movies.dat", 20, 20),
    ]
    assert set(frame["gender"]) == {"F", "M"}
    assert 0.1 < frame["label"].cast(float).mean() < 0.6


def test_all_pairs_can_be_rated(tmp_path: Path) -> None:
    made(tmp_path, ratings=600)
    frame, _ = read_movielens(tmp_path, strict=True)
    assert frame.select("user", "movie").n_unique() == 600


def test_ratings_run_from_one_to_five(tmp_path: Path) -> None:
    rows = made(tmp_path)["ratings.dat"].decode().splitlines()
    counts = Counter(row.split("::")[2] for row in rows)
    assert set(counts) == {"1", "2", "3", "4", "5"}


def test_a_seed_decides_every_byte(tmp_path: Path) -> None:
    first = made(tmp_path / "first")
    assert made(tmp_path / "again") == first
    assert made(tmp_path / "other", seed=4)["ratings.dat"] != first["ratings.dat"]


def test_the_truth_is_better_than_chance_in_both_domains(tmp_path: Path) -> None:
    truth = json.loads(made(tmp_path, users=200, movies=100, ratings=8000)["truth.json"])
    assert set(truth["bayes_auc"]) == {"F", "M"}
    assert all(0.7 < auc < 1 for auc in truth["bayes_auc"].values())


def test_the_shift_turns_tastes_of_the_genders_apart(tmp_path: Path) -> None:
    shifted = made(tmp_path / "shifted", shift=3.0)
    assert shifted["ratings.dat"] != made(tmp_path / "alike", shift=0.0)["ratings.dat"]


def test_the_description_of_the_project_is_understood(
    set_params: SetParams, prepared: Path
) -> None:
    set_params(generated=asdict(SPEC))
    assert described(GeneratedSpec, "generated") == SPEC


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratings": 601}, "ratings = 601 exceeds the 600 pairs of 30 users and 20 movies"),
        ({"users": 1}, "params.yaml, generated.users: "),
        ({"rank": "two"}, "params.yaml, generated.rank: "),
        ({"shift": -1}, "params.yaml, generated.shift: "),
    ],
)
def test_a_description_that_cannot_be_drawn_is_refused_in_one_sentence(
    set_params: SetParams, change: dict, message: str
) -> None:
    set_params(generated=asdict(SPEC) | change)
    with pytest.raises(DataError) as refused:
        described(GeneratedSpec, "generated")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
