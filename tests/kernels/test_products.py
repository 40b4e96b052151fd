"""The matrix products of compiled loops, by hand and against NumPy's."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlorakit.kernels import blas, tiles
from mlorakit.kernels.products import times, times_transposed, transposed_times

Array = NDArray[np.float32]
FUNCTIONS = {
    "scipy": blas._of_scipy(),
    "torch": blas._of_torch(),
    "tiles": tiles.compiled_sgemm(blas._of_scipy()),
}
FOUND = {name: function for name, function in FUNCTIONS.items() if function is not None}
EVERY = pytest.mark.parametrize("function", FOUND.values(), ids=FOUND)
Size = st.integers(1, 40)


def matrix(*rows: list[float]) -> Array:
    return np.array(rows, np.float32)


@EVERY
def test_by_hand(function: int) -> None:
    x = matrix([1, 2, 3], [0, -1, 4])
    y = np.full((2, 2), np.nan, np.float32)  # what is not read may be anything
    times_transposed(function, x, matrix([1, 1, 1], [2, 0, -1]), y, 0)
    assert y.tolist() == [[6, -1], [3, -4]]
    times_transposed(function, x, matrix([1, 1, 1], [2, 0, -1]), y, 1)
    assert y.tolist() == [[12, -2], [6, -8]]
    y[:] = np.nan
    times(function, x, matrix([1, 2], [0, 1], [3, 0]), y, 0)
    assert y.tolist() == [[10, 4], [12, -1]]
    times(function, x, matrix([1, 2], [0, 1], [3, 0]), y, 1)
    assert y.tolist() == [[20, 8], [24, -2]]
    y = np.full((2, 3), np.nan, np.float32)
    transposed_times(function, matrix([1, 2], [3, 0]), x, y, 0)
    assert y.tolist() == [[1, -1, 15], [2, 4, 6]]
    transposed_times(function, matrix([1, 2], [3, 0]), x, y, 1)
    assert y.tolist() == [[2, -2, 30], [4, 8, 12]]


@EVERY
@given(m=Size, k=Size, n=Size)
@example(m=1, k=1, n=1)
@example(m=512, k=24, n=256)
@example(m=512, k=256, n=1)
@example(m=49, k=75, n=21)  # tiles of every height, rests of rows, columns and sums
@example(m=3, k=64, n=4)
@example(m=72, k=128, n=57)
@example(m=512, k=128, n=256)  # too large for tiles
def test_they_are_numpys(function: int, m: int, k: int, n: int) -> None:
    random = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        return random.standard_normal(shape, dtype=np.float32)

    x, g = draw(m, k), draw(m, n)

    def check(product: Callable[..., None], *operands: Array, expected: Array) -> None:
        for beta in (0, 1):
            before = draw(*expected.shape)
            found = before.copy()
            product(function, *operands, found, beta)
            np.testing.assert_allclose(found, expected + beta * before, rtol=1e-4, atol=1e-3)

    transposed, plain = draw(n, k), draw(k, n)
    exact = x.astype(np.float64)
    check(times_transposed, x, transposed, expected=exact @ transposed.T)
    check(times, x, plain, expected=exact @ plain)
    check(transposed_times, g, x, expected=g.T @ exact)


@EVERY
def test_slices_of_rows_are_read_and_written_alone(function: int) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    y = np.full((4, 1), -1, np.float32)
    times_transposed(function, x[1:3], matrix([1, 0, 0]), y[1:3], 0)
    assert y.tolist() == [[-1], [3], [6], [-1]]


@EVERY
def test_sums_of_no_terms_are_zero(function: int) -> None:
    y = np.full((2, 3), np.nan, np.float32)
    transposed_times(function, np.empty((0, 2), np.float32), np.empty((0, 3), np.float32), y, 0)
    assert not y.any()


@EVERY
def test_where_values_lie_in_memory_changes_no_bit(function: int) -> None:
    # Else results would depend on what the process took memory for before.
    random = np.random.default_rng(0)
    values = [random.standard_normal(s, dtype=np.float32) for s in ((97, 24), (65, 24), (97, 65))]
    found = []
    for offset in (0, 1, 4, 7, 8):
        x, w, g = (_placed(v, offset) for v in values)
        y, of_x, of_w = (_placed(np.empty_like(v), offset + 3) for v in (g, x, w))
        times_transposed(function, x, w, y, 0)
        times(function, g, w, of_x, 0)
        transposed_times(function, g, x, of_w, 0)
        found.append((y, of_x, of_w))
    for again in found[1:]:
        assert all(map(np.array_equal, again, found[0]))


def _placed(values: Array, offset: int) -> Array:
    """A copy that begins a number of values after a multiple of 64 bytes."""
    memory = np.empty(values.size + 32, np.float32)
    start = -memory.ctypes.data % 64 // 4 + offset
    out = memory[start : start + values.size].reshape(values.shape)
    out[:] = values
    return out
