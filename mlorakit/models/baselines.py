"""The multi-domain baselines by name, and the sizes that MAMDR gives them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from mlorakit.models.backbone import Backbone
from mlorakit.models.baselines_networks import (
    PLE,
    STAR,
    BaselineSettings,
    MMoE,
    SeparateNetworks,
    SharedBottom,
    mlp_with_shared_lora,
)
from mlorakit.runtime import initial_draws

BASELINES: dict[str, Callable[[tuple[int, ...], int, int, BaselineSettings], Backbone]] = {
    "shared_bottom": SharedBottom,
    "mmoe": MMoE,
    "ple": PLE,
    "star": STAR,
    "separate": SeparateNetworks,
    "shared_lora": mlp_with_shared_lora,
}

BASELINE_TITLES = {
    "shared_bottom": "Shared-bottom",
    "mmoe": "MMoE",
    "ple": "PLE",
    "star": "STAR",
    "separate": "One MLP per domain",
    "shared_lora": "MLP + one LoRA",
}
"""Names as tables write them, in their order."""

# MAMDR's configs. Its STAR has no dropout. It has no config of the last two, which take the sizes
# of MLoRA's MLP.
_PLAIN = {
    "star": BaselineSettings(dropout=0.0),
    "separate": BaselineSettings(),
    "shared_lora": BaselineSettings(),
}
_MIXED = BaselineSettings(hidden=(256, 128), tower=(64,), gate=(64,), learning_rate=1e-4)
_WIDE = replace(_MIXED, hidden=(512, 256))
_BOTTOM = replace(_MIXED, gate=())

BASELINE_SETTINGS: dict[str, dict[str, BaselineSettings]] = {
    "amazon": {
        "shared_bottom": replace(_BOTTOM, learning_rate=1e-3),
        "mmoe": replace(_MIXED, experts=5),
        "ple": replace(_WIDE, experts=2, own_experts=5),
        **_PLAIN,
    },
    "taobao_10": {
        "shared_bottom": replace(_BOTTOM, hidden=(512, 256, 128)),
        "mmoe": replace(_MIXED, hidden=(512, 256, 128), experts=2),
        "ple": replace(_MIXED, hidden=(256,), experts=2, own_experts=10),
        **_PLAIN,
    },
    "taobao_20": {
        "shared_bottom": replace(_BOTTOM, hidden=(512, 256), tower=(128,)),
        "mmoe": replace(_WIDE, experts=2, tower=(128,)),
        "ple": replace(_MIXED, hidden=(256,), experts=2, own_experts=15),
        **_PLAIN,
    },
    "taobao_30": {
        "shared_bottom": replace(_BOTTOM, hidden=(512, 256), tower=(128,)),
        "mmoe": replace(_WIDE, experts=2, tower=(128,)),
        "ple": replace(_WIDE, experts=2, own_experts=3),
        **_PLAIN,
    },
}
"""Settings by data set. `amazon` serves 6 and 13 categories, and data that MAMDR does not have, as
MovieLens: embeddings are learned there too, where Taobao's are given and frozen.
"""

MAMDR_BASELINES = ("shared_bottom", "mmoe", "ple", "star")
"""Those that MAMDR and MLoRA compare with; the others are ours."""


def mamdr_sizes(description: dict[str, Any]) -> str:
    """The key of `BASELINE_SETTINGS` for a data set.

    Args:
        description: of the data set, from `datasets` in params.yaml. Taobao's data go by their
            number of themes, those with more than MAMDR's as 30; all others count as Amazon's.
    """
    if description["source"] not in ("taobao", "generated_taobao"):
        return "amazon"
    themes = description.get("themes", "all")
    for bound in (10, 20):
        if themes != "all" and int(themes) <= bound:
            return f"taobao_{bound}"
    return "taobao_30"


def build_baseline(
    name: str,
    *,
    field_sizes: tuple[int, ...],
    n_domains: int,
    settings: BaselineSettings,
    vectors: Mapping[int, Tensor] | None = None,
    train_vectors: bool = False,
    embedding_size: int = 8,
    seed: int = 0,
) -> Backbone:
    """A multi-domain baseline, with weights drawn from a seed.

    Args:
        name: a key of `BASELINES`.
        field_sizes: number of ids of each field.
        n_domains: D.
        settings: its sizes, such as ``BASELINE_SETTINGS["amazon"][name]``.
        vectors: embeddings given from outside, by place of the field, and frozen; see
            `build_model`.
        train_vectors: let the fields' embeddings start from the vectors instead.
        embedding_size: K; MAMDR's is 128. The vectors' length, if there are any.
        seed: of the initial weights.

    Raises:
        ValueError: an unknown name, settings without experts for a network that has them, or
            vectors that do not fit.
    """
    if name not in BASELINES:
        raise ValueError(f"Unknown baseline {name!r}; it is one of {', '.join(BASELINES)}.")
    with initial_draws(seed):
        model = BASELINES[name](field_sizes, n_domains, embedding_size, settings)
    if vectors:
        model.take_vectors(field_sizes, vectors, train_vectors)
    return model
