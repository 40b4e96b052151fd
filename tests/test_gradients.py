"""Gradients put together by hand against autograd's, for every model that a fit may train."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mlorakit.cells import make_model
from mlorakit.data.batches import epoch_order
from mlorakit.data.dataset import MultiDomainData, Pooled, Rows
from mlorakit.gradients import by_autograd, loss_and_gradients
from mlorakit.kernels.groups import group_rows
from mlorakit.models import BACKBONES, VARIANTS, Backbone
from mlorakit.models.backbone import Backbone as BackboneClass
from mlorakit.train_config import TrainConfig


def batch_of(data: MultiDomainData, size: int = 200) -> Rows:
    order = torch.Generator().manual_seed(1)
    return next(epoch_order(data.train, size, "mixed", order).batches(data.train))


def model_of(data: MultiDomainData, **options: object) -> Backbone:
    config = TrainConfig.of(**{"hidden": "16,8", "alpha": "4", **options})
    model = make_model(config, data, seed=1).train()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return model


def found(
    model: Backbone, batch: Rows, by: Callable[[Rows], Tensor | float]
) -> tuple[Tensor, dict[str, Tensor | None]]:
    model.zero_grad()
    torch.manual_seed(3)  # dropout
    loss = torch.as_tensor(by(batch))
    assert not loss.requires_grad
    return loss, {name: p.grad for name, p in model.named_parameters()}


def assert_same(model: Backbone, batch: Rows) -> None:
    (loss, ours), (expected, theirs) = (
        found(model, batch, by) for by in (loss_and_gradients(model), partial(by_autograd, model))
    )
    torch.testing.assert_close(loss.double(), expected.double(), rtol=1e-5, atol=1e-7)
    for name, gradient in theirs.items():
        if gradient is None:
            assert ours[name] is None, name
        else:
            torch.testing.assert_close(
                ours[name], gradient, rtol=1e-4, atol=5e-7, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_they_are_those_of_autograd(
    tiny_data: MultiDomainData, backbone: str, variant: str
) -> None:
    assert_same(model_of(tiny_data, backbone=backbone, variant=variant), batch_of(tiny_data))


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "bn"},
        {"norm": "pn"},
        {"protocol": "released", "variant": "mlora"},
        {"dropout": 0.0},
        {"rank": 3, "variant": "mlora"},
    ],
)
@pytest.mark.parametrize("backbone", ["mlp", "dcn"])
def test_options_make_no_difference(
    tiny_data: MultiDomainData, backbone: str, options: dict[str, object]
) -> None:
    assert_same(model_of(tiny_data, backbone=backbone, **options), batch_of(tiny_data))


@pytest.mark.parametrize("backbone", ["mlp", "deepfm"])
def test_what_is_frozen_gets_none(tiny_data: MultiDomainData, backbone: str) -> None:
    model = model_of(tiny_data, backbone=backbone, variant="mlora")
    for name, p in model.named_parameters():
        p.requires_grad_("lora" in name)
    assert_same(model, batch_of(tiny_data))
    assert model.embedding.weight.grad is None
    assert all(p.grad is not None for n, p in model.named_parameters() if "lora" in n)


def test_fields_of_several_values_are_pooled() -> None:
    generator = torch.Generator().manual_seed(4)
    sizes = (5, Pooled(6, 3), 3)
    ids = torch.randint(3, (40, 5), generator=generator, dtype=torch.int32)
    label = (torch.rand(40, generator=generator) < 0.5).float()
    domain = torch.zeros(40, dtype=torch.int64)
    batch = Rows(ids, label, group_rows(domain, 1)[1])
    data = MultiDomainData("pooled", sizes, ("one",), "0" * 64, batch, batch, batch)
    assert_same(model_of(data, backbone="wdl"), batch)


def test_another_precision_is_left_to_autograd(tiny_data: MultiDomainData) -> None:
    model, batch = model_of(tiny_data, backbone="wdl").double(), batch_of(tiny_data)
    exact = Rows(batch.ids, batch.label.double(), batch.groups)
    assert_same(model, exact)


def test_a_model_of_other_parts_is_left_to_autograd(tiny_data: MultiDomainData) -> None:
    class Other(BackboneClass):
        def forward(self, ids: Tensor, groups: object) -> Tensor:
            return self.other(self.embedding(ids).flatten(1)).squeeze(1)

    model = model_of(tiny_data, backbone="mlp")
    model.other = nn.Linear(model.n_fields * 8, 1)
    model.__class__ = Other
    assert_same(model, batch_of(tiny_data))
    assert model.other.weight.grad is not None
