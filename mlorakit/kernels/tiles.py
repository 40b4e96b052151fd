"""A matrix product of tiles that stay in a processor's registers, for small matrices.

A library's product lays its matrices out anew before it multiplies, which takes as long as the
multiplications where a domain has a few dozen rows. A tile is a few rows of the result by one or
two vectors of its columns, or, where the sums run along the rows of both factors, a few rows by a
few columns. All is float32; where a matrix lies is given by an address, and by how many values its
rows are apart.
"""

from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import binding
from numba import types

from mlorakit.kernels.compiled import values_at
from mlorakit.kernels.jit import OPTIONS, serial
from mlorakit.kernels.tile_code import WIDTH, dot_tile, outer_tile

_LIBRARY = "mlorakit_library_sgemm"  # symbol of the product for what tiles are not for

_PAIR = 2 * WIDTH
# Rows of a tile. The tallest one's sums of two vectors a row fill three quarters of the registers.
_TALL, _MIDDLE, _LOW = _HEIGHTS = (12, 8, 4) if WIDTH == 16 else (6, 4, 2)
_DOT_ROWS, _DOT_COLUMNS = 3, 4  # of a tile whose sums run along vectors

_LAID_OUT = 24  # rows of the result from which on to lay out a panel of columns pays
# What tiles are for, by measurement on a processor of AMD's beside SciPy's product: up to so many
# multiplications and, where the sums run along vectors, from that length on.
_MOST, _MOST_DOTS, _LEAST_SUM = 1 << 22, 1 << 20, 64

_tall_pair, _middle_pair, _low_pair, _row_pair = (outer_tile(r, 2) for r in (*_HEIGHTS, 1))
_tall, _middle, _low, _row = (outer_tile(r, 1) for r in (*_HEIGHTS, 1))
_dots, _dot_row = (dot_tile(rows, _DOT_COLUMNS) for rows in (_DOT_ROWS, 1))
_dot_column, _dot = (dot_tile(rows, 1) for rows in (_DOT_ROWS, 1))


@serial
def _height(rows):  # type: ignore[no-untyped-def]
    """The rows of the next tile, of those that are left."""
    if rows >= _TALL and rows != 2 * _MIDDLE:
        return _TALL
    return _MIDDLE if rows >= _MIDDLE else _LOW if rows >= _LOW else 1


@serial
def _panel(columns, m, k, a, a_row, a_step, b, b_row, c, c_row, beta):  # type: ignore[no-untyped-def]
    """M rows of one or two vectors of columns; other arguments are those of `outer_tile`."""
    i = 0
    while i < m:
        x, y, rows = a + 4 * i * a_row, c + 4 * i * c_row, _height(m - i)
        if columns == _PAIR:
            if rows == _TALL:
                _tall_pair(k, x, a_row, a_step, b, b_row, y, c_row, beta)
            elif rows == _MIDDLE:
                _middle_pair(k, x, a_row, a_step, b, b_row, y, c_row, beta)
            elif rows == _LOW:
                _low_pair(k, x, a_row, a_step, b, b_row, y, c_row, beta)
            else:
                _row_pair(k, x, a_row, a_step, b, b_row, y, c_row, beta)
        elif rows == _TALL:
            _tall(k, x, a_row, a_step, b, b_row, y, c_row, beta)
        elif rows == _MIDDLE:
            _middle(k, x, a_row, a_step, b, b_row, y, c_row, beta)
        elif rows == _LOW:
            _low(k, x, a_row, a_step, b, b_row, y, c_row, beta)
        else:
            _row(k, x, a_row, a_step, b, b_row, y, c_row, beta)
        i += rows


@serial
def _outer(m, n, k, a, a_row, a_step, b, b_row, c, c_row, beta):  # type: ignore[no-untyped-def]
    """C (M, N) = A B + beta C, panel after panel; the value of A in row i and column t lies
    i a_row + t a_step values after the first.
    """
    laid_out, j = m >= _LAID_OUT, 0
    panel = np.empty((k if laid_out or n % WIDTH > 0 else 0, _PAIR), np.float32)
    while j < n:
        columns = min(n - j, _PAIR if n - j >= _PAIR else WIDTH)
        source, row, to = b + 4 * j, b_row, c + 4 * j
        if laid_out or columns < WIDTH:
            for t in range(k):
                of_b = values_at(source, t * b_row, t * b_row + columns)
                for column in range(columns):
                    panel[t, column] = of_b[column]
                for column in range(columns, WIDTH):  # the last columns are filled up to a vector
                    panel[t, column] = np.float32(0)
            source, row = panel.ctypes.data, _PAIR
        if columns >= WIDTH:
            _panel(columns, m, k, a, a_row, a_step, source, row, to, c_row, beta)
        else:
            filled = np.empty((m, WIDTH), np.float32)
            _panel(WIDTH, m, k, a, a_row, a_step, source, row, filled.ctypes.data, WIDTH, 0)
            for i in range(m):
                of_c = values_at(to, i * c_row, i * c_row + columns)
                for column in range(columns):
                    old = of_c[column] if beta != 0 else np.float32(0)
                    of_c[column] = old + filled[i, column]
        j += columns


@serial
def _inner(m, n, k, a, a_row, b, b_row, c, c_row, beta):  # type: ignore[no-untyped-def]
    """C (M, N) = A B^T + beta C."""
    vectors = k // WIDTH
    for i in range(m):
        of_c, of_a = values_at(c, i * c_row, i * c_row + n), values_at(a, i * a_row, i * a_row + k)
        for j in range(n):
            total, of_b = np.float32(0), values_at(b, j * b_row, j * b_row + k)
            for t in range(vectors * WIDTH, k):
                total += of_a[t] * of_b[t]
            of_c[j] = of_c[j] + total if beta != 0 else total
    j = 0
    while j < n:
        columns, y, i = _DOT_COLUMNS if n - j >= _DOT_COLUMNS else 1, b + 4 * j * b_row, 0
        while i < m:
            rows = _DOT_ROWS if m - i >= _DOT_ROWS else 1
            x, to = a + 4 * i * a_row, c + 4 * (i * c_row + j)
            if columns > 1 and rows > 1:
                _dots(vectors, x, a_row, y, b_row, to, c_row)
            elif columns > 1:
                _dot_row(vectors, x, a_row, y, b_row, to, c_row)
            elif rows > 1:
                _dot_column(vectors, x, a_row, y, b_row, to, c_row)
            else:
                _dot(vectors, x, a_row, y, b_row, to, c_row)
            i += rows
        j += columns


_character, _integer, _real = map(types.CPointer, (types.uint8, types.int32, types.float32))
_SIGNATURE = types.void(
    *(_character, _character, _integer, _integer, _integer, _real, types.intp, _integer),
    *(types.intp, _integer, _real, types.intp, _integer),
)
_library = types.ExternalFunction(_LIBRARY, _SIGNATURE)


def _sgemm(ta, tb, n, m, k, alpha, b, b_row, a, a_row, beta, c, c_row):  # type: ignore[no-untyped-def]
    """`sgemm` of the Fortran interface: C = alpha op(A) op(B) + beta C in column-major order, which
    in row-major order is a product of the second factor by the first, whose names they have here.
    """
    transposed_a, transposed_b = tb[0] != ord("N"), ta[0] != ord("N")
    work, plain = m[0] * n[0] * k[0], alpha[0] == 1 and (beta[0] == 0 or beta[0] == 1)
    if plain and not transposed_b and work <= _MOST:
        row, step = (1, a_row[0]) if transposed_a else (a_row[0], 1)
        _outer(m[0], n[0], k[0], a, row, step, b, b_row[0], c, c_row[0], np.int64(beta[0]))
    elif plain and not transposed_a and work <= _MOST_DOTS and k[0] >= _LEAST_SUM:
        _inner(m[0], n[0], k[0], a, a_row[0], b, b_row[0], c, c_row[0], np.int64(beta[0]))
    else:
        _library(ta, tb, n, m, k, alpha, b, b_row, a, a_row, beta, c, c_row)


@cache
def _compiled(library: int) -> Any:
    binding.add_symbol(_LIBRARY, library)
    return numba.cfunc(_SIGNATURE, **OPTIONS)(_sgemm)


def compiled_sgemm(library: int) -> int:
    """The address of `sgemm` of the Fortran interface, which leaves what tiles are not for to
    another.

    Args:
        library: that one's address.
    """
    return _compiled(library).address
