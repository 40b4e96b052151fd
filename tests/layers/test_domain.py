"""Layers of a domain's own: by hand, against networks apart, and no domain touching another."""

import math

import pytest
import torch
from torch import Tensor, nn

from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.layers.domain import (
    DomainDense,
    DomainExperts,
    DomainLinear,
    Gate,
    StarDense,
    Tower,
    one_domain,
    repeat_groups,
)

TWO_DOMAINS = group_rows(torch.tensor([0, 1]), 2)[1]
X = torch.tensor([[1.0, 2.0], [1.0, 2.0]])


def put(parameter: nn.Parameter, values: list) -> None:
    new = torch.tensor(values, dtype=torch.float32)
    assert new.shape == parameter.shape
    parameter.data = new


def batch_of(n_domains: int = 3, width: int = 5, rows: int = 24) -> tuple[Tensor, DomainGroups]:
    """Random inputs sorted by domain; domain 1 is empty."""
    generator = torch.Generator().manual_seed(2)
    domain = torch.randint(n_domains, (rows,), generator=generator)
    _, groups = group_rows(torch.where(domain == 1, 0, domain), n_domains)
    return torch.randn(rows, width, generator=generator), groups


def randomise(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(4)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)


def test_domain_dense_by_hand() -> None:
    dense = DomainDense(2, 2, 2, p=0.5).eval()
    put(dense.own.weight, [[[1, 2], [3, -4]], [[0, 1], [1, 0]]])
    put(dense.own.bias, [[1, -1], [-3, 5]])
    # Domain 0: 1 + 4 + 1 = 6, relu(3 - 8 - 1) = 0. Domain 1: relu(2 - 3) = 0, 1 + 5 = 6.
    assert dense(X, TWO_DOMAINS).tolist() == [[6, 0], [0, 6]]


def test_star_multiplies_weights_and_adds_biases() -> None:
    star = StarDense(2, 1, 2, p=0.0)
    put(star.shared.weight, [[2, 3]])
    put(star.shared.bias, [1])
    put(star.domain_weight, [[[1, 1]], [[-1, 5]]])
    put(star.domain_bias, [[10], [20]])
    # 2 * 1 + 3 * 2 + 11 = 19; -2 * 1 + 15 * 2 + 21 = 49.
    assert star(X, TWO_DOMAINS).tolist() == [[19], [49]]


def test_dropout_zeroes_half_and_doubles_the_rest() -> None:
    x, groups = batch_of(rows=400)
    for layer in (DomainDense(5, 30, 3, p=0.5), StarDense(5, 30, 3, p=0.5)):
        plain = layer.eval()(x, groups).detach()
        dropped = layer.train()(x, groups).detach()
        kept = dropped != 0
        assert 0.47 < kept[plain > 0].double().mean() < 0.53
        torch.testing.assert_close(dropped[kept], 2 * plain[kept])


def test_a_tower_is_a_network_per_domain() -> None:
    x, groups = batch_of()
    tower = Tower(5, (4, 3), 3, p=0.0)
    randomise(tower)
    expected = torch.empty(24)
    for i, d in enumerate(groups.domain.tolist()):
        h = x[i]
        for layer in tower.mlp.layers:
            h = torch.relu(layer.own.weight[d] @ h + layer.own.bias[d])
        expected[i] = (tower.head.weight[d] @ h + tower.head.bias[d]).detach()
    torch.testing.assert_close(tower(x, groups), expected)


def test_a_tower_without_hidden_layers_is_a_linear_map() -> None:
    x, groups = batch_of()
    tower = Tower(5, (), 3, p=0.5)
    torch.testing.assert_close(tower(x, groups), tower.head(x, groups).squeeze(1))


def test_a_gates_weights_by_hand() -> None:
    gate = Gate(2, (), 2, n_weights=2, p=0.0)
    # In domain 0 exp(log 3) to exp(0); in domain 1 all 0.
    put(gate.head.weight, [[[math.log(3), 0], [0, 0]], [[0, 0], [0, 0]]])
    expected = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    torch.testing.assert_close(gate(X, TWO_DOMAINS), expected)
    assert gate.head.bias is None


def test_experts_of_a_domain_are_networks_apart() -> None:
    x, groups = batch_of()
    experts = DomainExperts(5, (4, 3), 3, 2, p=0.0)
    randomise(experts)
    out = experts(x, groups)
    assert out.shape == (24, 2, 3)
    for i, d in enumerate(groups.domain.tolist()):
        for s in range(2):
            h = x[i]
            for layer in experts.mlp.layers:
                h = torch.relu(layer.own.weight[2 * d + s] @ h + layer.own.bias[2 * d + s])
            torch.testing.assert_close(out[i, s], h)


@pytest.mark.parametrize("times", [1, 3])
def test_repeated_rows_lie_by_domain_and_copy(times: int) -> None:
    _, groups = group_rows(torch.tensor([0, 0, 2]), 3)
    rows, place, repeated = repeat_groups(groups, times)
    if times == 3:
        assert rows.tolist() == [0, 1, 0, 1, 0, 1, 2, 2, 2]
        assert place.tolist() == [[0, 2, 4], [1, 3, 5], [6, 7, 8]]
        assert repeated.domain.tolist() == [0, 0, 1, 1, 2, 2, 6, 7, 8]
        assert repeated.ends.tolist() == [2, 4, 6, 6, 6, 6, 7, 8, 9]
    else:
        assert rows.tolist() == [0, 1, 2]
        assert place.tolist() == [[0], [1], [2]]
        assert torch.equal(repeated.domain, groups.domain)
        assert torch.equal(repeated.ends, groups.ends)


def test_one_domain_holds_all_rows() -> None:
    _, groups = batch_of()
    together = one_domain(groups)
    assert together.slices == [(0, 0, 24)]
    assert together.domain.tolist() == [0] * 24


@pytest.mark.parametrize(
    "make",
    [
        lambda: DomainDense(5, 4, 3, p=0.0),
        lambda: StarDense(5, 4, 3, p=0.0),
        lambda: Tower(5, (4,), 3, p=0.0),
        lambda: Gate(5, (4,), 3, 2, p=0.0),
        lambda: DomainExperts(5, (4,), 3, 2, p=0.0),
    ],
)
def test_rows_of_a_domain_reach_no_weight_of_another(make: object) -> None:
    layer = make()
    randomise(layer)
    x, groups = batch_of()
    out = layer(x, groups)
    out[groups.domain == 2].square().sum().backward()
    for name, parameter in layer.named_parameters():
        if name.startswith("shared."):
            continue
        of_domain = parameter.grad.unflatten(0, (3, -1))
        assert (of_domain[:2] == 0).all(), name
        assert of_domain[2].any(), name


def test_every_matrix_starts_glorot_normal_by_its_own_fan() -> None:
    torch.manual_seed(0)
    for weight in (DomainLinear(600, 400, 3).weight, StarDense(600, 400, 3, 0.0).domain_weight):
        for own in weight:
            assert own.std().item() == pytest.approx(math.sqrt(2 / 1000), rel=0.01)
        assert not torch.equal(weight[0], weight[1])
    assert (DomainLinear(6, 4, 3).bias == 0).all()
