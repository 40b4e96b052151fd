"""The MLP's layers by hand: the base's, MLoRA's, and where dropout acts."""

import math

import pytest
import torch
from torch import Tensor, nn

from mlorakit.kernels.dropout import draw_keys, keep_mask
from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.layers.mlp import MLP, Dense, DomainLoRA, lora_rank

TWO_DOMAINS = group_rows(torch.tensor([0, 1]), 2)[1]
X = torch.tensor([[1.0, 2.0], [1.0, 2.0]])


def put(parameter: nn.Parameter, values: list) -> None:
    new = torch.tensor(values, dtype=torch.float32)
    assert new.shape == parameter.shape
    parameter.data = new


def by_hand(rank: int, p: float = 0.0, dropout_on_shared: bool = False) -> DomainLoRA:
    """W = [[1, 1], [1, -1]], b = (1, 0); a term and a bias per domain."""
    layer = DomainLoRA(2, 2, 2, rank, p, dropout_on_shared)
    put(layer.shared.weight, [[1, 1], [1, -1]])
    put(layer.shared.bias, [1, 0])
    layer.domain_bias.data.copy_(torch.tensor([[0.0, 3.0], [-10.0, 0.0]]))
    if layer.lora_a is not None:
        put(layer.lora_a, [[[2, 1]], [[0, 1]]])  # x A is 4 and 2
        layer.lora_b.data.copy_(torch.tensor([[[1.0, 0.0]], [[1.0, 2.0]]]))  # (4, 0) and (2, 4)
    return layer


def random_layer(rank: int, dropout_on_shared: bool) -> tuple[DomainLoRA, Tensor, DomainGroups]:
    """A layer with half the elements dropped, inputs and their groups, all weights random."""
    torch.manual_seed(0)
    layer = DomainLoRA(5, 7, 3, rank, 0.5, dropout_on_shared)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    order, groups = group_rows(torch.randint(3, (40,)), 3)
    return layer, torch.randn(40, 5)[order], groups


@pytest.mark.parametrize(
    ("n_out", "alpha", "rank"),
    [(256, 16, 16), (100, 32, 3), (33, 16, 2), (16, 16, 1), (15, 16, 1), (64, 256, 1), (8, 1, 8)],
)
def test_the_rank_is_the_width_over_alpha_and_at_least_one(
    n_out: int, alpha: int, rank: int
) -> None:
    assert lora_rank(n_out, alpha) == rank


def test_dense_by_hand() -> None:
    dense = Dense(2, 2, p=0.5).eval()
    put(dense.shared.weight, [[1, 2], [3, -4]])
    put(dense.shared.bias, [1, -1])
    # 1 + 2 + 1 = 4, and relu(3 - 4 - 1) = 0.
    assert dense(torch.tensor([[1.0, 1.0]]), TWO_DOMAINS).tolist() == [[4, 0]]


def test_domain_lora_by_hand() -> None:
    # W x + b is (4, -1). Domain 0: + (4, 0) + (0, 3) = (8, 2).
    # Domain 1: + (2, 4) + (-10, 0) = (-4, 3), and relu leaves (0, 3).
    assert by_hand(rank=1)(X, TWO_DOMAINS).tolist() == [[8, 2], [0, 3]]


def test_without_rank_only_the_domain_bias_is_added() -> None:
    layer = by_hand(rank=0)
    # (4, -1) + (0, 3) = (4, 2); (4, -1) + (-10, 0), and relu leaves (0, 0).
    assert layer(X, TWO_DOMAINS).tolist() == [[4, 2], [0, 0]]
    assert {name for name, _ in layer.named_parameters()} == {
        "shared.weight",
        "shared.bias",
        "lora_b_bias",
    }


def test_the_default_drops_after_relu() -> None:
    layer, x, groups = random_layer(rank=2, dropout_on_shared=False)
    torch.manual_seed(1)
    out = layer(x, groups)
    torch.manual_seed(1)
    keep = keep_mask(len(out), out.shape[1], 0.5, draw_keys(1)[0])
    h = torch.relu(layer.shared(x) + layer.domain_term(x, groups))
    torch.testing.assert_close(out, 2 * h * keep)


def test_the_released_position_drops_on_the_shared_path_alone() -> None:
    layer, x, groups = random_layer(rank=2, dropout_on_shared=True)
    torch.manual_seed(1)
    out = layer(x, groups)
    torch.manual_seed(1)
    keep = keep_mask(len(out), out.shape[1], 0.5, draw_keys(1)[0])
    expected = torch.relu(2 * layer.shared(x) * keep + layer.domain_term(x, groups))
    torch.testing.assert_close(out, expected)
    own = torch.relu(layer.domain_term(x, groups))
    dropped = ~keep
    torch.testing.assert_close(out[dropped], own[dropped])
    assert (own[dropped] > 0).any()  # a dropped element keeps its domain's term


def test_both_positions_agree_without_a_term_of_the_domain() -> None:
    # ReLU commutes with scaling by 0 or 1 / (1 - p).
    outs = []
    for dropout_on_shared in (False, True):
        layer, x, groups = random_layer(rank=0, dropout_on_shared=dropout_on_shared)
        nn.init.zeros_(layer.domain_bias)
        torch.manual_seed(1)
        outs.append(layer(x, groups))  # the same masks for both
    torch.testing.assert_close(*outs)
    assert (outs[0] > 0).any()


@pytest.mark.parametrize("dropout_on_shared", [False, True])
def test_in_evaluation_the_position_makes_no_difference(dropout_on_shared: bool) -> None:
    layer, x, groups = random_layer(rank=2, dropout_on_shared=dropout_on_shared)
    layer.eval()
    expected = torch.relu(layer.shared(x) + layer.domain_term(x, groups))
    torch.testing.assert_close(layer(x, groups), expected)


def test_adapters_start_with_glorot_a_and_zero_b_and_bias() -> None:
    layer = by_hand(rank=1)
    layer.reset_adapters()
    assert (layer.lora_b == 0).all()
    assert (layer.domain_bias == 0).all()
    torch.manual_seed(0)
    wide = DomainLoRA(1000, 100, 3, 20, 0.0, False)
    wide.reset_adapters()
    for a in wide.lora_a:  # each domain's own, not one fan over all
        assert a.std().item() == pytest.approx(math.sqrt(2 / 1020), rel=0.03)
    assert not torch.equal(wide.lora_a[0], wide.lora_a[1])


def test_a_fresh_low_rank_term_changes_nothing_and_can_learn() -> None:
    layer, x, groups = random_layer(rank=2, dropout_on_shared=False)
    layer.reset_adapters()
    assert (layer.domain_term(x, groups) == 0).all()
    layer(x, groups).sum().backward()
    assert (layer.lora_b_bias.grad[:, :-1] != 0).any(2).any(1).all()  # in every domain
    assert (layer.lora_a.grad == 0).all()  # until B moves


def test_shared_weights_start_glorot_normal_without_bias() -> None:
    torch.manual_seed(0)
    for layer in (Dense(600, 400, p=0.0), DomainLoRA(600, 400, 2, 3, 0.0, False)):
        assert layer.shared.weight.std().item() == pytest.approx(math.sqrt(2 / 1000), rel=0.01)
        assert (layer.shared.bias == 0).all()


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("dropout_on_shared", [False, True])
@pytest.mark.parametrize("n_domains", [3, 40])
def test_an_mlp_of_adapted_layers_is_the_layers_one_after_the_other(
    n_domains: int, dropout_on_shared: bool, rank: int
) -> None:
    # The MLP computes all layers in one call; each layer alone in a call of its own.
    torch.manual_seed(0)
    mlp = MLP(
        5, (7, 6), lambda a, b: DomainLoRA(a, b, n_domains, rank, 0.5, dropout_on_shared)
    ).eval()
    for parameter in mlp.parameters():
        nn.init.normal_(parameter)
    order, groups = group_rows(torch.randint(n_domains, (600,)), n_domains)
    x = torch.randn(600, 5)[order]
    outs, gradients = [], []
    for chained in (True, False):
        y = x.clone().requires_grad_()
        out = mlp(y, groups) if chained else mlp.layers[1](mlp.layers[0](y, groups), groups)
        mlp.zero_grad()
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        outs.append(out.detach())
        gradients.append([y.grad, *(parameter.grad for parameter in mlp.parameters())])
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_mlp_chains_its_layers() -> None:
    widths = []

    def layer(n_in: int, n_out: int) -> nn.Module:
        widths.append((n_in, n_out))
        dense = Dense(n_in, n_out, p=0.0)
        nn.init.ones_(dense.shared.weight)
        return dense

    mlp = MLP(2, (3, 4, 1), layer)
    assert widths == [(2, 3), (3, 4), (4, 1)]
    # 1 + 2 = 3, in three places; 9, in four; 36.
    assert mlp(torch.tensor([[1.0, 2.0]]), TWO_DOMAINS).tolist() == [[36]]


def test_an_mlp_draws_the_masks_of_its_layers_at_once() -> None:
    torch.manual_seed(0)
    mlp = MLP(5, (7, 6), lambda a, b: Dense(a, b, p=0.5))
    x = torch.randn(40, 5)
    groups = group_rows(torch.zeros(40, dtype=torch.int64), 1)[1]
    torch.manual_seed(1)
    out = mlp(x, groups)
    torch.manual_seed(1)
    expected = x
    for layer, key in zip(mlp.layers, draw_keys(2), strict=True):
        keep = keep_mask(40, layer.shared.out_features, 0.5, key)
        expected = 2 * keep * torch.relu(layer.shared(expected))
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("training", [False, True])
def test_an_mlp_without_layers_gives_its_input_back(training: bool) -> None:
    assert MLP(2, (), lambda a, b: Dense(a, b, p=0.5)).train(training)(X, TWO_DOMAINS) is X


def test_layers_of_other_kinds_or_probabilities_are_taken_one_by_one() -> None:
    class Twice(Dense):
        def forward(self, x: Tensor, groups: DomainGroups) -> Tensor:
            return 2 * super().forward(x, groups)

    torch.manual_seed(0)
    mlp = MLP(2, (3, 3), lambda a, b: Dense(a, b, p=0.0))
    expected = mlp(X, TWO_DOMAINS)
    twice = Twice(3, 3, p=0.0)
    twice.load_state_dict(mlp.layers[1].state_dict())
    mlp.layers[1] = twice
    torch.testing.assert_close(mlp(X, TWO_DOMAINS), 2 * expected)
    mlp.layers[1] = Dense(3, 3, p=0.999999)
    nn.init.ones_(mlp.layers[1].shared.weight)
    assert not mlp(X, TWO_DOMAINS).any()  # dropped, with its own probability


@pytest.mark.parametrize("rank", [None, 0, 2])
def test_double_precision_computes_the_same(rank: int | None) -> None:
    torch.manual_seed(0)
    layer = Dense(5, 7, 0.5) if rank is None else DomainLoRA(5, 7, 3, rank, 0.5, False)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    order, groups = group_rows(torch.randint(3, (40,)), 3)
    x = torch.randn(40, 5)[order]
    torch.manual_seed(1)
    out = layer(x, groups)
    torch.manual_seed(1)
    exact = layer.double()(x.double(), groups)
    torch.testing.assert_close(out.double(), exact, rtol=1e-4, atol=1e-4)
