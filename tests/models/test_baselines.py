"""The multi-domain baselines: what they compute, and that no domain's own weights serve another."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlorakit.cell_results import count_parameters
from mlorakit.data.batches import evaluation_batches
from mlorakit.data.dataset import MultiDomainData
from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.models import Backbone, build_model
from mlorakit.models.baselines import (
    BASELINE_SETTINGS,
    BASELINE_TITLES,
    BASELINES,
    build_baseline,
)
from mlorakit.models.baselines_networks import BaselineSettings
from mlorakit.training import FitSettings, evaluate, fit

EVERY_BASELINE = pytest.mark.parametrize("name", BASELINES)
SIZES = (9, 6, 4)
SMALL = BaselineSettings(
    hidden=(10, 6), tower=(5,), gate=(4,), experts=2, own_experts=3, alpha=4, dropout=0.5
)
FIT = FitSettings(seed=1, batch_size=64, learning_rate=0.02, max_epochs=4)


def model_of(name: str, sizes: tuple[int, ...] = SIZES, **more: object) -> Backbone:
    settings = replace(SMALL, **more)
    return build_baseline(
        name, field_sizes=sizes, n_domains=3, settings=settings, embedding_size=4, seed=1
    )


def batch_of(rows: int = 24) -> tuple[Tensor, DomainGroups]:
    """Random ids of rows sorted by domain; domain 1 is empty."""
    generator = torch.Generator().manual_seed(2)
    columns = [torch.randint(size, (rows,), generator=generator) for size in SIZES]
    _, groups = group_rows(2 * torch.randint(2, (rows,), generator=generator), 3)
    return torch.stack(columns, 1).int(), groups


def randomise(parameters: Iterable[nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(4)
    for parameter in parameters:
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)


def random_model(name: str, **more: object) -> Backbone:
    model = model_of(name, **more).eval()
    randomise(model.parameters())
    return model


def dense(layers: Iterable[nn.Module], x: Tensor) -> Tensor:
    """The shared layers on one row."""
    for layer in layers:
        x = torch.relu(F.linear(x, layer.shared.weight, layer.shared.bias))
    return x


def own(layers: Iterable[nn.Module], x: Tensor, d: int) -> Tensor:
    """A domain's layers on one row."""
    for layer in layers:
        x = torch.relu(layer.own.weight[d] @ x + layer.own.bias[d])
    return x


def tower(towers: nn.Module, x: Tensor, d: int) -> Tensor:
    return towers.head.weight[d, 0] @ own(towers.mlp.layers, x, d) + towers.head.bias[d, 0]


def mixed(gates: nn.Module, x: Tensor, d: int, experts: list[Tensor]) -> Tensor:
    weight = torch.softmax(gates.head.weight[d] @ own(gates.mlp.layers, x, d), 0)
    return sum(w * expert for w, expert in zip(weight, experts, strict=True))


def plain_logit(name: str, model: Backbone, ids: Tensor, d: int) -> Tensor:
    """A baseline's logit of one row, written out."""
    x = model.embedding(ids.unsqueeze(0)).flatten()
    if name == "shared_bottom":
        return tower(model.towers, dense(model.bottom.layers, x), d)
    if name == "separate":
        start = torch.tensor([d * 9, d * 6, d * 4])  # a field's table holds 3 parts
        return tower(model.towers, model.embedding((ids + start).unsqueeze(0)).flatten(), d)
    if name == "star":
        norm = model.norm
        x = (x - norm.standardize.mean[d]) / (norm.standardize.variance[d] + 1e-3).sqrt()
        x = x * norm.shared_scale * norm.scale[d] + norm.shared_shift + norm.shift[d]
        for layer in model.mlp.layers:
            weight = layer.shared.weight * layer.domain_weight[d]
            x = torch.relu(weight @ x + layer.shared.bias + layer.domain_bias[d])
        return model.head(x).squeeze()
    if name == "shared_lora":
        for layer in model.mlp.layers:
            low = x @ layer.lora_a[0].T @ layer.lora_b[0] + layer.domain_bias[0]
            x = torch.relu(F.linear(x, layer.shared.weight, layer.shared.bias) + low)
        return model.head(x).squeeze() + model.bias[0]
    experts = [dense(expert.layers, x) for expert in model.experts]
    if name == "ple":
        layers = model.own_experts.mlp.layers
        experts += [own(layers, x, 3 * d + s) for s in range(3)]
    return tower(model.towers, mixed(model.gates, x, d, experts), d)


@EVERY_BASELINE
def test_a_batch_of_several_domains_is_its_rows_one_by_one(name: str) -> None:
    model = random_model(name)
    for buffer in model.buffers():  # statistics that differ per domain
        if buffer.is_floating_point():
            buffer += torch.rand(buffer.shape, generator=torch.Generator().manual_seed(6))
    ids, groups = batch_of()
    domains = groups.domain.tolist()
    expected = [plain_logit(name, model, row, d) for row, d in zip(ids, domains, strict=True)]
    torch.testing.assert_close(model(ids, groups), torch.stack(expected))


@EVERY_BASELINE
def test_every_weight_serves_some_domain(name: str) -> None:
    model = random_model(name)
    ids, _ = batch_of(300)
    _, groups = group_rows(torch.arange(300) // 100, 3)
    model(ids, groups).square().sum().backward()
    assert [n for n, p in model.named_parameters() if not p.grad.any()] == []


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", [name for name in BASELINES if name != "shared_lora"])
def test_rows_of_a_domain_reach_no_own_weight_of_another(name: str, training: bool) -> None:
    model = random_model(name, dropout=0.0).train(training)
    ids, groups = batch_of()
    model(ids, groups)[groups.domain == 2].square().sum().backward()
    per_domain = {
        n: p.grad.unflatten(0, (3, -1))
        for n, p in model.named_parameters()
        if n.startswith(("towers.", "gates.", "own_experts.", "norm.scale", "norm.shift"))
        or "domain_" in n
    }
    assert per_domain
    for n, gradient in per_domain.items():
        assert (gradient[:2] == 0).all(), n
        assert gradient[2].any(), n


def test_separate_networks_have_nothing_in_common() -> None:
    model = random_model("separate")
    ids, groups = batch_of()
    model(ids, groups)[groups.domain == 2].square().sum().backward()
    tables = model.embedding.weight.grad.split([27, 18, 12])  # the fields' tables
    for table, size in zip(tables, SIZES, strict=True):
        assert (table[: 2 * size] == 0).all()
        assert table[2 * size :].any()
    assert all(n.startswith(("towers.", "embedding.")) for n, _ in model.named_parameters())


@EVERY_BASELINE
def test_changing_rows_of_a_domain_changes_no_other_in_training(name: str) -> None:
    model = random_model(name, dropout=0.0).train()
    ids, groups = batch_of()
    before = model(ids, groups)
    other = groups.domain == 2
    beside = torch.where(other.unsqueeze(1), (ids + 1) % torch.tensor(SIZES), ids)
    after = model(beside.int(), groups)
    torch.testing.assert_close(after[~other], before[~other])
    assert not torch.allclose(after[other], before[other])


@EVERY_BASELINE
def test_predict_takes_rows_in_any_order(name: str) -> None:
    model = random_model(name)
    ids, groups = batch_of()
    expected = model(ids, groups).sigmoid()
    shuffled = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    model.train()
    probability = model.predict(ids[shuffled], groups.domain[shuffled], 3)
    torch.testing.assert_close(probability, expected[shuffled].detach())
    alone = model.predict(ids[5:6], groups.domain[5:6], 3)
    torch.testing.assert_close(alone, expected[5:6].detach())


@EVERY_BASELINE
@pytest.mark.parametrize("order", ["mixed", "alternate"])
def test_a_planted_signal_is_learned(planted: MultiDomainData, name: str, order: str) -> None:
    model = model_of(name, planted.field_sizes, hidden=(16, 8), tower=(8,), dropout=0.25)
    assert evaluate(model, planted.test).wauc < 0.65
    # One LoRA for all has to find from the ids alone that a domain turns the likes round.
    patient = replace(FIT, batch_order=order, max_epochs=12 if name == "shared_lora" else 4)
    history = fit(model, planted, patient)
    assert evaluate(model, planted.test).wauc > 0.75  # labels are 10 % noise: at best 0.9
    assert history[-1].train_loss < history[0].train_loss


@EVERY_BASELINE
def test_a_killed_fit_goes_on_to_the_bits_of_an_uninterrupted_one(
    planted: MultiDomainData, tmp_path: Path, name: str
) -> None:
    whole = model_of(name, planted.field_sizes)
    fit(whole, planted, replace(FIT, max_epochs=3))
    path = tmp_path / "run.safetensors"
    fit(
        model_of(name, planted.field_sizes),
        planted,
        replace(FIT, max_epochs=1),
        checkpoint=path,
    )
    resumed = model_of(name, planted.field_sizes)
    fit(resumed, planted, replace(FIT, max_epochs=3), checkpoint=path)
    for n, value in whole.state_dict().items():  # running statistics included
        assert torch.equal(value, resumed.state_dict()[n]), n


@EVERY_BASELINE
def test_evaluation_in_parts_is_evaluation_at_once(planted: MultiDomainData, name: str) -> None:
    model = model_of(name, planted.field_sizes)
    fit(model, planted, replace(FIT, max_epochs=1))
    at_once = evaluate(model, planted.test).logit
    with torch.inference_mode():
        parts = [model(b.ids, b.groups) for b in evaluation_batches(planted.test, 17)]
    torch.testing.assert_close(torch.cat(parts), at_once)


def given_vectors(fields: Iterable[int], size: int = 4) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return {field: torch.randn(SIZES[field] - 1, size, generator=generator) for field in fields}


def with_vectors(name: str, vectors: dict[int, Tensor], trained: bool = False) -> Backbone:
    sizes = {"field_sizes": SIZES, "n_domains": 3, "settings": SMALL, "embedding_size": 4}
    return build_baseline(name, **sizes, seed=1, vectors=vectors, train_vectors=trained)


def parts_of(model: Backbone) -> list[Tensor]:
    """The table of each field, (D, size, K), with D = 1 but for a network per domain."""
    weight = model.embedding.weight.data
    times = len(weight) // sum(SIZES)
    return [part.unflatten(0, (times, -1)) for part in weight.split([times * s for s in SIZES])]


def without(model: Backbone, fields: tuple[int, ...]) -> Tensor:
    """The table of the other fields."""
    parts = parts_of(model)
    left = [parts[field].flatten(0, 1) for field in range(3) if field not in fields]
    return torch.cat([model.embedding.weight.data[:0], *left])


@EVERY_BASELINE
@pytest.mark.parametrize("fields", [(0, 1), (1,), (2, 0), (0, 1, 2)])
def test_given_vectors_are_the_embeddings(name: str, fields: tuple[int, ...]) -> None:
    vectors = given_vectors(fields)
    model, plain = with_vectors(name, vectors), model_of(name)
    for n, value in plain.state_dict().items():  # what the vectors leave alone
        assert n == "embedding.weight" or torch.equal(model.state_dict()[n], value), n
    assert torch.equal(model.embedding.weight, without(plain, fields))
    # With the same weights, large ones, a table that holds the vectors gives the same logits.
    randomise(plain.parameters())
    model.load_state_dict(plain.state_dict() | {"embedding.weight": without(plain, fields)})
    for field in fields:
        part = parts_of(plain)[field]
        part[:, 0] = 0
        part[:, 1:] = vectors[field]
    ids, groups = batch_of()
    torch.testing.assert_close(model.eval()(ids, groups), plain.eval()(ids, groups))


@EVERY_BASELINE
def test_given_vectors_are_neither_trained_nor_saved(name: str) -> None:
    model = with_vectors(name, given_vectors((0, 1)))
    assert model.state_dict().keys() == model_of(name).state_dict().keys()
    assert [id(p) for p in model.regularized()] == [id(model.embedding.weight)]
    given = model.embedding.given.clone()
    assert given.shape == (9 + 6, 4)  # one of each id, for all domains
    randomise(model.parameters())
    ids, groups = batch_of()
    model.eval()(ids, groups).square().sum().backward()
    assert torch.equal(model.embedding.given, given)
    assert not model.embedding.given.requires_grad
    gradient = model.embedding.weight.grad
    if name == "separate":  # a part for each domain, of which domain 1 has no rows
        assert gradient.shape == (3 * 4, 4)
        assert gradient.unflatten(0, (3, 4)).any(2).any(1).tolist() == [True, False, True]
    else:
        assert gradient.shape == (4, 4)
        assert gradient.any()


@EVERY_BASELINE
def test_trained_vectors_are_where_embeddings_start(name: str) -> None:
    vectors = given_vectors((0, 1))
    model, plain = with_vectors(name, vectors, trained=True), model_of(name)
    found, drawn = parts_of(model), parts_of(plain)
    for field in (0, 1):
        assert len(found[field]) == (3 if name == "separate" else 1)
        for part in found[field]:
            assert torch.equal(part[1:], vectors[field])
        assert torch.equal(found[field][:, 0], drawn[field][:, 0])  # unknown values
    assert torch.equal(found[2], drawn[2])
    assert model.embedding.weight.requires_grad


@EVERY_BASELINE
@pytest.mark.parametrize("trained", [False, True])
def test_vectors_of_another_length_are_refused(name: str, trained: bool) -> None:
    with pytest.raises(ValueError, match=r"field 1 have shape \(5, 3\), expected \(5, 4\)"):
        with_vectors(name, given_vectors((1,), size=3), trained)


@EVERY_BASELINE
def test_a_seed_decides_the_initial_weights(name: str) -> None:
    first, second = model_of(name).state_dict(), model_of(name).state_dict()
    assert all(torch.equal(first[n], second[n]) for n in first)
    other = build_baseline(
        name, field_sizes=SIZES, n_domains=3, settings=SMALL, embedding_size=4, seed=2
    )
    assert not torch.equal(first["embedding.weight"], other.embedding.weight)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("shared_bottom", 2 + 1),  # the bottom and the towers
        ("mmoe", 2 * 2 + 1 + 1),  # the experts, the gates and the towers
        ("ple", 2 * 2 + 2 + 1 + 1),  # a domain's experts lie side by side
        ("star", 2),
        ("separate", 2),
        ("shared_lora", 2),
    ],
)
def test_dropout_follows_every_hidden_layer(name: str, layers: int) -> None:
    found = [module.p for module in model_of(name, dropout=0.25).modules() if hasattr(module, "p")]
    assert found == [0.25] * layers


@EVERY_BASELINE
def test_l2_is_on_the_embeddings_alone(name: str) -> None:
    model = model_of(name)
    assert [id(p) for p in model.regularized()] == [id(model.embedding.weight)]


def test_initial_embeddings_by_model() -> None:
    for name in BASELINES:
        weight = model_of(name, (2000, 500)).embedding.weight
        if name == "star":
            assert 0.0499 < weight.abs().max() < 0.05
            assert weight.std().item() == pytest.approx(0.1 / 12**0.5, rel=0.05)
        else:
            assert weight.std().item() == pytest.approx(1e-4, rel=0.05)


def test_one_lora_starts_from_mloras_shared_weights() -> None:
    settings = {"field_sizes": SIZES, "n_domains": 3, "embedding_size": 4, "seed": 1}
    mlora = build_model("mlp", "mlora", alpha=4, hidden=(10, 6), **settings).state_dict()
    shared = model_of("shared_lora").state_dict()
    assert mlora.keys() == shared.keys()
    for name, value in shared.items():
        if "lora_" in name:
            assert value.shape == (1, *mlora[name].shape[1:])
        else:
            assert torch.equal(value, mlora[name])


def test_parameters_by_hand() -> None:
    table = 19 * 4
    tower = 3 * (6 * 5 + 5 + 5 + 1)
    expert = 12 * 10 + 10 + 10 * 6 + 6
    gate_hidden = 3 * (12 * 4 + 4)
    expected = {
        "shared_bottom": table + expert + tower,
        "mmoe": table + 2 * expert + gate_hidden + 3 * 4 * 2 + tower,
        "ple": table + (2 + 3 * 3) * expert + gate_hidden + 3 * 4 * (2 + 3) + tower,
        "star": table + (1 + 3) * 2 * 12 + (1 + 3) * expert + 7,
        "separate": 3 * (table + expert + 7),
        # Ranks 10 // 4 = 2 and 6 // 4 = 1.
        "shared_lora": table + expert + (12 + 10) * 2 + 10 + (10 + 6) * 1 + 6 + 7,
    }
    counts = {name: count_parameters(model_of(name)) for name in BASELINES}
    assert {name: count["params"] for name, count in counts.items()} == expected
    added = {name: count["params_added"] for name, count in counts.items()}
    assert added == dict.fromkeys(BASELINES, 0) | {"shared_lora": 76}
    assert counts["separate"]["params_embedding"] == 3 * table


@pytest.mark.parametrize("family", BASELINE_SETTINGS)
def test_the_settings_of_every_data_set_build_every_baseline(family: str) -> None:
    assert list(BASELINE_SETTINGS[family]) == list(BASELINES) == list(BASELINE_TITLES)
    for name, settings in BASELINE_SETTINGS[family].items():
        model = build_baseline(name, field_sizes=SIZES, n_domains=3, settings=settings)
        assert model(*batch_of()).isfinite().all()


def test_settings_of_mamdrs_configs() -> None:
    taobao, amazon = BASELINE_SETTINGS["taobao_10"], BASELINE_SETTINGS["amazon"]
    assert taobao["shared_bottom"].hidden == (512, 256, 128)
    assert amazon["shared_bottom"].hidden == (256, 128)
    assert (taobao["mmoe"].experts, amazon["mmoe"].experts) == (2, 5)
    assert (taobao["ple"].hidden, taobao["ple"].own_experts) == ((256,), 10)
    assert (amazon["ple"].hidden, amazon["ple"].own_experts) == ((512, 256), 5)
    for settings in (taobao, amazon):
        assert settings["ple"].experts == 2
        assert (settings["mmoe"].gate, settings["mmoe"].tower) == ((64,), (64,))
        assert (settings["mmoe"].learning_rate, settings["star"].learning_rate) == (1e-4, 1e-3)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="Unknown baseline 'mmoe2'; it is one of shared_bottom"):
        model_of("mmoe2")


@pytest.mark.parametrize(
    ("name", "left_out"), [("mmoe", "experts"), ("ple", "experts"), ("ple", "own_experts")]
)
def test_a_mixture_without_experts_is_refused(name: str, left_out: str) -> None:
    message = f"needs at least 1 of {left_out}, but its settings name 0"
    with pytest.raises(ValueError, match=message):
        model_of(name, **{left_out: 0})
