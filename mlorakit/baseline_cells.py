"""One cell of the multi-domain baselines: a data set, a baseline and a batch order, over seeds."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mlorakit import paths
from mlorakit.baseline_config import BaselineConfig
from mlorakit.cell_results import SeedResult
from mlorakit.cells import fit_seed, fit_settings, used_vectors
from mlorakit.data.dataset import MultiDomainData
from mlorakit.models import Backbone
from mlorakit.models.baselines import BASELINE_SETTINGS, build_baseline, mamdr_sizes
from mlorakit.models.baselines_networks import BaselineSettings
from mlorakit.training import EpochRecord, Pace


def settings_of(config: BaselineConfig) -> BaselineSettings:
    """The baseline's sizes, dropout and learning rate, with the config's choices made."""
    sizes = config.sizes
    if sizes == "auto":
        sizes = mamdr_sizes(paths.params()["datasets"][config.dataset])
    settings = BASELINE_SETTINGS[sizes][config.baseline]
    if config.dropout != "mamdr":
        settings = replace(settings, dropout=config.dropout)
    if config.learning_rate != "mamdr":
        settings = replace(settings, learning_rate=config.learning_rate)
    return settings


def make_baseline(config: BaselineConfig, data: MultiDomainData, seed: int) -> Backbone:
    """The cell's model with a seed's initial weights.

    Raises:
        ParameterError: the config asks for vectors that the data set does not have.
    """
    vectors, embedding_size = used_vectors(config.vectors, config.embedding_size, data)
    return build_baseline(
        config.baseline,
        field_sizes=data.field_sizes,
        n_domains=data.n_domains,
        settings=settings_of(config),
        vectors=vectors,
        train_vectors=config.vectors == "trained",
        embedding_size=embedding_size,
        seed=seed,
    )


def run_seed(
    config: BaselineConfig,
    data: MultiDomainData,
    seed: int,
    on_epoch: Callable[[EpochRecord, Pace], None] = lambda record, pace: None,
    keep: bool = False,
) -> SeedResult:
    """Train and evaluate one seed of a baseline; see `mlorakit.cells.fit_seed`."""
    settings = fit_settings(config, seed, config.batch_order, settings_of(config).learning_rate)
    make = partial(make_baseline, config, data, seed)
    return fit_seed(config, data, settings, make, on_epoch, keep)
