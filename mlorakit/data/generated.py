"""Raw files in MovieLens's format with a known truth, for runs without a network."""

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from sklearn.metrics import roc_auc_score

from mlorakit.data.movielens import AGES, OCCUPATIONS
from mlorakit.data.truth import write_truth


@dataclass(frozen=True)
class GeneratedSpec:
    """`generated` in params.yaml.

    Args:
        users, movies: how many of each.
        ratings: distinct (user, movie) pairs among them.
        rank: of each gender's shift of the shared score.
        shift: size of that shift; 0 makes the two domains alike.
        seed: of everything.
    """

    users: Annotated[int, Field(ge=2)]
    movies: Annotated[int, Field(ge=2)]
    ratings: Annotated[int, Field(ge=10)]
    rank: Annotated[int, Field(ge=1)]
    shift: Annotated[float, Field(ge=0)]
    seed: int

    def __post_init__(self) -> None:
        if self.ratings > self.users * self.movies:
            raise ValueError(
                f"ratings = {self.ratings} exceeds the {self.users * self.movies} pairs of "
                f"{self.users} users and {self.movies} movies"
            )


def generate(spec: GeneratedSpec, into: Path) -> None:
    """Write ratings.dat, users.dat, movies.dat and truth.json.

    A rating is 5 with probability sigmoid(a_i + b_j + u_i v_j + shift u_i P_g Q_g v_j - 1.5), where
    g is the user's gender and P_g has `rank` columns; otherwise it is 1 to 4, uniformly. truth.json
    holds, per gender, the AUC of that probability on the ratings drawn: no model can expect more.

    Args:
        spec: what to draw.
        into: folder, made if missing.
    """
    rng = np.random.default_rng(spec.seed)
    size = 8
    users = rng.normal(size=(spec.users, size))
    movies = rng.normal(size=(spec.movies, size)) / np.sqrt(size)
    gender = rng.integers(2, size=spec.users)
    gender[:2] = 0, 1  # both domains have a user
    down = rng.normal(size=(2, size, spec.rank)) / np.sqrt(size)
    up = rng.normal(size=(2, spec.rank, size)) / np.sqrt(spec.rank)
    shifted = users + spec.shift * np.einsum("uk,ukr,url->ul", users, down[gender], up[gender])

    pairs = rng.choice(spec.users * spec.movies, size=spec.ratings, replace=False)
    user, movie = np.sort(pairs) // spec.movies, np.sort(pairs) % spec.movies
    taste = (shifted[user] * movies[movie]).sum(1)
    effect = rng.normal(size=spec.users)[user] + rng.normal(size=spec.movies)[movie]
    probability = 1 / (1 + np.exp(1.5 - effect - taste))
    positive = rng.random(spec.ratings) < probability
    rating = np.where(positive, 5, rng.integers(1, 5, size=spec.ratings))

    into.mkdir(parents=True, exist_ok=True)
    ages, occupations = list(AGES), len(OCCUPATIONS)
    (into / "users.dat").write_text(
        "".join(
            f"{i + 1}::{'FM'[gender[i]]}::{ages[rng.integers(len(ages))]}"
            f"::{rng.integers(occupations)}::{rng.integers(10_000, 99_999)}\n"
            for i in range(spec.users)
        )
    )
    (into / "movies.dat").write_text(
        "".join(f"{j + 1}::Movie {j + 1} ({1950 + j % 50})::Drama\n" for j in range(spec.movies))
    )
    (into / "ratings.dat").write_text(
        "".join(
            f"{u + 1}::{m + 1}::{r}::{978_300_000 + n}\n"
            for n, (u, m, r) in enumerate(zip(user, movie, rating, strict=True))
        )
    )
    truth = {
        "bayes_auc": {
            "FM"[g]: _auc(positive[gender[user] == g], probability[gender[user] == g])
            for g in (0, 1)
        }
    }
    write_truth(into, spec, truth, ("users.dat", "movies.dat", "ratings.dat"))


def _auc(label: NDArray[np.bool_], probability: NDArray[np.float64]) -> float | None:
    """None where the label has one value only."""
    return float(roc_auc_score(label, probability)) if label.min() < label.max() else None
