"""Adapters of one domain: taken out, put in, added, dropped, merged."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from mlorakit.adapters import (
    AdapterError,
    add_domain,
    drop_domain,
    freeze_shared,
    get_adapter,
    merge_domain,
    put_adapter,
    shared_hash,
)
from mlorakit.data.dataset import MultiDomainData, Rows
from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.models import BACKBONES, Backbone, build_model
from mlorakit.training import FitSettings, evaluate, fit

SIZES = (9, 6, 4)
N_DOMAINS = 3
ADAPTED = ("lora_a", "lora_b_bias")


def randomise(parameters: Iterable[nn.Parameter], seed: int = 4) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)


def model_of(
    backbone: str = "mlp", variant: str = "mlora", adapters: int = 4, **more: object
) -> Backbone:
    """A model whose shared weights are always the same, and whose adapters a seed decides."""
    settings: dict = {"alpha": 4, "embedding_size": 4, "hidden": (10, 6), "dropout": 0.5} | more
    model = build_model(backbone, variant, field_sizes=SIZES, n_domains=N_DOMAINS, **settings)
    shared = [p for name, p in model.named_parameters() if not name.endswith(ADAPTED)]
    randomise(shared)
    randomise((p for name, p in model.named_parameters() if name.endswith(ADAPTED)), adapters)
    return model.eval()


def ids_of(rows: int = 20) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.stack(
        [torch.randint(size, (rows,), generator=generator) for size in SIZES], 1
    ).int()


def logits(model: Backbone, domain: int, n_domains: int = N_DOMAINS) -> Tensor:
    """Of the same rows, all of one domain."""
    ids = ids_of()
    _, groups = group_rows(torch.full((len(ids),), domain), n_domains)
    with torch.no_grad():
        return model(ids, groups)


@pytest.mark.parametrize("protocol", ["described", "released"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_merged_model_gives_what_the_domain_gave(backbone: str, protocol: str) -> None:
    model = model_of(backbone, protocol=protocol)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for domain in range(N_DOMAINS):
        merged = merge_domain(model, domain)
        assert merged.adapted_layers() == []
        expected = logits(model, domain)
        for served_as in range(N_DOMAINS):  # there is nothing of a domain left
            torch.testing.assert_close(logits(merged, served_as), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(logits(model, 0), logits(model, 1), atol=1e-2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_merged_model_is_a_base_model() -> None:
    model = model_of("deepfm")
    merged = merge_domain(model, 1)
    base = build_model(
        "deepfm",
        "base",
        field_sizes=SIZES,
        n_domains=N_DOMAINS,
        alpha=4,
        embedding_size=4,
        hidden=(10, 6),
    ).eval()
    base.load_state_dict(merged.state_dict())
    assert torch.equal(logits(base, 0), logits(merged, 0))
    assert [layer.p for layer in merged.mlp.layers] == [0.5, 0.5]
    assert not any(layer.training for layer in merged.mlp.layers)
    assert all(p.requires_grad for p in merged.parameters())


def test_merging_draws_no_random_numbers() -> None:
    model = model_of()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    merge_domain(model, 0)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("variant", ["mlora", "control"])
def test_an_adapter_moves_between_models_of_the_same_shared_weights(variant: str) -> None:
    first, second = (model_of(variant=variant, adapters=seed) for seed in (5, 6))
    others = [logits(second, domain) for domain in (0, 2)]
    assert not torch.allclose(logits(first, 0), logits(second, 1), atol=1e-2)
    adapter = get_adapter(first, 0, "women")
    put_adapter(second, 1, adapter)
    assert torch.equal(logits(second, 1), logits(first, 0))
    assert all(torch.equal(logits(second, d), old) for d, old in zip((0, 2), others, strict=True))
    assert (adapter.backbone, adapter.domain, adapter.widths) == ("mlp", "women", (12, 10, 6))
    assert adapter.ranks == ((2, 1) if variant == "mlora" else (0, 0))


def test_an_adapter_is_a_copy() -> None:
    model = model_of()
    adapter = get_adapter(model, 0, "women")
    kept = logits(model, 0)
    randomise(p for layer in model.adapted_layers() for p in (layer.lora_a, layer.lora_b_bias))
    put_adapter(model, 0, adapter)
    assert torch.equal(logits(model, 0), kept)


def test_a_new_domain_starts_as_the_shared_model() -> None:
    model = model_of()
    old = [logits(model, domain) for domain in range(N_DOMAINS)]
    shared = shared_hash(model)
    assert add_domain(model, seed=1) == N_DOMAINS
    assert all(
        torch.equal(logits(model, domain, N_DOMAINS + 1), value) for domain, value in enumerate(old)
    )
    for layer in model.adapted_layers():
        nn.init.zeros_(layer.lora_b_bias.data[0])
    assert torch.equal(logits(model, N_DOMAINS, N_DOMAINS + 1), logits(model, 0, N_DOMAINS + 1))
    assert shared_hash(model) == shared
    assert [a.shape for a, _ in parts(model)] == [(4, 2, 12), (4, 1, 10)]
    assert all(p.requires_grad for p in model.parameters())


def parts(model: Backbone) -> list[tuple[Tensor, Tensor]]:
    return [(layer.lora_a, layer.lora_b_bias) for layer in model.adapted_layers()]


def test_a_new_domains_weights_are_glorots_and_of_its_seed() -> None:
    made = []
    for seed in (1, 1, 2):
        model = build_model(
            "mlp", "mlora", field_sizes=SIZES, n_domains=1, alpha=2, hidden=(400, 200)
        )
        torch.manual_seed(seed + len(made))  # has no say
        add_domain(model, seed)
        made.append(model.adapted_layers()[1].lora_a[-1])
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert made[0].std().item() == pytest.approx((2 / (400 + 100)) ** 0.5, rel=0.02)


def test_a_dropped_domain_leaves_the_others_as_they_are() -> None:
    model = model_of()
    expected = [logits(model, domain) for domain in (0, 2)]
    drop_domain(model, 1)
    for domain, value in enumerate(expected):
        # Fewer domains may be merged at fewer rows, so sums come in another order.
        torch.testing.assert_close(logits(model, domain, 2), value)
    drop_domain(model, 1)
    with pytest.raises(AdapterError, match="a single domain, which cannot be dropped"):
        drop_domain(model, 0)


@pytest.mark.parametrize("domain", [-1, 3])
def test_a_domain_that_is_not_there_is_refused(domain: int) -> None:
    model = model_of()
    adapter = get_adapter(model, 0, "women")
    for call in (
        lambda: get_adapter(model, domain, "x"),
        lambda: put_adapter(model, domain, adapter),
        lambda: drop_domain(model, domain),
        lambda: merge_domain(model, domain),
    ):
        with pytest.raises(AdapterError, match=f"Domain {domain} is none of the model's, 0 to 2"):
            call()


def test_a_base_model_has_no_adapters() -> None:
    base = model_of(variant="base")
    for call in (
        lambda: get_adapter(base, 0, "x"),
        lambda: add_domain(base, 1),
        lambda: merge_domain(base, 0),
        lambda: freeze_shared(base),
    ):
        with pytest.raises(AdapterError, match="MLPNet has no adapters; build it with variant"):
            call()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"backbone": "wdl"}, "is for backbone mlp, and the model has wdl"),
        ({"hidden": (10, 5)}, "is for MLP widths 12, 10, 6, and the model has 12, 10, 5"),
        ({"alpha": 2}, "is for ranks 2, 1, and the model has 5, 3"),
        ({"variant": "control"}, "is for ranks 2, 1, and the model has 0, 0"),
    ],
)
def test_an_adapter_of_another_shape_is_refused(other: dict, message: str) -> None:
    adapter = get_adapter(model_of(), 0, "women")
    model = model_of(**other)
    before = logits(model, 0)
    with pytest.raises(AdapterError, match=f"The adapter of domain 'women' {message}"):
        put_adapter(model, 0, adapter)
    assert torch.equal(logits(model, 0), before)


def test_an_adapter_of_other_shared_weights_is_refused() -> None:
    model = model_of()
    adapter = get_adapter(model, 0, "women")
    with torch.no_grad():
        model.embedding.weight[0, 0] += 1
    with pytest.raises(AdapterError, match="was trained with other shared weights"):
        put_adapter(model, 0, adapter)
    put_adapter(model, 0, replace(adapter, shared=shared_hash(model)))


def test_a_model_that_is_no_backbone_has_no_adapters_to_give() -> None:
    class Own(BACKBONES["mlp"]):
        pass

    model = model_of()
    model.__class__ = Own
    with pytest.raises(AdapterError, match="Own is none of the backbones mlp"):
        get_adapter(model, 0, "women")


def rows_of(split: Rows, chosen: list[int], n_domains: int) -> Rows:
    """The rows of some domains of a split."""
    keep = torch.isin(split.groups.domain, torch.tensor(chosen))
    domain = split.groups.domain[keep]
    ends = torch.bincount(domain, minlength=n_domains).cumsum(0)
    return Rows(split.ids[keep], split.label[keep], DomainGroups(domain, ends))


def of_domains(data: MultiDomainData, chosen: list[int], n_domains: int) -> MultiDomainData:
    """The data of some domains; their numbers stay, and `n_domains` are left."""
    return replace(
        data,
        domains=data.domains[:n_domains],
        train=rows_of(data.train, chosen, n_domains),
        validation=rows_of(data.validation, chosen, n_domains),
        test=rows_of(data.test, chosen, n_domains),
    )


def test_a_new_domain_learns_from_its_own_rows_alone(planted: MultiDomainData) -> None:
    # In the third domain likes are turned round.
    model = build_model(
        "mlp",
        "mlora",
        field_sizes=planted.field_sizes,
        n_domains=2,
        alpha=4,
        hidden=(32, 16),
        dropout=0.0,
        seed=1,
    )
    settings = FitSettings(seed=1, batch_size=64, learning_rate=1e-2, patience=3, max_epochs=15)
    fit(model, of_domains(planted, [0, 1], 2), settings)
    assert evaluate(model, of_domains(planted, [0, 1], 2).test).wauc > 0.8
    add_domain(model, seed=1)
    new = of_domains(planted, [2], 3)
    before = evaluate(model, new.test).auc[2]
    assert before < 0.3
    old = {name: value.clone() for name, value in model.state_dict().items()}
    freeze_shared(model)
    fit(model, new, settings)
    assert evaluate(model, new.test).auc[2] > 0.7
    for name, value in model.state_dict().items():
        if name.endswith(ADAPTED):
            assert torch.equal(value[:2], old[name][:2])
            assert not torch.equal(value[2], old[name][2])
        else:
            assert torch.equal(value, old[name])


@pytest.mark.parametrize("norm", ["bn", "pn"])
def test_a_merged_model_keeps_the_domains_norm(norm: str) -> None:
    model = model_of("wdl", norm=norm).train()
    _, groups = group_rows(torch.arange(20) % N_DOMAINS, N_DOMAINS)
    with torch.no_grad():
        model(ids_of(), groups)  # moves the norm's statistics
    model.eval()
    for domain in range(N_DOMAINS):
        merged = merge_domain(model, domain)
        expected = logits(model, domain)
        for served_as in range(N_DOMAINS):
            torch.testing.assert_close(logits(merged, served_as), expected, rtol=0, atol=1e-5)


def test_adapters_of_a_model_that_normalises_each_domain_apart_do_not_leave_it() -> None:
    model = model_of(norm="pn")
    adapter = get_adapter(model_of(), 0, "first")
    for act in (
        lambda: get_adapter(model, 0, "first"),
        lambda: put_adapter(model, 0, adapter),
        lambda: add_domain(model, 1),
        lambda: drop_domain(model, 0),
    ):
        with pytest.raises(AdapterError, match="normalises each domain on its own"):
            act()
    freeze_shared(model)


def test_given_vectors_are_part_of_what_an_adapter_was_trained_with() -> None:
    first, same, other = (
        shared_hash(model_of(vectors={0: torch.full((8, 4), value)})) for value in (1.0, 1.0, 2.0)
    )
    assert first == same != other
