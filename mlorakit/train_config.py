"""Parameters of train.ipynb."""

from typing import Literal

from pydantic.dataclasses import dataclass

from mlorakit import paths
from mlorakit.config_base import (
    Device,
    Dropout,
    IntList,
    NonNegativeFloat,
    NonNegativeInt,
    NotebookConfig,
    ParameterError,
    PositiveFloat,
    PositiveInt,
    Vectors,
    Widths,
    dataset_of_params,
    distinct,
    inside_project,
    one_of,
)
from mlorakit.models import BACKBONES, PROTOCOLS, VARIANTS, paper_alpha

_OPTIONS = (
    *("protocol", "alpha", "rank", "norm", "vectors", "embedding_size", "hidden", "dropout"),
    *("batch_size", "learning_rate", "l2", "patience", "max_epochs", "two_stage"),
)
"""Options that a cell's name tells apart, in this order. Seeds are told apart in the results;
device, threads and `into` do not decide them.
"""


@dataclass(frozen=True)
class TrainConfig(NotebookConfig):
    """Parameters of train.ipynb; the defaults are MLoRA's settings on MovieLens.

    Args:
        dataset: a name under `datasets` in params.yaml.
        backbone: one of the nine.
        variant: base, control (MLoRA's layer without its low-rank term) or mlora.
        batch_order: mixed (a batch mixes domains), alternate (one domain per batch, one domain
            after the other, as released), or protocol (mixed if described, alternate if released).
        protocol: described or released; see `mlorakit.models.build_model`.
        seeds: one run each.
        alpha: temperature coefficient of the ranks, or `paper` for the paper's choice for the
            backbone on this kind of data, see `paper_alpha`. The paper has none for generated
            ratings, the generated log and data of the reader's own, which get MovieLens's.
        rank: of every layer, instead of alpha; 0 to go by alpha.
        norm: of the MLP's input: none, bn (batch normalisation) or pn (partitioned: each domain by
            its own rows).
        two_stage: train everything but the adapters, then the adapters alone; of mlora only.
        vectors: what becomes of the vectors that a data set gives of users and items: frozen (they
            are their embeddings), trained (embeddings start from them), none (they are left out),
            or auto (frozen where there are any).
        embedding_size: K; where vectors are used, their length stands in its place.
        hidden: widths of the MLP.
        dropout: probability.
        batch_size: rows.
        learning_rate: of Adam.
        l2: on embeddings, linear weights and cross layers.
        patience: epochs without a better validation AUC before training stops. The paper has 5
            for PNN on Taobao and WDL on Amazon; 3 is its number for all others.
        max_epochs: 0 for no cap; of each stage, if there are two.
        device: cpu, cuda, or auto for cuda where there is one.
        threads: of the CPU; results are the same to the bit with any number.
        into: folder below the project's root for metrics, history, weights and predictions; the
            pipeline's own is `reports`, so that a run by hand does not replace its results.
    """

    dataset: str = "movielens"
    backbone: str = "deepfm"
    variant: str = "mlora"
    batch_order: Literal["mixed", "alternate", "protocol"] = "protocol"
    protocol: str = "described"
    seeds: IntList = (1,)
    alpha: PositiveInt | Literal["paper"] = "paper"
    rank: NonNegativeInt = 0
    norm: Literal["none", "bn", "pn"] = "none"
    two_stage: bool = False
    vectors: Vectors = "auto"
    embedding_size: PositiveInt = 8
    hidden: Widths = (256, 128, 64)
    dropout: Dropout = 0.5
    batch_size: PositiveInt = 1024
    learning_rate: PositiveFloat = 1e-3
    l2: NonNegativeFloat = 1e-5
    patience: PositiveInt = 3
    max_epochs: NonNegativeInt = 0
    device: Device = "auto"
    threads: PositiveInt = 2
    into: str = "reports/scratch"

    def __post_init__(self) -> None:
        dataset_of_params(self.dataset)
        one_of("backbone", self.backbone, BACKBONES)
        one_of("variant", self.variant, VARIANTS)
        one_of("protocol", self.protocol, PROTOCOLS)
        if self.two_stage and self.variant != "mlora":
            raise ParameterError(
                f"Parameter two_stage = True is for variant 'mlora'; {self.variant!r} has no "
                "low-rank maps to train in a second stage."
            )
        distinct("seeds", self.seeds)
        inside_project("into", self.into)

    @property
    def rank_alpha(self) -> int:
        """Alpha as a number."""
        if self.alpha != "paper":
            return self.alpha
        return paper_alpha(self.backbone, paths.params()["datasets"][self.dataset]["source"])

    @property
    def order(self) -> str:
        """batch_order with `protocol` resolved."""
        if self.batch_order != "protocol":
            return self.batch_order
        return "alternate" if self.protocol == "released" else "mixed"

    @property
    def cell(self) -> str:
        """Name of the cell among those of its data set; see `differences`."""
        without: tuple[str, ...] = ()
        if self.variant != "mlora":
            without = ("alpha", "rank")  # which no other variant has
        elif self.rank:
            without = ("alpha",)  # which has no effect then
        named = [option for option in _OPTIONS if option not in without]
        usual = paths.params().get("train", {})
        return f"{self.backbone}-{self.variant}-{self.order}" + self.differences(named, usual)


@dataclass(frozen=True)
class TwoStageGrid(NotebookConfig):
    """The cells trained in two stages, `two_stage` in params.yaml.

    Args:
        backbones: of the cells; data sets and batch orders are those of the grid.
    """

    backbones: tuple[str, ...]

    def __post_init__(self) -> None:
        for value in self.backbones:
            one_of("two_stage.backbones", value, BACKBONES)
