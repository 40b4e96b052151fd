"""Layers in compiled shards against the plain form of each, forward and backward."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels import dense, stack
from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.kernels.stack import StackLayer, dense_stack, dense_stack_reference

KINDS = ("plain", "control", "low-rank", "merged")
MERGED_COST = {"low-rank": math.inf, "merged": -math.inf}  # never, always
KEYS = np.array([[7, 1 << 31], [0xFFFFFFFF, 5], [123456789, 42]], np.uint32)


def groups_of(counts: list[int]) -> DomainGroups:
    domain = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return group_rows(domain, len(counts))[1]


def random_layers(kind: str, widths: list[int], n_domains: int, rank: int) -> list[StackLayer]:
    generator = torch.Generator().manual_seed(5)
    layers = []
    for n_in, n_out in pairwise(widths):
        shapes: list[tuple[int, ...]] = [(n_out, n_in), (n_out,)]
        if kind == "control":
            shapes += [(n_domains, 1, n_out)]
        elif kind != "plain":
            shapes += [(n_domains, rank, n_in), (n_domains, rank + 1, n_out)]
        w, bias, *own = (torch.randn(s, generator=generator).requires_grad_() for s in shapes)
        layers.append(StackLayer(w, bias, *([None] * (kind == "control")), *own))
    return layers


def inputs(rows: int, n_in: int) -> Tensor:
    return torch.randn(rows, n_in, generator=torch.Generator().manual_seed(6)).requires_grad_()


def exact(layers: list[StackLayer]) -> list[StackLayer]:
    """The layers in double precision."""
    return [
        StackLayer(*(t if t is None else t.detach().double().requires_grad_() for t in layer))
        for layer in layers
    ]


def leaves(x: Tensor, layers: list[StackLayer]) -> list[Tensor]:
    return [x, *(t for layer in layers for t in layer if t is not None and t.requires_grad)]


def output_and_gradients(
    function: Callable[..., Tensor], x: Tensor, layers: list[StackLayer], *others: object
) -> list[Tensor]:
    out = function(x, layers, *others)
    # Weights that differ per element, so that no error in the gradients cancels.
    upstream = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, leaves(x, layers), upstream)]


@contextmanager
def with_keys(kind: str) -> Iterator[None]:
    """Dropout of `KEYS`, and low-rank terms that are merged or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "draw_keys", lambda count: KEYS[:count])
        patch.setattr(stack, "_MERGED_COST", MERGED_COST.get(kind, 2.0))
        yield


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("kind", KINDS)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(any),
    widths=st.lists(st.integers(1, 19), min_size=2, max_size=3),
    rank=st.integers(1, 5),
)
@example(counts=[7], widths=[3, 5], rank=1)  # one domain
@example(counts=[1], widths=[3, 5, 2], rank=1)  # one row
@example(counts=[0, 4, 0, 0, 9, 0], widths=[2, 2, 3], rank=1)  # empty first, last and between
@example(counts=[1] + [0] * 39, widths=[3, 3], rank=2)  # one row, forty domains
@example(counts=[20, 9], widths=[3, 7], rank=5)  # a rank above the width
@example(counts=[1100, 0, 37, 911], widths=[13, 31, 8], rank=4)  # four shards
@example(counts=[512, 512], widths=[5, 3], rank=2)  # domains and shards end together
def test_it_is_its_plain_form(
    kind: str, p: float, counts: list[int], widths: list[int], rank: int
) -> None:
    groups = groups_of(counts)
    layers = random_layers(kind, widths, len(counts), rank)
    x = inputs(sum(counts), widths[0])
    with with_keys(kind):
        found = output_and_gradients(dense_stack, x, layers, groups, p)
    expected = output_and_gradients(
        dense_stack_reference, x.detach().double().requires_grad_(), exact(layers), groups, p, KEYS
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-3)


def test_batches_are_cut_into_shards_by_their_rows_alone() -> None:
    shards = {rows: dense.shards_of(rows) for rows in (0, 1, 1023, 1024, 2048, 8192, 100_000)}
    assert shards == {0: 1, 1: 1, 1023: 1, 1024: 2, 2048: 4, 8192: 16, 100_000: 16}


def test_layers_of_different_kinds_follow_one_another() -> None:
    counts = [30, 0, 25]
    groups, x = groups_of(counts), inputs(55, 6)
    plain, control, low_rank = (
        random_layers(kind, [6, 6], 3, 2)[0] for kind in ("plain", "control", "low-rank")
    )
    layers = [low_rank, plain, control]
    with with_keys("low-rank"):
        found = output_and_gradients(dense_stack, x, layers, groups, 0.5)
    expected = output_and_gradients(
        dense_stack_reference,
        x.detach().double().requires_grad_(),
        exact(layers),
        groups,
        0.5,
        KEYS,
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-3)


def test_a_layer_is_merged_where_that_costs_less() -> None:
    layer = random_layers("low-rank", [16, 16], 2, 4)[0]  # 5.5 * 2 * 256 against 32 per row
    assert not layer.merges(88)
    assert layer.merges(89)
    assert not random_layers("low-rank", [16, 16], 2, 1)[0].merges(89)  # of fewer ranks
    assert not random_layers("control", [16, 16], 2, 1)[0].merges(10**6)
    assert not random_layers("plain", [16, 16], 2, 1)[0].merges(10**6)


@pytest.mark.parametrize("counts", [[40, 0, 25], [65], [1100, 0, 37]])
@pytest.mark.parametrize("kind", ["control", "low-rank", "merged"])
def test_frozen_shared_weights_get_no_gradient_and_change_no_other(
    kind: str, counts: list[int]
) -> None:
    groups, x = groups_of(counts), inputs(sum(counts), 6)
    trained = random_layers(kind, [6, 9, 4], len(counts), 2)
    frozen = [
        StackLayer(layer.weight.detach(), layer.bias.detach(), *layer[2:]) for layer in trained
    ]
    with with_keys(kind):
        out, of_x, *of_all = output_and_gradients(dense_stack, x, trained, groups, 0.5)
        found = output_and_gradients(dense_stack, x, frozen, groups, 0.5)
    own = [g for g, t in zip(of_all, leaves(x, trained)[1:], strict=True) if t.dim() == 3]
    for ours, theirs in zip(found, [out, of_x, *own], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_and_a_bias_are_frozen_apart(kind: str) -> None:
    counts = [40, 0, 25]
    groups, x = groups_of(counts), inputs(65, 6)
    (layer,) = random_layers(kind, [6, 9], 3, 2)
    with with_keys(kind):
        _, of_x, of_weight, of_bias, *_ = output_and_gradients(dense_stack, x, [layer], groups, 0)
        for name, expected in (("weight", of_bias), ("bias", of_weight)):
            part = layer._replace(**{name: getattr(layer, name).detach()})
            _, again, found, *_ = output_and_gradients(dense_stack, x, [part], groups, 0)
            assert torch.equal(again, of_x)
            assert torch.equal(found, expected)


def test_a_frozen_plain_layer_passes_the_gradient_on() -> None:
    groups, x = groups_of([3]), inputs(3, 6)
    (layer,) = random_layers("plain", [6, 9], 1, 1)
    frozen = StackLayer(layer.weight.detach(), layer.bias.detach())
    expected = output_and_gradients(dense_stack, x, [layer], groups, 0.0)[:2]
    assert all(
        map(torch.equal, output_and_gradients(dense_stack, x, [frozen], groups, 0), expected)
    )


@pytest.mark.parametrize("kind", ["control", "low-rank", "merged"])
def test_an_empty_domain_gets_zero_gradients(kind: str) -> None:
    groups, x = groups_of([30, 0, 50]), inputs(80, 4)
    layers = random_layers(kind, [4, 5], 3, 2)
    with with_keys(kind):
        found = output_and_gradients(dense_stack, x, layers, groups, 0.0)
    for gradient in found[4:]:
        assert (gradient[1] == 0).all()
        assert gradient[[0, 2]].any(2).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_may_be_empty(kind: str) -> None:
    x, groups = inputs(0, 4), groups_of([0, 0])
    layers = random_layers(kind, [4, 5], 2, 2)
    with with_keys(kind):
        out, of_x, *of_weights = output_and_gradients(dense_stack, x, layers, groups, 0.5)
    assert out.shape == (0, 5)
    assert of_x.shape == (0, 4)
    assert not any(gradient.any() for gradient in of_weights)


@pytest.mark.parametrize("kind", KINDS)
def test_values_may_lie_in_memory_in_any_order(kind: str) -> None:
    counts = [7, 9]
    groups, x = groups_of(counts), inputs(16, 6)
    (layer,) = random_layers(kind, [6, 9], 2, 3)
    apart = StackLayer(*(t if t is None else _scattered(t) for t in layer))
    with with_keys(kind):
        expected = output_and_gradients(dense_stack, x, [layer], groups, 0.5)
        found = output_and_gradients(dense_stack, _scattered(x), [apart], groups, 0.5)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def _scattered(x: Tensor) -> Tensor:
    """The same values, every second place in memory and the axes the other way round."""
    wide = x.new_empty(*x.shape[::-1], 2)
    out = wide[..., 0].permute(*range(x.dim() - 1, -1, -1))
    out.copy_(x.detach())
    assert not out.is_contiguous()
    return out.requires_grad_()


@pytest.mark.parametrize("kind", KINDS)
def test_two_losses_of_one_pass_have_gradients_of_their_own(kind: str) -> None:
    groups, x = groups_of([7, 9]), inputs(16, 6)
    layers = random_layers(kind, [6, 9, 4], 2, 3)
    with with_keys(kind):
        out = dense_stack(x, layers, groups, 0.0)
        weights = leaves(x, layers)
        first = torch.autograd.grad(out.sum(), weights, retain_graph=True)
        kept = [gradient.clone() for gradient in first]
        second = torch.autograd.grad(3 * out.sum(), weights)
    for one, copy, three in zip(first, kept, second, strict=True):
        assert torch.equal(one, copy)
        torch.testing.assert_close(three, 3 * copy)


def test_the_upstream_gradient_is_left_as_it_is_and_may_share_its_memory() -> None:
    (layer,) = random_layers("plain", [4, 5], 1, 1)
    out = dense_stack(inputs(8, 4), [layer], groups_of([8]), 0.0)
    upstream = torch.ones(8, 5)
    (first,) = torch.autograd.grad(out, layer.weight, upstream, retain_graph=True)
    assert (upstream == 1).all()
    (again,) = torch.autograd.grad(out, layer.weight, torch.ones(1).expand(8, 5))
    assert torch.equal(again, first)


def test_without_dropout_nothing_is_drawn_and_with_it_a_seed_repeats_it() -> None:
    layers, x, groups = random_layers("plain", [4, 5], 1, 1), inputs(64, 4), groups_of([64])
    state = torch.get_rng_state()
    dense_stack(x, layers, groups, 0.0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(8)
    first, second = dense_stack(x, layers, groups, 0.5), dense_stack(x, layers, groups, 0.5)
    torch.manual_seed(8)
    assert torch.equal(dense_stack(x, layers, groups, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_computes_the_same(kind: str) -> None:
    layers, x, groups = random_layers(kind, [4, 5, 3], 2, 2), inputs(64, 4), groups_of([40, 24])
    with with_keys(kind):
        expected = dense_stack(x, layers, groups, 0.0)
        with torch.inference_mode():
            assert torch.equal(dense_stack(x, layers, groups, 0.0), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_passes_through_forward_and_backward(kind: str) -> None:
    layers, x, groups = random_layers(kind, [4, 5, 3], 2, 2), inputs(64, 4), groups_of([40, 24])
    with torch.no_grad():
        x[17, 2] = torch.nan
    with with_keys(kind):
        out, _, of_weight, *_ = output_and_gradients(dense_stack, x, layers, groups, 0.0)
    assert out[17].isnan().all()
    assert not out[torch.arange(64) != 17].isnan().any()
    assert of_weight[:, 2].isnan().any()
    (layer,) = random_layers("plain", [4, 5], 1, 1)
    out = dense_stack(inputs(3, 4), [layer], groups_of([3]), 0.0)
    (of_bias,) = torch.autograd.grad(out, layer.bias, torch.full((3, 5), torch.nan))
    assert (of_bias.isnan() == (out > 0).any(0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_bit(
    kind: str, one_and_two_threads: Callable[[Callable[[], list[Tensor]]], None]
) -> None:
    counts = [1100, 0, 37, 2911]
    groups, x = groups_of(counts), inputs(sum(counts), 24)
    layers = random_layers(kind, [24, 64, 32], len(counts), 4)
    with with_keys(kind):
        one_and_two_threads(lambda: output_and_gradients(dense_stack, x, layers, groups, 0.5))
