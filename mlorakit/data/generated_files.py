"""Raw files in Amazon's and Taobao's formats with a planted truth, for runs without a network."""

import gzip
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlorakit.data.amazon import SUFFIX
from mlorakit.data.planted import PlantedSpec, Tastes, draw_domains, draw_tastes
from mlorakit.data.taobao import CLICKS, FILES, VECTOR_SIZE, VECTORS
from mlorakit.data.truth import write_truth

_START, _SPAN = 1_500_000_000, 30_000_000  # seconds of the reviews
_DAYS = 6  # of Taobao's log, from its first day
_FIRST_DAY = np.datetime64("2018-12-07T00:00:00")
_LOG_HEADER = "user_id,item_id,theme_id,leaf_cate_id,cate_level1_id,reach_time"


def generate_reviews(spec: PlantedSpec, into: Path) -> None:
    """Write a `.json.gz` file of reviews per domain, and truth.json.

    truth.json holds the AUC that the best model expects in each domain, once negatives are
    sampled: no model can expect more. Items are the same in all domains, as otherwise a domain's
    shift of tastes could not be told from other vectors of its items.

    Args:
        spec: what to draw.
        into: folder, made if missing; files of an earlier draw are removed.
    """
    rng = np.random.default_rng(spec.seed)
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob(f"*{SUFFIX}"):
        old.unlink()
    tastes, best = draw_tastes(spec, rng), {}
    for number, domain in enumerate(draw_domains(spec, tastes, rng), 1):
        name = f"Domain_{number:0{len(str(spec.domains))}}"
        best[name] = domain.bayes_auc()
        stars = rng.integers(1, 6, size=len(domain.user))
        seconds = _START + np.sort(rng.integers(_SPAN, size=len(domain.user)))
        lines = [
            json.dumps(
                {
                    "overall": float(star),
                    "verified": True,
                    "reviewerID": f"A{user + 1:013}",
                    "asin": f"B{item + 1:09}",
                    "reviewText": "Generated.",
                    "unixReviewTime": int(second),
                }
            )
            for star, user, item, second in zip(
                stars, domain.user, domain.item, seconds, strict=True
            )
        ]
        packed = gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)
        (into / f"{name}{SUFFIX}").write_bytes(packed)
    write_truth(into, spec, {"bayes_auc": best}, [f"{name}{SUFFIX}" for name in best])


def generate_clicks(spec: PlantedSpec, into: Path) -> None:
    """Write the three files of `mlorakit.data.taobao.FILES`, and truth.json.

    A domain is a theme. The given vectors of users and items are linear in those that scores are
    products of, an item's popularity included. truth.json is as `generate_reviews` writes it.

    Args:
        spec: what to draw.
        into: folder, made if missing.
    """
    rng = np.random.default_rng(spec.seed)
    into.mkdir(parents=True, exist_ok=True)
    tastes, best, rows = draw_tastes(spec, rng), {}, []
    themes = 1000 + rng.permutation(9000 + spec.domains)[: spec.domains]
    for theme, domain in zip(themes.tolist(), draw_domains(spec, tastes, rng), strict=True):
        best[str(theme)] = domain.bayes_auc()
        seconds = rng.integers(_DAYS * 86_400, size=len(domain.user))
        rows += [
            (int(second), f"{user + 1},{item + 1},{theme},{item % 50 + 1},{item % 7 + 1}")
            for second, user, item in zip(seconds, domain.user, domain.item, strict=True)
        ]
    rows.sort()
    times = (_FIRST_DAY + np.array([second for second, _ in rows])).astype(str)
    digits = [str(time).translate({ord(c): None for c in "-T:"}) for time in times]
    lines = [f"{row},{time}" for (_, row), time in zip(rows, digits, strict=True)]
    (into / CLICKS).write_text("\n".join([_LOG_HEADER, *lines]) + "\n")
    for column, vectors in _given(tastes, rng).items():
        texts = (" ".join(f"{x:.6f}" for x in vector) for vector in vectors)
        lines = [f"{number},{text}" for number, text in enumerate(texts, 1)]
        (into / VECTORS[column]).write_text("\n".join([f"{column}_id,emb", *lines]) + "\n")
    write_truth(into, spec, {"bayes_auc": best}, FILES)


def _given(tastes: Tastes, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Vectors of `VECTOR_SIZE` numbers, random linear maps of the tastes."""
    known = {
        "user": tastes.users,
        "item": np.column_stack((tastes.items, tastes.popularity)),
    }
    return {
        column: vectors @ rng.normal(size=(vectors.shape[1], VECTOR_SIZE)) / np.sqrt(VECTOR_SIZE)
        for column, vectors in known.items()
    }
