"""Dropout from hashes: its probability, its independence, its scale, its gradient."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlorakit.kernels.dropout import (
    draw_keys,
    dropout,
    dropout_reference,
    keep_mask,
    keep_mask_reference,
    threshold_and_scale,
)

KEYS = [np.array(key, np.uint32) for key in ((3, 4), (1 << 31, 0xFFFFFFFF), (123456789, 42))]
SHAPES = [(7,), (3, 5), (8,), (2, 3, 4), (1,), (0, 4)]
Word = st.integers(0, (1 << 32) - 1)


def seeded(x: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """The output of dropout, and the mask that it drew."""
    torch.manual_seed(3)
    out = dropout(x, p, training=True)
    torch.manual_seed(3)
    rows = x.numel() // x.shape[-1]
    return out, keep_mask(rows, x.shape[-1], p, draw_keys(1)[0]).view_as(x)


def is_share_of(count: int, p: float, total: int) -> bool:
    """Whether a count of independent events is as expected, within five standard deviations."""
    return abs(count - total * p) < 5 * (total * p * (1 - p)) ** 0.5


@given(rows=st.integers(0, 40), columns=st.integers(0, 40), p=st.floats(0, 0.99), a=Word, b=Word)
@example(rows=2000, columns=300, p=0.3, a=0xFFFFFFFF, b=0xFFFFFFFF)
def test_the_mask_is_its_plain_form_to_the_bit(
    rows: int, columns: int, p: float, a: int, b: int
) -> None:
    key = np.array([a, b], np.uint32)
    mask = keep_mask(rows, columns, p, key)
    assert mask.shape == (rows, columns)
    assert torch.equal(mask, keep_mask_reference(rows, columns, p, key))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("p", [1 / 256, 0.1, 0.25, 0.3, 0.5, 0.9, 255 / 256])
def test_the_share_dropped_is_p(p: float, key: np.ndarray) -> None:
    drop = ~keep_mask(2048, 256, p, key)
    assert is_share_of(int(drop.sum()), p, drop.numel())
    # And within no row or column another: sums of squares that are those of independent draws.
    for sums, count in ((drop.sum(1), 256), (drop.sum(0), 2048)):
        chi = ((sums - count * p).square() / (count * p * (1 - p))).sum().item()
        assert abs(chi - len(sums)) < 5 * _deviation(len(sums), count, p)


def _deviation(sums: int, count: int, p: float) -> float:
    """Standard deviation of a sum of squares of standardised binomial counts."""
    kurtosis = (1 - 6 * p * (1 - p)) / (count * p * (1 - p))
    return (sums * (2 + kurtosis)) ** 0.5


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("lag", [1, 2, 3, 4, 7, 8, 16, 64, 128])
def test_elements_of_a_row_and_of_a_column_are_dropped_independently(
    p: float, lag: int, key: np.ndarray
) -> None:
    drop = ~keep_mask(1024, 256, p, key)
    for both in (drop[:, lag:] & drop[:, :-lag], drop[lag:] & drop[:-lag]):
        assert abs(both.double().mean().item() - p * p) < 6 * p / both.numel() ** 0.5


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("lags", list(product((1, 4, 8, 512), (1, 4, 8, 128))))
def test_corners_of_a_rectangle_are_dropped_independently(
    p: float, lags: tuple[int, int], key: np.ndarray
) -> None:
    # Hashes of rows and columns are combined by exclusive or, which cancels round a rectangle.
    # The parity of four corners tells any dependence of the four; blocks share no corner.
    down, right = lags
    drop = ~keep_mask(1024, 256, p, key)
    blocks = drop.view(1024 // (2 * down), 2, down, 256 // (2 * right), 2, right)
    corners = blocks.permute(1, 4, 0, 2, 3, 5).reshape(4, -1)
    total = corners.shape[1]
    odd = int((corners.sum(0) % 2).sum())
    assert is_share_of(odd, (1 - (1 - 2 * p) ** 4) / 2, total)
    assert is_share_of(int(corners.all(0).sum()), p**4, total)


def test_masks_of_different_keys_are_independent() -> None:
    torch.manual_seed(0)
    for first, second in zip(draw_keys(8), draw_keys(8), strict=True):
        both = keep_mask(512, 256, 0.5, first) & keep_mask(512, 256, 0.5, second)
        assert is_share_of(int(both.sum()), 0.25, both.numel())


def test_keys_are_random_words_of_32_bits() -> None:
    torch.manual_seed(0)
    keys = draw_keys(1 << 12)
    assert keys.shape == (1 << 12, 2)
    assert keys.dtype == np.uint32
    assert len(np.unique(keys)) > 8180
    for bit in range(32):
        assert is_share_of(int((keys >> np.uint32(bit) & 1).sum()), 0.5, keys.size)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_scaling_keeps_the_mean(p: float) -> None:
    torch.manual_seed(4)
    out = dropout(torch.full((1 << 10, 1 << 8), 3.0), p, training=True)
    assert out[out != 0].unique().tolist() == pytest.approx([3 / (1 - p)])
    assert out.mean().item() == pytest.approx(3.0, rel=0.02)


@pytest.mark.parametrize("percent", range(100))
def test_a_probability_is_met_to_within_2_to_the_minus_33(percent: int) -> None:
    threshold, scale = threshold_and_scale(percent / 100)
    assert abs(int(threshold) / 2**32 - percent / 100) <= 2**-33
    assert scale == pytest.approx(1 / (1 - percent / 100))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_is_its_reference_on_the_same_mask(shape: tuple[int, ...], p: float) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(6))
    out, keep = seeded(x, p)
    torch.testing.assert_close(out, dropout_reference(x, keep, p))
    assert (out[~keep] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_may_lie_in_memory_in_any_order(dtype: torch.dtype) -> None:
    x = torch.randn(9, 50, generator=torch.Generator().manual_seed(6)).to(dtype).t()
    kept = x.clone()
    out, keep = seeded(x, 0.3)
    torch.testing.assert_close(out, dropout_reference(x, keep, 0.3))
    assert torch.equal(x, kept)
    assert out.dtype == dtype


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_gradient_is_mask_times_scale(p: float) -> None:
    x = torch.randn(50, 9, generator=torch.Generator().manual_seed(6)).requires_grad_()
    out, keep = seeded(x, p)
    upstream = torch.linspace(1, 2, x.numel()).view_as(x)
    out.backward(upstream)
    assert 0 < int(keep.sum()) < keep.numel()
    torch.testing.assert_close(x.grad, upstream * keep / (1 - p))
    assert upstream.tolist() == torch.linspace(1, 2, x.numel()).view_as(x).tolist()


def test_nan_is_kept_or_dropped_like_a_number() -> None:
    out, keep = seeded(torch.full((40, 5), torch.nan), 0.5)
    assert torch.equal(out.isnan(), keep)


def test_two_draws_differ_and_a_seed_repeats_them() -> None:
    x = torch.ones(10, 100)
    torch.manual_seed(8)
    first, second = dropout(x, 0.5, training=True), dropout(x, 0.5, training=True)
    torch.manual_seed(8)
    assert torch.equal(dropout(x, 0.5, training=True), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True), (0.0, False)])
def test_without_training_or_probability_nothing_is_drawn(p: float, training: bool) -> None:
    x = torch.ones(10)
    state = torch.get_rng_state()
    assert dropout(x, p, training) is x
    assert torch.equal(torch.get_rng_state(), state)
