"""A new domain, served by a model that was trained before it came."""

import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mlorakit import paths
from mlorakit.adapters import add_domain, drop_domain, freeze_shared, get_adapter, put_adapter
from mlorakit.cells import fit_settings, run_seed
from mlorakit.data.dataset import MultiDomainData, describe
from mlorakit.data.held_out import (
    after_domains,
    draw_domains,
    known_ids,
    only_domains,
    some_rows,
)
from mlorakit.metrics import mean_auc, weighted_auc
from mlorakit.models import Backbone
from mlorakit.new_domain_config import NewDomainConfig
from mlorakit.training import EpochRecord, Pace, evaluate, fit

OnEpoch = Callable[[EpochRecord, Pace], None]
Reporter = Callable[[str], OnEpoch]
"""From what is being trained to what is called after each of its epochs."""

NONE, ADAPTER, FULL = "none", "adapter", "full"
"""Ways to serve a new domain: the shared weights alone, an adapter of its own that is trained while
they stand still, or a model trained anew on all domains."""


@dataclass
class NewDomainResult:
    """What one seed gave.

    Args:
        seed: of everything.
        metrics: see `new_domain_seed`.
        seconds: of training before, of each adapter by share, and of training anew; what a person
            wants to know and no result.
    """

    seed: int
    metrics: dict
    seconds: dict[str, float] = field(default_factory=dict)


def new_domain_seed(
    config: NewDomainConfig,
    data: MultiDomainData,
    seed: int,
    reporter: Reporter = lambda what: lambda record, pace: None,
) -> NewDomainResult:
    """Train without some domains, and serve those in each way.

    The rows of the domains held out have no part in the first training; their test rows score all
    ways. The model that is trained anew starts from the same seed.

    Args:
        config: see `NewDomainConfig`.
        data: all domains, on the CPU.
        seed: of the domains held out, of weights, batches, dropout and the rows of a share.
        reporter: for progress.

    Returns:
        Metrics: `held_out`, test rows by domain; `known`, see `known_share`; and a list `ways` of
        scores on the held-out domains' test rows, each with `way`, `share`, the rows of the new
        domains that it takes, the weights that it trains and those that it adds.
    """
    new = draw_domains(data.n_domains, config.held_out, seed)
    before = only_domains(data, tuple(d for d in range(data.n_domains) if d not in new))
    coming = only_domains(data, new)
    seconds: dict[str, float] = {}

    started = time.perf_counter()
    trained = run_seed(config.train, before, seed, reporter("before"))
    seconds["before"] = time.perf_counter() - started

    serving = _with_domains(trained.model, new, seed)
    ways = [_way(NONE, 0.0, coming, _auc_of_new(serving, before, coming))]
    for share in config.shares:
        started = time.perf_counter()
        adapted = copy.deepcopy(serving)
        rows, epochs, weights = _train_adapters(
            config, trained.model, before, coming, new, share, seed, adapted, reporter
        )
        seconds[f"{ADAPTER} {share}"] = time.perf_counter() - started
        ways.append(
            _way(ADAPTER, share, coming, _auc_of_new(adapted, before, coming))
            | rows
            | {"epochs": epochs, "weights_trained": weights, "weights_added": weights}
        )

    started = time.perf_counter()
    anew = run_seed(config.train, data, seed, reporter("all domains"))
    seconds[FULL] = time.perf_counter() - started
    added = ways[-1]["weights_added"]
    ways.append(
        _way(FULL, 1.0, coming, [anew.test.auc[d] for d in new])
        | {"rows_train": len(coming.train), "rows_validation": len(coming.validation)}
        | {"epochs": len(anew.history), "weights_added": added}
        | {"weights_trained": sum(p.numel() for p in anew.model.parameters())}
    )
    held_out = dict(zip(coming.domains, _test_rows(coming), strict=True))
    metrics = {"held_out": held_out, "known": known_share(before, coming), "ways": ways}
    return NewDomainResult(seed, metrics, {k: round(v, 3) for k, v in seconds.items()})


def known_share(before: MultiDomainData, coming: MultiDomainData) -> dict[str, float]:
    """Per field, the share of the new test rows whose id the first training has seen.

    Where a user is in one domain alone, as in MovieLens, all users of a new domain are unknown, and
    their embeddings stay at the start that no row has moved unless all is trained anew.
    """
    fields = describe(paths.processed_dir(before.name))[0]["fields"]
    shares = known_ids(before.train, coming.test)
    return {f["name"]: share for f, share in zip(fields, shares, strict=True)}


def _train_adapters(
    config: NewDomainConfig,
    trained: Backbone,
    before: MultiDomainData,
    coming: MultiDomainData,
    new: tuple[int, ...],
    share: float,
    seed: int,
    into: Backbone,
    reporter: Reporter,
) -> tuple[dict[str, int], float, int]:
    """Train each new domain's adapter by itself, and put it into a model that has them all.

    Returns:
        Rows used, epochs (mean over the new domains), and the weights of all new adapters.
    """
    device = next(trained.parameters()).device
    cell = config.train
    settings = fit_settings(cell, seed, cell.order, cell.learning_rate)
    settings = replace(settings, patience=config.adapter_patience)
    rows = {"rows_train": 0, "rows_validation": 0}
    epochs, weights = [], 0
    for place, name in enumerate(coming.domains):
        own = only_domains(coming, (place,))
        own = replace(
            own,
            train=some_rows(own.train, share, seed),
            validation=some_rows(own.validation, share, seed),
        )
        rows["rows_train"] += len(own.train)
        rows["rows_validation"] += len(own.validation)
        model = _with_domains(trained, new[place : place + 1], seed)
        for _ in before.domains:  # adapters that no row here would meet
            drop_domain(model, 0)
        freeze_shared(model)
        what = f"adapter of {name}, {share:.3g} of its rows"
        epochs.append(len(fit(model, own.to(device), settings, on_epoch=reporter(what))))
        adapter = get_adapter(model, 0, name)
        put_adapter(into, before.n_domains + place, adapter)  # raises if a shared weight moved
        weights += sum(
            tensor.numel()
            for layer in adapter.layers
            for tensor in (layer.a, layer.b_bias)
            if tensor is not None
        )
    return rows, statistics.fmean(epochs), weights


def _with_domains(model: Backbone, new: tuple[int, ...], seed: int) -> Backbone:
    """A copy with an adapter more per new domain, the same for a domain whatever the others."""
    copied = copy.deepcopy(model)
    for domain in new:
        add_domain(copied, seed * 1_000_003 + domain)
    return copied


def _auc_of_new(model: Backbone, before: MultiDomainData, coming: MultiDomainData) -> list[float]:
    """Test AUC of each new domain, which the model numbers after those before."""
    device = next(model.parameters()).device
    test = after_domains(coming.test, before.n_domains).to(device)
    return evaluate(model, test).auc[before.n_domains :]


def _test_rows(data: MultiDomainData) -> list[int]:
    ends = data.test.groups.ends
    return torch.diff(ends, prepend=ends.new_zeros(1)).tolist()


def _way(way: str, share: float, coming: MultiDomainData, auc: list[float]) -> dict:
    """Scores; the counts are those of the way that needs nothing."""
    return {
        "way": way,
        "share": share,
        "wauc": _number(weighted_auc(auc, _test_rows(coming))),
        "mean_auc": _number(mean_auc(auc)),
        "rows_train": 0,
        "rows_validation": 0,
        "epochs": 0,
        "weights_trained": 0,
        "weights_added": 0,
        "auc": dict(zip(coming.domains, map(_number, auc), strict=True)),
    }


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return value if value == value else None


def write_new_domain(results: list[NewDomainResult], config: NewDomainConfig) -> Path:
    """Write the metrics of all seeds (JSON) below `config.into` of the project."""
    folder = paths.root() / config.into / config.dataset
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{config.backbone}.json"
    content = {"n_seeds": len(results), "seeds": {str(r.seed): r.metrics for r in results}}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
