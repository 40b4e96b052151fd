"""The nine backbones and their variants."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.kernels.interaction import factorization_machine
from mlorakit.layers.norm import make_norm
from mlorakit.models import BACKBONES, VARIANTS, Backbone, build_model

EVERY_BACKBONE = pytest.mark.parametrize("backbone", BACKBONES)
SIZES = {2: (9, 3), 3: (9, 6, 3), 4: (9, 6, 4, 3), 6: (9, 6, 4, 5, 2, 3)}


def model_of(backbone: str, variant: str, n_fields: int = 3, **more: object) -> Backbone:
    settings: dict = {"alpha": 4, "embedding_size": 4, "hidden": (10, 6), "dropout": 0.5}
    return build_model(
        backbone, variant, field_sizes=SIZES[n_fields], n_domains=3, **settings | more
    )


def batch_of(n_fields: int = 3, rows: int = 24) -> tuple[Tensor, DomainGroups]:
    """Random ids of rows sorted by domain; domain 1 is empty."""
    generator = torch.Generator().manual_seed(2)
    columns = [torch.randint(size, (rows,), generator=generator) for size in SIZES[n_fields]]
    _, groups = group_rows(2 * torch.randint(2, (rows,), generator=generator), 3)
    return torch.stack(columns, 1).int(), groups


def randomise(parameters: Iterable[nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(4)
    for parameter in parameters:
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)


@EVERY_BACKBONE
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_fields", [2, 4, 6])
def test_any_number_of_fields_gives_finite_logits_and_gradients(
    backbone: str, variant: str, n_fields: int
) -> None:
    model = model_of(backbone, variant, n_fields)
    ids, groups = batch_of(n_fields)
    logits = model(ids, groups)
    assert logits.shape == (24,)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@EVERY_BACKBONE
def test_every_weight_of_a_trained_model_matters(backbone: str) -> None:
    model = model_of(backbone, "mlora", n_fields=6).eval()
    randomise(model.parameters())
    model(*batch_of(6)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if not p.grad.any()] == []


@EVERY_BACKBONE
def test_control_is_mlora_without_its_low_rank_term(backbone: str) -> None:
    mlora, control = model_of(backbone, "mlora"), model_of(backbone, "control")
    randomise(mlora.parameters())
    for layer in mlora.adapted_layers():
        nn.init.zeros_(layer.lora_b)
    state = {
        name: value[:, -1:] if name.endswith("lora_b_bias") else value  # the biases alone
        for name, value in mlora.state_dict().items()
    }
    left_out = control.load_state_dict(state, strict=False)
    assert left_out.missing_keys == []
    assert all(key.endswith(".lora_a") for key in left_out.unexpected_keys)
    batch = batch_of()
    for model in (mlora, control):
        torch.manual_seed(1)  # in training mode: the same dropout
        model.logits = model(*batch)
    torch.testing.assert_close(mlora.logits, control.logits)


@EVERY_BACKBONE
def test_base_is_control_without_domain_biases(backbone: str) -> None:
    base, control = model_of(backbone, "base"), model_of(backbone, "control")
    randomise(base.parameters())
    missing = control.load_state_dict(base.state_dict(), strict=False).missing_keys
    assert all(key.endswith("lora_b_bias") for key in missing)
    batch = batch_of()
    # Without dropout: the adapted layers draw theirs for padded rows too.
    outs = [model.eval()(*batch) for model in (base, control)]
    torch.testing.assert_close(*outs)


@EVERY_BACKBONE
def test_variants_of_a_seed_start_from_the_same_shared_weights(backbone: str) -> None:
    base, control, mlora = (model_of(backbone, v, seed=5).state_dict() for v in VARIANTS)
    for name, value in base.items():
        assert torch.equal(value, control[name])
        assert torch.equal(value, mlora[name])
    other = model_of(backbone, "base", seed=6).state_dict()
    assert not torch.equal(base["embedding.weight"], other["embedding.weight"])


@EVERY_BACKBONE
def test_the_released_protocol_changes_only_the_scale_of_embeddings(backbone: str) -> None:
    base, control, mlora = (
        model_of(backbone, v, seed=5, protocol="released").state_dict() for v in VARIANTS
    )
    for name, value in base.items():
        scale = 100 if name == "embedding.weight" else 1  # 1e-2 / 1e-4
        torch.testing.assert_close(scale * value, control[name])
        assert torch.equal(control[name], mlora[name])


@pytest.mark.parametrize(
    ("protocol", "variant", "std"),
    [
        ("described", "base", 1e-4),
        ("described", "control", 1e-4),
        ("described", "mlora", 1e-4),
        ("released", "base", 1e-4),
        ("released", "control", 1e-2),
        ("released", "mlora", 1e-2),
    ],
)
def test_initial_embeddings_by_protocol(protocol: str, variant: str, std: float) -> None:
    sizes = {"field_sizes": (2000, 500), "n_domains": 2, "alpha": 16}
    model = build_model("wdl", variant, protocol=protocol, **sizes)
    assert model.embedding.weight.std().item() == pytest.approx(std, rel=0.05)
    assert (model.linear.weight == 0).all()


@pytest.mark.parametrize("variant", ["control", "mlora"])
def test_the_protocol_decides_where_dropout_acts(variant: str) -> None:
    for protocol, on_shared in (("described", False), ("released", True)):
        layers = model_of("mlp", variant, protocol=protocol).adapted_layers()
        assert [layer.dropout_on_shared for layer in layers] == [on_shared, on_shared]


def test_ranks_follow_the_widths() -> None:
    model = model_of("mlp", "mlora", hidden=(64, 33, 8), alpha=16)
    assert [layer.rank for layer in model.adapted_layers()] == [4, 2, 1]
    assert [layer.rank for layer in model_of("mlp", "control").adapted_layers()] == [0, 0]
    assert model_of("mlp", "base").adapted_layers() == []


@EVERY_BACKBONE
def test_a_built_model_starts_at_control_and_can_leave_it(backbone: str) -> None:
    for layer in model_of(backbone, "mlora").adapted_layers():
        assert (layer.lora_a != 0).all()
        assert (layer.lora_b == 0).all()
        assert (layer.domain_bias == 0).all()


def test_parameters_of_deepfm_with_mlora_by_hand() -> None:
    model = build_model(
        "deepfm",
        "mlora",
        field_sizes=(5, 7, 3),
        n_domains=3,
        alpha=2,
        embedding_size=4,
        hidden=(6, 3),
    )
    embedding, linear = 15 * 4, 15
    first = 12 * 6 + 6 + 3 * (12 * 3 + 3 * 6 + 6)  # rank 6 // 2 = 3
    second = 6 * 3 + 3 + 3 * (6 * 1 + 1 * 3 + 3)  # rank 3 // 2 = 1
    head, bias = 3, 1
    assert sum(p.numel() for p in model.parameters()) == (
        embedding + linear + first + second + head + bias
    )


@pytest.mark.parametrize(
    ("backbone", "linear"),
    [
        ("mlp", False),
        ("pnn", False),
        *((name, True) for name in BACKBONES if name not in ("mlp", "pnn")),
    ],
)
def test_which_backbones_have_a_linear_model(backbone: str, linear: bool) -> None:
    assert (model_of(backbone, "base").linear is not None) == linear


@pytest.mark.parametrize(
    ("backbone", "width", "features"),
    # 4 fields of size 4: 6 pairs. AutoInt's features are 4 fields of 4 heads of 8.
    [
        ("mlp", 16, 0),
        ("wdl", 16, 0),
        ("nfm", 4, 0),
        ("autoint", 16, 128),
        ("pnn", 16 + 6, 0),
        ("dcn", 16, 16),
        ("deepfm", 16, 0),
        ("xdeepfm", 16, 0),
        ("fibinet", 2 * 6 * 4, 0),
    ],
)
def test_widths_of_the_mlp_and_of_what_stands_beside_it(
    backbone: str, width: int, features: int
) -> None:
    model = model_of(backbone, "base", n_fields=4)
    assert model.mlp.layers[0].shared.in_features == width
    assert model.head.in_features == 6 + features


def without_head(backbone: str) -> tuple[Backbone, Tensor, Tensor]:
    """A random model whose head is zero, its logits, and those of its linear model and bias."""
    model = model_of(backbone, "base").eval()
    randomise(model.parameters())
    nn.init.zeros_(model.head.weight)
    ids, groups = batch_of()
    linear = model.linear(ids).sum((1, 2)) if model.linear is not None else torch.zeros(24)
    return model, model(ids, groups), linear + model.bias


@pytest.mark.parametrize("backbone", ["mlp", "wdl", "nfm", "autoint", "pnn", "dcn", "fibinet"])
def test_beside_the_head_stand_the_linear_model_and_the_bias(backbone: str) -> None:
    _, logits, rest = without_head(backbone)
    torch.testing.assert_close(logits, rest.expand_as(logits))


def test_deepfm_adds_the_factorization_machine() -> None:
    model, logits, rest = without_head("deepfm")
    fm = factorization_machine(model.embedding(batch_of()[0]))
    torch.testing.assert_close(logits, rest + fm)
    assert fm.abs().max() > 0.1


def test_xdeepfm_adds_the_cin_and_no_factorization_machine() -> None:
    model, logits, rest = without_head("xdeepfm")
    cin = model.cin_head(model.cin(model.embedding(batch_of()[0]))).squeeze(1)
    torch.testing.assert_close(logits, rest + cin)
    assert cin.abs().max() > 0.1


def test_xdeepfm_is_not_deepfm() -> None:
    model = model_of("xdeepfm", "mlora")
    assert [tuple(w.shape) for w in model.cin.weights] == [(128, 3 * 3), (128, 64 * 3)]
    assert not hasattr(model_of("deepfm", "mlora"), "cin")
    nn.init.normal_(model.embedding.weight)
    model(*batch_of()).sum().backward()
    assert all(p.grad.any() for p in model.cin.parameters())


def test_dcn_and_autoint_join_their_features_with_the_mlp_output() -> None:
    for backbone in ("dcn", "autoint"):
        model = model_of(backbone, "base").eval()
        randomise(model.parameters())
        nn.init.zeros_(model.linear.weight)
        ids, groups = batch_of()
        e = model.embedding(ids)
        joined = torch.cat((model.interact(e).features, model.mlp(e.flatten(1), groups)), 1)
        expected = (joined * model.head.weight).sum(1) + model.bias
        torch.testing.assert_close(model(ids, groups), expected)


@pytest.mark.parametrize(
    ("backbone", "names"),
    [
        ("mlp", {"embedding.weight"}),
        ("pnn", {"embedding.weight"}),
        ("dcn", {"embedding.weight", "linear.weight", "cross.weight"}),
        ("autoint", {"embedding.weight", "linear.weight"}),
        ("xdeepfm", {"embedding.weight", "linear.weight"}),
    ],
)
def test_which_weights_are_under_l2(backbone: str, names: set[str]) -> None:
    model = model_of(backbone, "mlora")
    regularized = {id(p) for p in model.regularized()}
    assert {name for name, p in model.named_parameters() if id(p) in regularized} == names


@EVERY_BACKBONE
def test_a_row_is_scored_by_its_own_domain_alone(backbone: str) -> None:
    model = model_of(backbone, "mlora").eval()
    randomise(model.parameters())
    ids, groups = batch_of()
    before = model(ids, groups)
    for layer in model.adapted_layers():
        layer.lora_b.data[2] += 1
    changed = (model(ids, groups) - before).abs() > 1e-6
    assert not changed[groups.domain == 0].any()
    assert changed[groups.domain == 2].any()


def test_predict_takes_rows_in_any_order() -> None:
    model = model_of("deepfm", "mlora")
    randomise(model.parameters())
    ids, groups = batch_of()
    expected = model.eval()(ids, groups).sigmoid()
    shuffled = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    model.train()
    probability = model.predict(ids[shuffled], groups.domain[shuffled], 3)
    torch.testing.assert_close(probability, expected[shuffled].detach())


def test_predict_takes_a_single_row() -> None:
    model = model_of("deepfm", "mlora")
    randomise(model.parameters())
    ids, groups = batch_of()
    expected = model.eval()(ids, groups).sigmoid()
    probability = model.predict(ids[5:6], groups.domain[5:6], 3)
    torch.testing.assert_close(probability, expected[5:6].detach())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "din"}, "Unknown backbone 'din'; it is one of mlp, wdl"),
        ({"variant": "lora"}, "Unknown variant 'lora'; it is one of base, control, mlora"),
        ({"protocol": "mine"}, "Unknown protocol 'mine'; it is one of described, released"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(change: dict, message: str) -> None:
    names = {"backbone": "mlp", "variant": "base"} | change
    with pytest.raises(ValueError, match=message):
        build_model(**names, field_sizes=(2, 2), n_domains=2, alpha=16)


@EVERY_BACKBONE
def test_a_rank_is_that_of_every_layer(backbone: str) -> None:
    ranks = {
        variant: [layer.rank for layer in model_of(backbone, variant, rank=5).adapted_layers()]
        for variant in VARIANTS
    }
    assert ranks == {"base": [], "control": [0, 0], "mlora": [5, 5]}
    assert [layer.rank for layer in model_of(backbone, "mlora").adapted_layers()] == [2, 1]


@EVERY_BACKBONE
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("norm", ["bn", "pn"])
def test_a_norm_stands_before_the_mlp_of_every_variant(
    backbone: str, variant: str, norm: str
) -> None:
    model, plain = model_of(backbone, variant, norm=norm), model_of(backbone, variant)
    expected = make_norm(norm, model.mlp_width(), 3)
    assert type(model.input_norm) is type(expected)
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    seen: list[Tensor] = []
    model.mlp.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    randomise(model.parameters())
    expected.load_state_dict(model.input_norm.state_dict())
    ids, groups = batch_of()
    model(ids, groups).sum().backward()
    made = model.interact(model.embedding(ids))
    torch.testing.assert_close(seen[0], expected(made.mlp_input, groups))
    assert all(p.grad is not None for p in model.input_norm.parameters())


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown norm 'ln'; it is one of none, bn, pn"):
        model_of("mlp", "base", norm="ln")


def given_vectors(size: int = 4) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return {field: torch.randn(SIZES[3][field] - 1, size, generator=generator) for field in (0, 1)}


@EVERY_BACKBONE
def test_given_vectors_are_the_embeddings_and_linear_weights_are_trained(backbone: str) -> None:
    vectors = given_vectors()
    model, plain = model_of(backbone, "mlora", vectors=vectors), model_of(backbone, "mlora")
    ids, groups = batch_of()
    e = model.embedding(ids)
    for field in (0, 1):
        known = ids[:, field] > 0
        assert torch.equal(e[known, field], vectors[field][ids[known, field].long() - 1])
    assert torch.equal(e[:, 2], plain.embedding(ids)[:, 2])
    with torch.no_grad():  # a trained embedding of the same vectors gives the same logits
        plain.embedding.weight[:15].zero_()
        for start, field in ((1, 0), (10, 1)):
            plain.embedding.weight[start : start + len(vectors[field])] = vectors[field]
    torch.testing.assert_close(model.eval()(ids, groups), plain.eval()(ids, groups))
    model(ids, groups).square().sum().backward()
    assert model.embedding.weight.shape == (3, 4)
    assert next(model.regularized()) is model.embedding.weight
    if model.linear is not None:
        assert model.linear.weight.shape == (18, 1)
        assert model.linear.weight.grad[ids[:, 0].unique().long()].all()


def test_trained_vectors_are_where_embeddings_start() -> None:
    vectors = given_vectors()
    model = model_of("wdl", "base", vectors=vectors, train_vectors=True)
    assert model.embedding.weight.shape == (18, 4)
    assert torch.equal(model.embedding.weight[1:9], vectors[0])
    assert torch.equal(model.embedding.weight[10:15], vectors[1])


@pytest.mark.parametrize("trained", [False, True])
def test_vectors_of_another_length_are_refused(trained: bool) -> None:
    with pytest.raises(ValueError, match=r"field 0 have shape \(8, 3\), expected \(8, 4\)"):
        model_of("mlp", "base", vectors=given_vectors(3), train_vectors=trained)
