"""Global magnitude pruning against a stable sort: exact counts, ties, earlier masks."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils._python_dispatch import TorchDispatchMode

from mlorakit.kernels import magnitude as module
from mlorakit.kernels.magnitude import keep_largest, keep_largest_reference, rounds

TRUNK = [(512, 720), (256, 512), (128, 256)]  # LT4REC's prunable matrices, 532,480 weights
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]

# Few values, so that most are tied, and those whose bits are special: both zeros, subnormals of
# the smaller types, and infinities.
Values = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 6e-8, -1e-45, 1e-40, math.inf, -math.inf]
)
Values |= st.floats(width=16, allow_nan=False)
Shapes = st.sampled_from([(), (0,), (1,), (5,), (2, 3), (0, 4), (3, 1, 4)])


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Tensor], int, list[Tensor] | None]:
    dtype = draw(st.sampled_from(TYPES))
    shapes = draw(st.lists(Shapes, min_size=1, max_size=4))
    weights, masks = [], []
    for shape in shapes:
        count = math.prod(shape)
        values = draw(st.lists(Values, min_size=count, max_size=count))
        weights.append(torch.tensor(values, dtype=dtype).view(shape))
        alive = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        masks.append(torch.tensor(alive, dtype=torch.bool).view(shape))
    if draw(st.booleans()):
        return weights, draw(st.integers(0, sum(w.numel() for w in weights))), None
    return weights, draw(st.integers(0, sum(int(mask.sum()) for mask in masks))), masks


def random_trunk(seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in TRUNK]


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert [mask.shape for mask in ours] == [mask.shape for mask in theirs]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_largest_magnitudes_over_all_tensors_are_kept() -> None:
    weights = [torch.tensor([[1.0, -5.0], [0.5, 2.0]]), torch.tensor([-3.0, 0.0, 4.0])]
    kept = keep_largest(weights, 3)
    assert [mask.tolist() for mask in kept] == [
        [[False, True], [False, False]],  # 5
        [True, False, True],  # 3 and 4
    ]
    kept = keep_largest(weights, 2, kept)
    assert [mask.tolist() for mask in kept] == [[[False, True], [False] * 2], [False, False, True]]


def test_of_equal_magnitudes_the_first_are_kept() -> None:
    weights = [torch.tensor([[1.0, -2.0], [-1.0, 0.0]]), torch.tensor([1.0, -1.0])]
    kept = keep_largest(weights, 4)  # 2, and three of the four ones
    assert [mask.int().tolist() for mask in kept] == [[[1, 1], [1, 0]], [1, 0]]


def test_zeros_alive_are_kept_before_larger_weights_that_were_pruned() -> None:
    weights, masks = [torch.tensor([9.0, 0.0, 9.0, -0.0, 0.0])], [torch.tensor([0, 1, 0, 1, 1]) > 0]
    assert keep_largest(weights, 2, masks)[0].int().tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(("piece", "digit"), [(module._PIECE, module._DIGIT), (3, 5)])
@given(problem=problems())
def test_it_is_a_stable_sort_by_magnitude(
    piece: int, digit: int, problem: tuple[list[Tensor], int, list[Tensor] | None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        patch.setattr(module, "_DIGIT", digit)
        kept = keep_largest(*problem)
    assert_same(kept, keep_largest_reference(*problem))
    assert sum(int(mask.sum()) for mask in kept) == problem[1]


@pytest.mark.parametrize("dtype", TYPES)
def test_the_rounds_of_lt4rec_keep_their_counts_and_only_ever_prune(dtype: torch.dtype) -> None:
    masks = None
    for k, keep in enumerate(rounds(532_480, 0.2, 4)):
        weights = random_trunk(k, dtype)  # as after another training, with other weights
        kept = keep_largest(weights, keep, masks)
        assert sum(int(mask.sum()) for mask in kept) == keep
        before = masks or [torch.ones_like(mask) for mask in kept]
        assert not any((mask & ~old).any() for mask, old in zip(kept, before, strict=True))
        magnitude = torch.cat([w.abs().flatten() for w in weights])
        now, alive = (torch.cat([mask.flatten() for mask in which]) for which in (kept, before))
        assert magnitude[alive & ~now].max() <= magnitude[now].min()
        assert_same(kept, keep_largest_reference(weights, keep, masks))
        masks = kept


def test_without_ties_it_prunes_what_torch_prunes() -> None:
    generator = torch.Generator().manual_seed(2)
    values = (torch.randperm(6000, generator=generator) + 1.0) * (-1) ** torch.arange(6000)
    weights = [part.view(-1, 10) for part in values.split([1000, 5000])]
    linears = nn.ModuleList([nn.Linear(10, len(weight)) for weight in weights])
    for linear, weight in zip(linears, weights, strict=True):
        linear.weight = nn.Parameter(weight.clone())
    masks = None
    for keep in rounds(6000, 0.2, 4):
        masks = keep_largest(weights, keep, masks)
        prune.global_unstructured(
            [(linear, "weight") for linear in linears],
            prune.L1Unstructured,
            amount=1 - 0.2 ** (1 / 4),
        )
        assert_same(masks, [linear.weight_mask.bool() for linear in linears])


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_threads_changes_nothing() -> None:
    weights = [(10 * w).round() for w in random_trunk(3)]  # many ties
    two = keep_largest(weights, 200_001)
    torch.set_num_threads(1)
    assert_same(two, keep_largest(weights, 200_001))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("dtype", TYPES)
def test_cuda_keeps_what_the_cpu_keeps(dtype: torch.dtype) -> None:
    weights = [(10 * w).round() for w in random_trunk(4, dtype)]
    masks = None
    for keep in rounds(532_480, 0.2, 4):
        before = masks and [mask.cuda() for mask in masks]
        masks = keep_largest(weights, keep, masks)
        kept = keep_largest([w.cuda() for w in weights], keep, before)
        assert all(mask.is_cuda for mask in kept)
        assert_same([mask.cpu() for mask in kept], masks)


def test_memory_beyond_weights_and_masks_is_that_of_a_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PIECE", 20_000)
    weights = random_trunk(5)
    largest = 0

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            own = {weight.untyped_storage().data_ptr() for weight in weights}
            for tensor in out if isinstance(out, (list, tuple)) else [out]:
                if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in own:
                    largest = max(largest, tensor.untyped_storage().nbytes())
            return out

    with Recorder():
        kept = keep_largest(weights, 100_000)
    bins, indices = 8 * 2**module._DIGIT, 8 * 20_000
    assert 4 * 20_000 <= largest <= max(bins, indices, *(mask.nbytes for mask in kept))


def test_weights_may_be_parameters_and_views() -> None:
    weight = nn.Parameter(torch.tensor([[1.0, 4.0], [2.0, 3.0], [5.0, 0.0]]))
    view = weight.t()  # rows 1 2 5 and 4 3 0
    (kept,) = keep_largest([view], 3, [torch.ones(3, 2, dtype=torch.bool).t()])
    assert kept.int().tolist() == [[0, 0, 1], [1, 1, 0]]
    assert not kept.requires_grad
    assert keep_largest([], 0) == []


def test_rounds_of_lt4rec() -> None:
    assert rounds(532_480, 0.2, 4) == [356_091, 238_132, 159_248, 106_496]
    assert rounds(100, 0.2, 1) == [20]
    assert rounds(100, 1.0, 3) == [100, 100, 100]
    assert rounds(0, 0.5, 2) == [0, 0]


@given(total=st.integers(0, 10**9), rate=st.floats(0.001, 1), n=st.integers(1, 30))
def test_every_round_keeps_the_same_share(total: int, rate: float, n: int) -> None:
    kept = rounds(total, rate, n)
    share = rate ** (1 / n)
    assert len(kept) == n
    for before, after in pairwise([total, *kept]):
        assert abs(after - before * share) <= 0.5 + 1e-6
        assert 0 <= after <= before
    # Each round adds an error of at most a half, and the rounds after it shrink it.
    assert abs(kept[-1] - total * rate) <= 0.5 * sum(share**k for k in range(n)) + 1e-6


@pytest.mark.parametrize(
    "arguments", [(-1, 0.2, 4), (10, 0.0, 4), (10, 1.1, 4), (10, math.nan, 4), (10, 0.2, 0)]
)
def test_rounds_refuse_what_has_no_meaning(arguments: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="0 < final_rate <= 1 and n >= 1, but got total"):
        rounds(*arguments)


@pytest.mark.parametrize(("keep", "alive"), [(-1, 6), (7, 6), (4, 3)])
def test_a_count_that_cannot_be_kept_is_refused(keep: int, alive: int) -> None:
    masks = [torch.arange(6) < alive]
    with pytest.raises(ValueError, match=f"Between 0 and {alive} weights .* kept, not {keep}"):
        keep_largest([torch.ones(6)], keep, masks)


@pytest.mark.parametrize("sign", [1, -1])
def test_nan_is_refused_with_its_tensor(sign: int) -> None:
    weights = [torch.ones(2), torch.tensor([[1.0, sign * math.nan, math.inf]])]
    with pytest.raises(ValueError, match=r"Tensor 1 of shape \(1, 3\) holds NaN"):
        keep_largest(weights, 1)


@pytest.mark.parametrize(
    ("weights", "masks", "message"),
    [
        ([torch.ones(2), torch.ones(2).double()], None, "Tensor 1 of shape .* is torch.float64"),
        ([torch.ones(2).int()], None, "Tensor 0 of shape .* is torch.int32"),
        ([torch.ones(2)], [torch.ones(2)], "bool mask of its shape .* mask 0 is torch.float32"),
        ([torch.ones(2)], [torch.ones(1, 2) > 0], r"mask 0 is torch.bool of shape \(1, 2\)"),
        ([torch.ones(2)], [], "1 tensors, 0 masks"),
    ],
)
def test_types_and_shapes_that_do_not_fit_are_refused(
    weights: list[Tensor], masks: list[Tensor] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        keep_largest(weights, 1, masks)
