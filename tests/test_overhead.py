"""What adapters add: numbers by hand."""

import pytest

from mlorakit.adapters import AdapterError
from mlorakit.models import BACKBONES, Backbone, build_model
from mlorakit.overhead import overhead


def model_of(backbone: str, variant: str = "mlora", n_domains: int = 5) -> Backbone:
    return build_model(
        backbone,
        variant,
        field_sizes=(100, 50, 6),
        n_domains=n_domains,
        alpha=4,
        embedding_size=8,
        hidden=(16, 8),
    )


def test_an_mlp_by_hand() -> None:
    found = overhead(model_of("mlp"))
    embeddings = 156 * 8
    dense = 24 * 16 + 16 + 16 * 8 + 8 + 8 + 1
    ranks = (4, 2)
    added = ranks[0] * (24 + 16) + ranks[1] * (16 + 8)
    assert found.params_embedding == embeddings
    assert found.params == embeddings + dense
    assert found.params_added == 5 * (added + 16 + 8)
    assert found.multiply_adds == 24 * 16 + 16 * 8 + 8
    assert found.multiply_adds_added == added
    assert found.share == found.params_added / (embeddings + dense)
    assert found.share_of_layers == found.params_added / dense
    assert found.share_of_multiply_adds == added / (24 * 16 + 16 * 8 + 8)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_domains_add_weights_and_no_multiply_adds(backbone: str) -> None:
    few, many = (overhead(model_of(backbone, n_domains=n)) for n in (2, 40))
    assert many.params_added == 20 * few.params_added
    assert many.params == few.params
    assert many.multiply_adds == few.multiply_adds
    assert many.multiply_adds_added == few.multiply_adds_added > 0


def test_attention_and_products_of_fields_count() -> None:
    # AutoInt beside the MLP that it has: three layers of four projections of 3 fields, and two
    # products of its 4 heads of 8; the head reads 3 fields of 32 besides.
    mlp, autoint = (overhead(model_of(name)).multiply_adds for name in ("mlp", "autoint"))
    projections = 3 * 4 * (8 * 32 + 2 * 32 * 32)
    products = 3 * 2 * 4 * 3 * 3 * 8
    assert autoint - mlp == projections + products + 3 * 32


def test_a_control_model_adds_biases_alone() -> None:
    found = overhead(model_of("mlp", "control"))
    assert found.params_added == 5 * (16 + 8)
    assert found.multiply_adds_added == 0


def test_a_base_model_has_no_adapters() -> None:
    with pytest.raises(AdapterError, match="MLPNet has no adapters"):
        overhead(model_of("mlp", "base"))


@pytest.mark.parametrize("norm", ["bn", "pn"])
def test_a_norm_has_no_matrix_products(norm: str) -> None:
    more = {"field_sizes": (100, 50, 6), "n_domains": 5, "alpha": 4, "hidden": (16, 8)}
    plain, normed = (
        overhead(build_model("wdl", "mlora", norm=name, **more)) for name in ("none", norm)
    )
    assert normed.multiply_adds == plain.multiply_adds
    assert normed.params_added == plain.params_added


def test_taobao_10_by_hand() -> None:
    # MLoRA's settings: 128 numbers per field, alpha 16, ten domains.
    model = build_model(
        "mlp", "mlora", field_sizes=(9, 9, 11), n_domains=10, alpha=16, embedding_size=128
    )
    found = overhead(model)
    head_and_bias = 64 + 1
    assert found.params_added == 145_280
    assert found.params - found.params_embedding - head_and_bias == 139_712
