"""A log with a planted truth that MLoRA's layer can express: many rows, few users and items.

In `generated_amazon` a user has some sixty rows, too few to learn its vector of eight numbers from:
every variant stops little above the items' popularity (a WAUC of 0.77 where 0.91 is possible), and
nothing can be said of LoRA. Here users and items are few and meet many times, so what is left to
learn is how the domains differ.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from mlorakit.data.truth import write_truth

Floats = NDArray[np.float64]

LOG = "log.csv"

_VECTOR, _UNITS = 4, 8  # length of a user's or item's vector; hidden units of the true network


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PlantedLogSpec:
    """`generated_log` in params.yaml.

    Args:
        domains: how many.
        users, items: how many of each.
        rows: of all domains.
        rank: of each domain's shift of the shared layer.
        signal: standard deviation of the true logit in every domain.
        shift: size of the domains' shifts; 0 makes the domains alike.
        seed: of everything.
    """

    domains: Annotated[int, Field(ge=1)]
    users: Annotated[int, Field(ge=2)]
    items: Annotated[int, Field(ge=2)]
    rows: Annotated[int, Field(ge=10)]
    rank: Annotated[int, Field(ge=1)]
    signal: Annotated[float, Field(gt=0)]
    shift: Annotated[float, Field(ge=0)]
    seed: int


def true_probability(spec: PlantedLogSpec, rng: np.random.Generator) -> Floats:
    """Probability of a click, of shape (domains, users, items).

    With x the vectors of a user and an item side by side, the logit in domain d is
    w . ReLU(x W + shift x A_d B_d), less its mean and brought to the standard deviation `signal`
    over all pairs; A_d has `rank` columns. This is MLoRA's layer (doi 10.1145/3640457.3688134)
    with 8 units, which a shared layer with a bias per domain moves and cannot turn.
    """
    users = rng.normal(size=(spec.users, _VECTOR))
    items = rng.normal(size=(spec.items, _VECTOR))
    x = np.concatenate(
        (np.repeat(users, spec.items, axis=0), np.tile(items, (spec.users, 1))), axis=1
    )  # (users items, 8)
    width = x.shape[1]
    shared = x @ rng.normal(size=(width, _UNITS)) / np.sqrt(width)
    head = rng.normal(size=_UNITS)
    probability = np.empty((spec.domains, len(x)))
    for domain in range(spec.domains):
        down = rng.normal(size=(width, spec.rank)) / np.sqrt(width)
        up = rng.normal(size=(spec.rank, _UNITS)) / np.sqrt(spec.rank)
        logit = np.maximum(shared + spec.shift * x @ down @ up, 0) @ head
        probability[domain] = expit(spec.signal * (logit - logit.mean()) / logit.std())
    return probability.reshape(spec.domains, spec.users, spec.items)


def best_auc(probability: Floats) -> float:
    """The AUC that the best model expects where all pairs are equally frequent.

    Each pair is a positive with its probability p and a negative with 1 - p; no row drawn has a
    say in it.

    Args:
        probability: of a domain, of any shape.
    """
    p = probability.ravel()
    return float(
        roc_auc_score(np.repeat([1, 0], p.size), np.tile(p, 2), sample_weight=np.append(p, 1 - p))
    )


def generate_log(spec: PlantedLogSpec, into: Path) -> None:
    """Write log.csv and truth.json, which holds the AUC that the best model expects per domain.

    A row is a domain, a user and an item, drawn evenly and independently, and whether it is
    clicked.

    Args:
        spec: what to draw.
        into: folder, made if missing.
    """
    rng = np.random.default_rng(spec.seed)
    probability = true_probability(spec, rng)
    names = [f"S{d:0{len(str(spec.domains))}}" for d in range(1, spec.domains + 1)]
    place = tuple(rng.integers(n, size=spec.rows) for n in probability.shape)
    clicked = rng.random(spec.rows) < probability[place]
    site, user, item = place
    into.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        {
            "clicked": clicked.astype(np.uint8),
            "site": pl.Series(names)[site],
            "user": user + 1,
            "item": item + 1,
        }
    ).write_csv(into / LOG)
    best = {name: best_auc(p) for name, p in zip(names, probability, strict=True)}
    write_truth(into, spec, {"bayes_auc": best}, [LOG])
