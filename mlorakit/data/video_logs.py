"""Video logs with a known truth, as TFRecord files of the public sample's 24 features."""

from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from mlorakit.data.tfrecord import write_tfrecord
from mlorakit.data.truth import write_truth
from mlorakit.data.video_columns import Column, draw_columns
from mlorakit.data.video_fields import (
    CLICK,
    FIELDS,
    LOGGED_CTR,
    MISSING_VALUE,
    POSITION,
    SAMPLE_SCHEMA,
    SESSION,
    WATCHED,
)

Floats = NDArray[np.float64]

CANDIDATES = (
    "FEA_ICAT2",
    "FEA_SICAT2",
    "FEA_UGROUP",
    "FEA_AGE",
    "FEA_DURATION",
    "FEA_ALGID",
    "FEA_COVERQUALITY",
    "FEA_UCAT",
    "FEA_STAG",
    "FEA_IXFTAG",
    "FEA_SIKEYWORD",
)
"""Fields that a score may depend on: few enough values to be learnt from a few 100,000 rows."""

# Of the public sample: share clicked, share of the clicked that is watched to the end, mean share
# watched of the others, and share of rows without a logged probability.
_CLICKED, _FINISHED, _UNFINISHED_MEAN, _NOT_LOGGED = 0.388, 0.513, 0.626, 0.030
_PAIR = 0.7  # size of a product of two fields beside a field's own effect
_SPREAD = 4.0  # a + b of the beta distribution of an unfinished video's share
_LEAST, _RANGE = 0.05, 0.9  # an unfinished video is watched for 5 % to 95 % of its length
# The logged probability is off by a factor: half on average, with this spread of its logarithm. As
# in the sample, about 3 % come out above 1.
_LOG_SCALE, _LOG_NOISE = 0.5, 0.8


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class VideoLogsSpec:
    """`video_logs` in params.yaml.

    Args:
        sessions: of one user and one source video each, 3 to 10 videos long.
        users, videos: how many of each.
        overlap: share of the deciding fields, position apart, that decide both labels alike.
        signal: standard deviation of the two logits.
        position_bias: how much a standard deviation of the position lowers the logit of a click.
        parts: files.
        seed: of everything.
    """

    sessions: Annotated[int, Field(ge=10)]
    users: Annotated[int, Field(ge=2)]
    videos: Annotated[int, Field(ge=20)]
    overlap: Annotated[float, Field(ge=0, le=1)]
    signal: Annotated[float, Field(gt=0)]
    position_bias: Annotated[float, Field(ge=0)]
    parts: Annotated[int, Field(ge=1, le=10)]
    seed: int


@plain_dataclass(frozen=True)
class Plan:
    """Which fields decide which label.

    Args:
        both: those of both scores, with the same effects.
        ctr, cvr: those of one score alone.
    """

    both: tuple[str, ...]
    ctr: tuple[str, ...]
    cvr: tuple[str, ...]

    @property
    def neither(self) -> tuple[str, ...]:
        """Fields of no score, though some go along with one that has: a video with its category."""
        return tuple(f for f in FIELDS if f not in (*self.both, *self.ctr, *self.cvr))


def draw_plan(spec: VideoLogsSpec, rng: np.random.Generator) -> Plan:
    """Share out the fields of `CANDIDATES`; the position, where it counts, decides clicks alone."""
    fields = [CANDIDATES[i] for i in rng.permutation(len(CANDIDATES))]
    n_both = round(spec.overlap * len(fields))
    rest = fields[n_both:]
    position = (POSITION,) if spec.position_bias else ()
    return Plan(tuple(fields[:n_both]), (*position, *rest[1::2]), tuple(rest[::2]))


def generate_logs(spec: VideoLogsSpec, into: Path) -> None:
    """Write part-r-00000.gz and so on, and truth.json.

    A row is clicked with probability sigmoid(z_ctr). A clicked video is watched to the end with
    probability sigmoid(z_cvr + c), otherwise for a share whose mean, too, rises with z_cvr. Both
    logits are sums of effects of a field's values and of products of two fields' values; the fields
    of `Plan.both` have the same effects in both. A missing value has no effect, so the labels
    depend on nothing that the files do not hold. The public sample was filtered to sessions with a
    click and a row without one; here every session is kept, so that rows stay independent.

    truth.json holds the plan, and what the true probabilities and expected shares reach on the rows
    drawn: no model can expect a higher AUC of clicks, or a smaller squared error of the share.

    Args:
        spec: what to draw.
        into: folder, made if missing; part files of an earlier draw are removed.
    """
    rng = np.random.default_rng(spec.seed)
    plan = draw_plan(spec, rng)
    session, columns = draw_columns(spec.sessions, spec.users, spec.videos, rng)
    effects = {field: _effects(columns[field], rng) for field in CANDIDATES}
    shared = _sum(effects, plan.both)
    own = {
        task: _sum(effects, tuple(f for f in fields if f != POSITION))
        for task, fields in (("ctr", plan.ctr), ("cvr", plan.cvr))
    }
    z_ctr = spec.signal * _standard(shared + own["ctr"])
    z_ctr -= spec.position_bias * _standard(*_position(columns[POSITION]))
    z_cvr = spec.signal * _standard(shared + own["cvr"])

    probability = expit(z_ctr + _offset(z_ctr, _CLICKED, np.ones_like(z_ctr)))
    clicked = rng.random(len(session)) < probability
    share, expected = _watched(z_cvr, probability, rng)
    share[~clicked] = 0
    logged = _LOG_SCALE * probability * np.exp(_LOG_NOISE * rng.normal(size=len(session)))
    is_logged = rng.random(len(session)) >= _NOT_LOGGED

    frame = pl.DataFrame({name: columns[name].texts() for name in FIELDS}).with_columns(
        _lists(np.where(is_logged, np.char.mod("%.6f", logged), MISSING_VALUE), LOGGED_CTR),
        _lists(np.char.mod("s%06d", session), SESSION),
        _lists(clicked.astype(np.int64), CLICK),
        _lists(share, WATCHED),
    )
    truth = {
        "rows": len(session),
        "fields": {part: list(getattr(plan, part)) for part in ("both", "ctr", "cvr", "neither")},
        "best": {
            "ctr_auc": float(roc_auc_score(clicked, probability)),
            "cvr_mse": float(np.square(share - expected)[clicked].mean()),
        },
    }
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("part-r-*"):
        old.unlink()
    files = [f"part-r-{number:05}.gz" for number in range(spec.parts)]
    for number, name in enumerate(files):
        rows = frame.filter(pl.Series(session * spec.parts // spec.sessions == number))
        write_tfrecord(into / name, rows, SAMPLE_SCHEMA)
    write_truth(into, spec, truth, files)


def _effects(column: Column, rng: np.random.Generator) -> Floats:
    """Effects of a field on each row, of shape (3, N): its own, and two that take part in products.

    Every value has an effect; a row's is the mean over its values, and 0 if it has none.
    """
    of_value = rng.normal(size=(3, len(column.names)))
    there = column.values >= 0
    count = there.sum(1)
    of_entity = (of_value[:, column.values] * there).sum(2) / np.maximum(count, 1)
    present = (count > 0)[column.entity]
    return np.stack([_standard(effect[column.entity], present) for effect in of_entity])


def _standard(x: Floats, present: NDArray[np.bool_] | None = None) -> Floats:
    """Mean 0 and standard deviation 1 over the rows where it is present; 0 elsewhere."""
    present = np.ones(len(x), bool) if present is None else present
    spread = x[present].std() if present.any() else 0.0
    return np.where(present, x - x[present].mean(), 0) / spread if spread > 0 else np.zeros(len(x))


def _sum(effects: dict[str, Floats], fields: tuple[str, ...]) -> Floats:
    """Of the fields' own effects, and of the products of each field and the one before it."""
    total = np.zeros(next(iter(effects.values())).shape[1])
    for place, field in enumerate(fields):
        total += effects[field][0]
        if place:
            total += _PAIR * _standard((effects[fields[place - 1]][1:] * effects[field][1:]).sum(0))
    return total


def _position(column: Column) -> tuple[Floats, NDArray[np.bool_]]:
    """The position of each row, and whether it is known."""
    position = column.values[column.entity, 0]
    return position.astype(np.float64), position >= 0


def _offset(z: Floats, mean: float, weight: Floats) -> float:
    """What to add to logits for their probabilities to have this weighted mean."""
    return brentq(lambda c: np.average(expit(z + c), weights=weight) - mean, -50, 50)


def _watched(z: Floats, weight: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Share watched of each video if it is clicked, and its expectation."""
    finishes = expit(z + _offset(z, _FINISHED, weight))
    middle = expit(z + _offset(z, (_UNFINISHED_MEAN - _LEAST) / _RANGE, weight * (1 - finishes)))
    drawn = _LEAST + _RANGE * rng.beta(_SPREAD * middle, _SPREAD * (1 - middle))
    share = np.where(rng.random(len(z)) < finishes, 1, drawn)
    # As the files hold it, in single precision.
    share = share.astype(np.float32).astype(np.float64)
    return share, finishes + (1 - finishes) * (_LEAST + _RANGE * middle)


def _lists(values: NDArray, name: str) -> pl.Series:
    """Each value as a list of its own; fractions in single precision."""
    series = pl.Series(name, values)
    return pl.select(
        pl.concat_list(series.cast(pl.Float32) if series.dtype == pl.Float64 else series)
    ).to_series()
