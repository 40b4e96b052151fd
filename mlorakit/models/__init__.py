"""The backbones by name, and how a variant of one is made."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from mlorakit.layers.mlp import Dense, DomainLoRA, lora_rank
from mlorakit.layers.norm import make_norm
from mlorakit.models.backbone import Backbone
from mlorakit.models.deep import DCN, NFM, PNN, WDL, AutoInt, FiBiNET, MLPNet
from mlorakit.models.factorization import DeepFM, XDeepFM
from mlorakit.runtime import initial_draws

BACKBONES: dict[str, type[Backbone]] = {
    "mlp": MLPNet,
    "wdl": WDL,
    "nfm": NFM,
    "autoint": AutoInt,
    "pnn": PNN,
    "dcn": DCN,
    "deepfm": DeepFM,
    "xdeepfm": XDeepFM,
    "fibinet": FiBiNET,
}

BACKBONE_TITLES = {
    "mlp": "MLP",
    "wdl": "WDL",
    "nfm": "NFM",
    "autoint": "AutoInt",
    "pnn": "PNN",
    "dcn": "DCN",
    "deepfm": "DeepFM",
    "xdeepfm": "xDeepFM",
    "fibinet": "FiBiNET",
}
"""Names as the literature writes them, in the order of the paper's table."""

PAPER_ALPHA = {
    "mlp": {"movielens": 16, "amazon": 16, "taobao": 256},
    "wdl": {"movielens": 16, "amazon": 16, "taobao": 16},
    "nfm": {"movielens": 4, "amazon": 256, "taobao": 16},
    "autoint": {"movielens": 4, "amazon": 16, "taobao": 16},
    "pnn": {"movielens": 16, "amazon": 16, "taobao": 16},
    "dcn": {"movielens": 16, "amazon": 128, "taobao": 16},
    "deepfm": {"movielens": 32, "amazon": 16, "taobao": 256},
    "xdeepfm": {"movielens": 32, "amazon": 16, "taobao": 16},
    "fibinet": {"movielens": 32, "amazon": 16, "taobao": 256},
}
"""MLoRA's temperature coefficient per backbone on MovieLens, Amazon-6 and Taobao-10 (`lora_reduce`
of its configs). On the last two the MLP's configs train in two stages.
"""

VARIANTS = ("base", "control", "mlora")
PROTOCOLS = ("described", "released")

# Standard deviations of the initial embeddings in the released code: deepctr's default for a base
# model, its own for a model with MLoRA. The described protocol gives every variant deepctr's.
_BASE_STD = 1e-4
_RELEASED_MLORA_STD = 1e-2


def paper_alpha(backbone: str, source: str) -> int:
    """The paper's temperature coefficient of a backbone for a kind of data.

    Args:
        backbone: a key of `BACKBONES`.
        source: of the data set, from `datasets` in params.yaml. Amazon's data have Amazon-6's value
            and Taobao's have Taobao-10's, whatever their domains, and so have those generated in
            their formats, among them the logs of ever more domains. All others, which the paper
            does not have, share MovieLens's.
    """
    of_kind = PAPER_ALPHA[backbone]
    return of_kind.get(source.removeprefix("generated_"), of_kind["movielens"])


def build_model(
    backbone: str,
    variant: str,
    *,
    field_sizes: tuple[int, ...],
    n_domains: int,
    alpha: int,
    rank: int = 0,
    norm: str = "none",
    vectors: Mapping[int, Tensor] | None = None,
    train_vectors: bool = False,
    embedding_size: int = 8,
    hidden: tuple[int, ...] = (256, 128, 64),
    dropout: float = 0.5,
    protocol: str = "described",
    seed: int = 0,
) -> Backbone:
    """A variant of a backbone, with weights drawn from a seed.

    Shared weights depend on the seed and the protocol only, so the variants of a seed start from
    the same ones.

    Args:
        backbone: a key of `BACKBONES`.
        variant: `base` (plain layers), `mlora` (`DomainLoRA` layers), or `control` (`DomainLoRA`
            layers with the low-rank term left out: MLoRA's dropout position, initial values and
            domain biases without its LoRA).
        field_sizes: number of ids of each field.
        n_domains: D.
        alpha: temperature coefficient of `lora_rank`.
        rank: R of every layer, instead of alpha; 0 to go by alpha.
        norm: of the MLP's input, see `make_norm`.
        vectors: embeddings given from outside, by place of the field; see `GivenEmbedding`. They
            are frozen; the linear weights of these fields are trained like the others.
        train_vectors: let the fields' embeddings start from the vectors instead.
        embedding_size: K; the vectors' length, if there are any.
        hidden: widths of the MLP.
        dropout: probability.
        protocol: `released` takes the dropout position and initial embeddings of the released
            code; `described` treats all variants alike.
        seed: of the initial weights.

    Raises:
        ValueError: an unknown backbone, variant, protocol or norm, or vectors that do not fit.
    """
    for name, value, valid in (
        ("backbone", backbone, BACKBONES),
        ("variant", variant, VARIANTS),
        ("protocol", protocol, PROTOCOLS),
    ):
        if value not in valid:
            raise ValueError(f"Unknown {name} {value!r}; it is one of {', '.join(valid)}.")
    released = protocol == "released"

    def adapted(n_in: int, n_out: int) -> DomainLoRA:
        own = (rank or lora_rank(n_out, alpha)) if variant == "mlora" else 0
        return DomainLoRA(n_in, n_out, n_domains, own, dropout, dropout_on_shared=released)

    with initial_draws(seed):
        model = BACKBONES[backbone](
            field_sizes,
            embedding_size,
            hidden,
            partial(Dense, p=dropout) if variant == "base" else adapted,
            _RELEASED_MLORA_STD if released and variant != "base" else _BASE_STD,
        )
        for layer in model.adapted_layers():
            layer.reset_adapters()
    # What follows draws nothing, so that shared weights do not depend on it.
    model.input_norm = make_norm(norm, model.mlp_width(), n_domains)
    if vectors:
        model.take_vectors(field_sizes, vectors, train_vectors)
    return model


__all__ = [
    "BACKBONES",
    "BACKBONE_TITLES",
    "PAPER_ALPHA",
    "PROTOCOLS",
    "VARIANTS",
    "Backbone",
    "build_model",
    "paper_alpha",
]
