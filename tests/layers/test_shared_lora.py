"""One LoRA for all domains: MLoRA's layer where there is a single domain."""

import pytest
import torch
from torch import Tensor, nn

from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.layers.domain import one_domain
from mlorakit.layers.mlp import MLP, DomainLoRA
from mlorakit.layers.shared_lora import SharedLoRA


def random_layer(rank: int) -> tuple[SharedLoRA, Tensor, DomainGroups]:
    torch.manual_seed(0)
    layer = SharedLoRA(5, 7, rank, 0.5)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    order, groups = group_rows(torch.randint(3, (40,)), 3)
    return layer, torch.randn(40, 5)[order], groups


@pytest.mark.parametrize("rank", [0, 2])
def test_it_is_mloras_layer_of_one_domain(rank: int) -> None:
    layer, x, groups = random_layer(rank)
    plain = DomainLoRA(5, 7, 1, rank, 0.5, dropout_on_shared=False)
    plain.load_state_dict(layer.state_dict())
    outs, gradients = [], []
    for made, of_rows in ((layer, groups), (plain, one_domain(groups))):
        out = made.eval()(x, of_rows)
        out.square().sum().backward()
        outs.append(out.detach())
        gradients.append([parameter.grad for parameter in made.parameters()])
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-3)


def test_it_is_mloras_layer_whose_domains_agree() -> None:
    layer, x, groups = random_layer(2)
    alike = DomainLoRA(5, 7, 3, 2, 0.5, dropout_on_shared=False)
    state = layer.state_dict()
    for name in ("lora_a", "lora_b_bias"):
        state[name] = state[name].expand(3, -1, -1)
    alike.load_state_dict(state)
    torch.testing.assert_close(layer.eval()(x, groups), alike.eval()(x, groups))
    torch.testing.assert_close(layer.domain_term(x, groups), alike.domain_term(x, groups))


def test_dropout_zeroes_half_and_doubles_the_rest() -> None:
    layer, x, groups = random_layer(2)
    plain = layer.eval()(x, groups).detach()
    dropped = layer.train()(x, groups).detach()
    kept = dropped != 0
    assert 0.3 < kept[plain > 0].double().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * plain[kept])


def test_padding_of_the_mlp_changes_no_output_and_no_gradient() -> None:
    torch.manual_seed(0)
    mlp = MLP(5, (7, 6), lambda a, b: SharedLoRA(a, b, 2, 0.0))
    for parameter in mlp.parameters():
        nn.init.normal_(parameter)
    order, groups = group_rows(torch.randint(3, (40,)), 3)
    x = torch.randn(40, 5)[order]
    outs, gradients = [], []
    for out in (mlp(x, groups), mlp.layers[1](mlp.layers[0](x, groups), groups)):
        mlp.zero_grad()
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        outs.append(out.detach())
        gradients.append([parameter.grad for parameter in mlp.parameters()])
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
