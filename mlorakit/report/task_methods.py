"""The methods and metrics of the LT4REC part, and what a method reaches."""

from dataclasses import dataclass

from mlorakit.bootstrap import Interval

METRICS = {"ctr_auc": "CTR AUC", "cvr_mse": "CVR MSE", "cvr_auc": "CVR AUC"}
"""Test metrics and their titles; the first three letters name the task."""

LOWER_IS_BETTER = ("cvr_mse",)

SINGLE = "single"
"""The method of a dense network per task; `ticket-k` is that of the tickets of round k."""

METHOD_TITLES = {"hard": "hard sharing", "mmoe": "MMoE", "ple": "PLE", "sparse": "sparse sharing"}
"""Multi-task models, in the order of tables and figures."""

FLOOR_TITLES = {
    "constant": "constant prediction",
    "position": "position in the list",
    "logged_ctr": "logged probability",
    "best": "best possible",
}
"""What needs no model, and what none can exceed; see `mlorakit.data.floors`."""


@dataclass(frozen=True)
class Score:
    """What a method reaches in one metric on the test rows of a data set.

    Args:
        dataset: name.
        method: `single`, `ticket-1` to `ticket-n`, or a multi-task model.
        metric: one of `METRICS`.
        interval: of the mean over seeds, by the cluster bootstrap; replicates of two methods on one
            data set are paired.
        std: over seeds; None with one.
        seeds: the value of each seed.
        kept: weights of the trunk that the task's network keeps,
        total: of so many.
        kept_share: of the model: for several tasks, of the weights that at least one keeps.
        multiply_adds: per row, of the task's trunk and head.
    """

    dataset: str
    method: str
    metric: str
    interval: Interval
    std: float | None
    seeds: dict[str, float]
    kept: int
    total: int
    kept_share: float
    multiply_adds: int

    @property
    def task(self) -> str:
        """The task that the metric is of."""
        return self.metric[:3]


def ticket(number: int) -> str:
    """The method of a round of pruning; round 0 is the dense network."""
    return f"ticket-{number}" if number else SINGLE


def round_of(method: str) -> int | None:
    """The round of a single-task method, None of a multi-task one."""
    if method == SINGLE:
        return 0
    name, _, number = method.partition("-")
    return int(number) if name == "ticket" else None


def method_title(method: str) -> str:
    """A method as a person reads it."""
    if method == SINGLE:
        return "single task, dense"
    number = round_of(method)
    return METHOD_TITLES[method] if number is None else f"single task, ticket {number}"
