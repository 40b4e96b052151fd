"""Feature interactions against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from mlorakit.kernels.bilinear import fibinet
from mlorakit.kernels.interaction import bi_interaction, factorization_machine
from mlorakit.kernels.pairs import inner_products, pairs, product_layer
from mlorakit.layers.interactions import (
    BilinearInteraction,
    CompressedInteraction,
    CrossNetwork,
    InteractingLayer,
    SENet,
)

# Three fields of size 2. Products of the pairs: (3, 8), (5, 12), (15, 24).
E = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])


def put(parameter: nn.Parameter, values: list) -> None:
    new = torch.tensor(values, dtype=torch.float32)
    assert new.shape == parameter.shape
    parameter.data = new


def test_pairs_run_over_the_first_field_and_then_the_second() -> None:
    assert pairs(4) == ([0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3])
    assert pairs(1) == ([], [])


def test_bi_interaction_sums_the_products_of_the_pairs() -> None:
    assert bi_interaction(E).tolist() == [[3 + 5 + 15, 8 + 12 + 24]]


def test_factorization_machine_sums_the_inner_products_of_the_pairs() -> None:
    assert factorization_machine(E).tolist() == [3 + 8 + 5 + 12 + 15 + 24]


def test_inner_products_are_those_of_each_pair() -> None:
    assert inner_products(E).tolist() == [[3 + 8, 5 + 12, 15 + 24]]


def test_product_layer_puts_the_inner_products_behind_the_embeddings() -> None:
    assert product_layer(E).tolist() == [[1, 2, 3, 4, 5, 6, 11, 17, 39]]


@pytest.mark.parametrize("n_fields", [2, 3, 5])
def test_pooled_and_paired_forms_agree(n_fields: int) -> None:
    e = torch.randn(6, n_fields, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(factorization_machine(e), inner_products(e).sum(1))


def test_cross_network_by_hand() -> None:
    cross = CrossNetwork(2, n_layers=2)
    put(cross.weight, [[1, 1], [2, -1]])
    put(cross.bias, [[0, 1], [1, 0]])
    # x1 = x0 <x0, w0> + b0 + x0 = 3 (1, 2) + (0, 1) + (1, 2) = (4, 9)
    # x2 = x0 <x1, w1> + b1 + x1 = -1 (1, 2) + (1, 0) + (4, 9) = (4, 7)
    assert cross(torch.tensor([[1.0, 2.0]])).tolist() == [[4, 7]]


def test_cross_network_starts_with_glorot_weights_and_no_bias() -> None:
    torch.manual_seed(0)
    cross = CrossNetwork(2000, n_layers=2)
    assert cross.weight.std().item() == pytest.approx(math.sqrt(2 / 2001), rel=0.05)
    assert (cross.bias == 0).all()


def test_compressed_interaction_by_hand() -> None:
    cin = CompressedInteraction(2, (2, 1))
    put(cin.weights[0], [[1, 0, 0, 0], [0, 0, 1, 0]])
    put(cin.biases[0], [0, -5])
    put(cin.weights[1], [[2, -1]])
    put(cin.biases[1], [1])
    # Fields (1, 2) and (3, 4), so the outer products (e0 e0, e0 e1, e1 e0, e1 e1) are
    # (1, 3, 3, 9) at k = 0 and (4, 8, 8, 16) at k = 1.
    # Layer 1, map 0 = e0 e0: 1 and 4; it feeds layer 2.
    # Layer 1, map 1 = relu(e1 e0 - 5): 0 and 3; pooled 3.
    # Layer 2: map 0 times (e0, e1) is (1, 3) and (8, 16); relu(2 a - b + 1): 0 and 1; pooled 1.
    assert cin(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist() == [[3, 1]]
    assert cin.width == 2


def test_compressed_interaction_pools_half_of_each_layer_but_the_last() -> None:
    cin = CompressedInteraction(3, (8, 6, 4))
    assert cin.width == 4 + 3 + 4
    assert cin(torch.ones(5, 3, 2)).shape == (5, 11)
    # Layer 1 takes 3 x 3 products, layer 2 (8 / 2) x 3, layer 3 (6 / 2) x 3.
    assert [tuple(weight.shape) for weight in cin.weights] == [(8, 9), (6, 12), (4, 9)]


def interacting(query: Tensor, key: Tensor, value: Tensor, residual: Tensor, heads: int) -> Tensor:
    """The layer's output for two fields (1, 0) and (0, 1)."""
    layer = InteractingLayer(2, 2 // heads, heads)
    layer.weight.data = torch.cat((query, key, value, residual), 1)
    return layer(torch.eye(2).unsqueeze(0))


def test_interacting_layer_with_one_head_by_hand() -> None:
    eye, zero = torch.eye(2), torch.zeros(2, 2)
    # Scores are log 3 for a field with itself and 0 with the other: attention 3/4 and 1/4.
    out = interacting(math.log(3) * eye, eye, 4 * eye, zero, heads=1)
    torch.testing.assert_close(out, torch.tensor([[[3.0, 1.0], [1.0, 3.0]]]))


def test_interacting_layer_adds_the_residual_before_relu() -> None:
    eye, zero = torch.eye(2), torch.zeros(2, 2)
    # No scores: the mean of the values, (2, 2), for both fields; the residual is -3 times a field.
    out = interacting(zero, zero, 4 * eye, -3 * eye, heads=1)
    torch.testing.assert_close(out, torch.tensor([[[0.0, 2.0], [2.0, 0.0]]]))


def test_interacting_layer_keeps_its_heads_apart() -> None:
    eye, zero = torch.eye(2), torch.zeros(2, 2)
    query = torch.diag(torch.tensor([math.log(3), 0.0]))
    # Head 0 sees column 0: scores (log 3, 0) for field 0, (0, 0) for field 1; values (4, 0).
    # Head 1 sees column 1: no scores, so the mean of the values (0, 4) for both fields.
    out = interacting(query, eye, 4 * eye, zero, heads=2)
    torch.testing.assert_close(out, torch.tensor([[[3.0, 2.0], [2.0, 2.0]]]))


def test_senet_by_hand() -> None:
    senet = SENet(2, reduction=3)
    put(senet.squeeze, [[1], [-1]])
    put(senet.excite, [[3, -1]])
    # Row 1: means 2 and 1 squeeze to 1; relu(3), relu(-1) weigh the fields 3 and 0.
    # Row 2: means 1 and 2 squeeze to relu(-1) = 0, so both fields vanish.
    e = torch.tensor([[[1.0, 3.0], [0.0, 2.0]], [[0.0, 2.0], [1.0, 3.0]]])
    assert senet(e).tolist() == [[[3, 9], [0, 0]], [[0, 0], [0, 0]]]


@pytest.mark.parametrize(("n_fields", "width"), [(1, 1), (3, 1), (5, 1), (6, 2), (10, 3)])
def test_senet_squeezes_to_a_third_and_at_least_one(n_fields: int, width: int) -> None:
    assert SENet(n_fields, reduction=3).squeeze.shape == (n_fields, width)


def test_bilinear_interaction_of_one_pair_by_hand() -> None:
    bilinear = BilinearInteraction(2, 2)
    put(bilinear.weight, [[[1, 2], [3, 4]]])
    # (1, 2) W = (1 + 6, 2 + 8) = (7, 10), times (5, -1).
    assert bilinear(torch.tensor([[[1.0, 2.0], [5.0, -1.0]]])).tolist() == [[[35, -10]]]


def test_bilinear_interaction_has_a_matrix_per_pair() -> None:
    bilinear = BilinearInteraction(3, 2)
    bilinear.weight.data = torch.eye(2) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    assert bilinear(E).tolist() == [[[3, 8], [2 * 5, 2 * 12], [3 * 15, 3 * 24]]]


def test_both_bilinear_interactions_are_made_at_once() -> None:
    bilinear, senet = BilinearInteraction(3, 2), SENet(3, reduction=3)
    put(senet.squeeze, [[1], [1], [1]])
    put(senet.excite, [[1, 0, 2]])
    both = fibinet(E, senet.squeeze, senet.excite, bilinear.weight)
    apart = torch.cat((bilinear(senet(E)), bilinear(E)), 1)
    torch.testing.assert_close(both, apart)
