"""What a score is worth: the scores of predictors that learn nothing of the fields."""

from typing import Any

import numpy as np
import polars as pl

from mlorakit import paths
from mlorakit.bootstrap import Interval, Statistic, auc_statistic, bootstrap, mean_statistic
from mlorakit.data.dataset import describe

REPLICATES = 1000
_SEED = 0  # of the bootstrap

_RANKINGS = {"position": -1, "logged_ctr": 1}
"""Columns that rank clicks, and 1 where the higher value comes first: lists are read from 0."""


_HALF = Interval(0.5, 0.5, 0.5, np.full(1, 0.5))
"""The AUC of a constant, on any rows of two classes."""


def floors(name: str, *, replicates: int = REPLICATES) -> list[dict[str, Any]]:
    """The floors of a processed data set of two tasks.

    Args:
        name: of the data set.
        replicates: of the bootstrap over sessions or users.

    Returns:
        See `floors_of`.

    Raises:
        DataError: the data set has not been preprocessed.
    """
    folder = paths.task_dir(name)
    description, _ = describe(folder)
    train, test = (pl.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    return floors_of(train, test, binary=description["binary"], replicates=replicates)


def floors_of(
    train: pl.DataFrame, test: pl.DataFrame, *, binary: bool, replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """Scores on test rows without a model, each with its 95 % interval.

    `constant` predicts the same for every row: an AUC of a half, and the squared error of the mean
    label on train. `position` orders clicks by the place in the list that was shown, first to last,
    and `logged_ctr` by the probability that was logged, where the source has them; each over the
    rows where its value is known.

    Args:
        train: rows with `conversion` and `converts`.
        test: rows with `click`, `conversion`, `converts` and `cluster`; `position` and `logged_ctr`
            may be there too.
        binary: whether the second label is 0 or 1.
        replicates: of the bootstrap over clusters.

    Returns:
        A row per floor and metric: `floor`, `metric` (`ctr_auc`, `cvr_mse`, or `cvr_auc` if
        binary), `value`, `low`, `high`, and the number of test rows that it is the score of.
    """
    conversions = test.filter("converts").height
    rows = [_row("constant", "ctr_auc", _HALF, test.height)]
    mean = train.filter("converts").select(pl.col("conversion").cast(pl.Float64).mean()).item()
    if mean is not None and conversions:
        error = (test["conversion"].cast(pl.Float64) - mean) ** 2
        statistic = mean_statistic(error.to_numpy(), test["converts"].to_numpy())
        found = _bootstrap(statistic, test, replicates)
        rows.append(_row("constant", "cvr_mse", found, conversions))
    if binary:
        rows.append(_row("constant", "cvr_auc", _HALF, conversions))
    for column, sign in _RANKINGS.items():
        if column not in test.columns:
            continue
        known = test.drop_nulls(column)
        if known.is_empty():
            continue
        score = sign * known[column].to_numpy()
        found = _bootstrap(auc_statistic(score, known["click"].to_numpy()), known, replicates)
        rows.append(_row(column, "ctr_auc", found, known.height))
    return rows


def _bootstrap(statistic: Statistic, rows: pl.DataFrame, replicates: int) -> Interval:
    return bootstrap(statistic, rows["cluster"].to_numpy(), replicates=replicates, seed=_SEED)


def _row(floor: str, metric: str, found: Interval, rows: int) -> dict[str, Any]:
    return {
        "floor": floor,
        "metric": metric,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "rows": rows,
    }
