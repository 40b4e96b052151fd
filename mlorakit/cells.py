"""One cell of the grid: a data set, a backbone, a variant and a batch order, over several seeds.

Also how every kind of cell trains its seeds, whatever it trains.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from torch import Tensor

from mlorakit import paths
from mlorakit.cell_results import CellConfig, SeedResult
from mlorakit.config import ParameterError, TrainConfig
from mlorakit.config_base import Vectors
from mlorakit.data.dataset import MultiDomainData
from mlorakit.models import Backbone, build_model
from mlorakit.progress import EpochProgress
from mlorakit.provenance import digest
from mlorakit.runtime import prepare
from mlorakit.seeds import each_seed
from mlorakit.training import (
    EpochRecord,
    FitSettings,
    Pace,
    evaluate,
    fit,
)
from mlorakit.two_stage import fit_two_stages, stage_checkpoint


def used_vectors(
    option: Vectors, embedding_size: int, data: MultiDomainData
) -> tuple[dict[int, Tensor], int]:
    """The given vectors that become embeddings, by place of the field, and the embeddings' length.

    Args:
        option: `vectors` of a config.
        embedding_size: the length where no vectors are used.
        data: that may give some.

    Raises:
        ParameterError: the option asks for some, and the data set has none.
    """
    if option in ("frozen", "trained") and not data.vectors:
        raise ParameterError(
            f"Parameter vectors = {option!r} cannot be used: data set {data.name} gives no "
            "vectors; use 'auto' or 'none'."
        )
    vectors = {} if option == "none" else data.vectors
    return vectors, next((v.shape[1] for v in vectors.values()), embedding_size)


def make_model(config: TrainConfig, data: MultiDomainData, seed: int) -> Backbone:
    """The cell's model with a seed's initial weights.

    Raises:
        ParameterError: the config asks for vectors that the data set does not have.
    """
    vectors, embedding_size = used_vectors(config.vectors, config.embedding_size, data)
    return build_model(
        config.backbone,
        config.variant,
        field_sizes=data.field_sizes,
        n_domains=data.n_domains,
        alpha=config.rank_alpha,
        rank=config.rank,
        norm=config.norm,
        vectors=vectors,
        train_vectors=config.vectors == "trained",
        embedding_size=embedding_size,
        hidden=config.hidden,
        dropout=config.dropout,
        protocol=config.protocol,
        seed=seed,
    )


def run_seed(
    config: TrainConfig,
    data: MultiDomainData,
    seed: int,
    on_epoch: Callable[[EpochRecord, Pace], None] = lambda record, pace: None,
    keep: bool = False,
) -> SeedResult:
    """Train and evaluate one seed of a backbone; see `fit_seed`."""
    settings = fit_settings(config, seed, config.order, config.learning_rate)
    train = fit_two_stages if config.two_stage else fit
    make = partial(make_model, config, data, seed)
    return fit_seed(config, data, settings, make, on_epoch, keep, train)


def fit_settings(
    config: CellConfig, seed: int, batch_order: str, learning_rate: float
) -> FitSettings:
    """How a seed of a cell is trained.

    Args:
        config: of the cell.
        seed: one of the config's.
        batch_order: `mixed` or `alternate`; what the config's choice means, the kind of cell says.
        learning_rate: of Adam, likewise.
    """
    return FitSettings(
        seed=seed,
        batch_order=batch_order,
        batch_size=config.batch_size,
        learning_rate=learning_rate,
        l2=config.l2,
        patience=config.patience,
        max_epochs=config.max_epochs,
    )


def run_seeds(
    config: CellConfig, data: MultiDomainData, run: Callable[..., SeedResult] = run_seed
) -> list[SeedResult]:
    """Train and evaluate every seed of a cell, its progress shown by epoch; see `each_seed`.

    Args:
        config: of the cell.
        data: what to train and evaluate on.
        run: `run_seed`, or its like for another kind of cell; a function of a module.
    """
    return each_seed(partial(_shown, run), config, data)


def _shown(
    run: Callable[..., SeedResult], config: Any, data: MultiDomainData, seed: int, keep: bool
) -> SeedResult:
    progress = EpochProgress(f"{config.dataset} {config.cell} seed {seed}")
    try:
        return run(config, data, seed, progress, keep)
    finally:
        progress.close()


def fit_seed(
    config: CellConfig,
    data: MultiDomainData,
    settings: FitSettings,
    make: Callable[[], Backbone],
    on_epoch: Callable[[EpochRecord, Pace], None],
    keep: bool = False,
    train: Callable[..., list[EpochRecord]] = fit,
) -> SeedResult:
    """Train and evaluate one seed; continues where an earlier, killed run of it stopped.

    The unfinished run's state lies in .checkpoints/, under a hash of all that decides the run, and
    goes when the seed is done.

    Args:
        config: of the cell.
        data: what to train and evaluate on.
        settings: how; their seed is the one.
        make: the model with that seed's initial weights.
        on_epoch: called after each epoch.
        keep: leave the state of the finished run for the next call with the same arguments.
        train: `fit`, or what is called as it is.
    """
    device = prepare(config.device, config.threads)
    decides = asdict(config) | {"seeds": settings.seed, "into": "", "threads": 0}
    key = digest([decides, data.fingerprint, device.type])[:16]
    folder = paths.checkpoint_dir(f"{data.name}-{config.cell}-{key}")
    checkpoint = folder / f"seed-{settings.seed}.safetensors"
    data = data.to(device)
    model = make().to(device)
    history = train(model, data, settings, checkpoint=checkpoint, on_epoch=on_epoch)
    result = SeedResult(
        settings.seed,
        model,
        history,
        evaluate(model, data.validation),
        evaluate(model, data.test),
        data,
    )
    if keep:
        return result
    for path in (checkpoint, *(stage_checkpoint(checkpoint, stage) for stage in (1, 2))):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return result
