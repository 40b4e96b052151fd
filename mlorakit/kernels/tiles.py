"""A matrix product of tiles that stay in a processor's registers, for small matrices.

A library's product lays its matrices out anew before it multiplies, which takes as long as the
multiplications where a domain has a few dozen rows. A tile is a few rows of the result by one or
two vectors of its columns, or, where the sums run along the rows of both factors, a few rows by a
few columns. All is float32; where a matrix lies is given by an address, and by how many values its
rows are apart.
"""

import platform
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from mlorakit.kernels.compiled import values_at
from mlorakit.kernels.jit import OPTIONS, serial

_LIBRARY = "mlorakit_library_sgemm"  # symbol of the product for what tiles are not for

_FEATURES = binding.get_host_cpu_features()

FUSED = bool(_FEATURES.get("fma", platform.machine() not in ("x86_64", "AMD64")))
"""Whether the processor multiplies and adds in one instruction, without which tiles are slow."""

_LONG = bool(_FEATURES.get("avx512f"))
_WIDTH = 16 if _LONG else 8  # values of a vector
_PAIR = 2 * _WIDTH
# Rows of a tile. The tallest one's sums of two vectors a row fill three quarters of the registers.
_TALL, _MIDDLE, _LOW = _HEIGHTS = (12, 8, 4) if _LONG else (6, 4, 2)
_DOT_ROWS, _DOT_COLUMNS = 3, 4  # of a tile whose sums run along vectors

_LAID_OUT = 24  # rows of the result from which on to lay out a panel of columns pays
# What tiles are for, by measurement on a processor of AMD's beside SciPy's product: up to so many
# multiplications and, where the sums run along vectors, from that length on.
_MOST, _MOST_DOTS, _LEAST_SUM = 1 << 22, 1 << 20, 64

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, _WIDTH)


class _Emitter:
    """Writes what tiles are made of."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        name, kind = f"llvm.fma.v{_WIDTH}f32", ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        self._fma = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        self.zeros = ir.Constant(_VECTOR, [0.0] * _WIDTH)

    def pointer(self, address: Any) -> Any:
        """An address as a pointer to values."""
        return self.builder.inttoptr(address, _F32.as_pointer())

    def rows(self, pointer: Any, step: Any, number: int) -> list[Any]:
        """Pointers to rows that are `step` values apart."""
        pointers = [pointer]
        for _ in range(number - 1):
            pointers.append(self.builder.gep(pointers[-1], [step]))
        return pointers

    def load(self, pointer: Any, vector: int = 0) -> Any:
        """The vector of that number behind a pointer."""
        at = self.builder.gep(pointer, [ir.Constant(_I64, vector * _WIDTH)])
        return self.builder.load(self.builder.bitcast(at, _VECTOR.as_pointer()), align=4)

    def store(self, value: Any, pointer: Any, vector: int = 0) -> None:
        """Writes a vector where `load` finds it."""
        at = self.builder.gep(pointer, [ir.Constant(_I64, vector * _WIDTH)])
        self.builder.store(value, self.builder.bitcast(at, value.type.as_pointer()), align=4)

    def repeat(self, pointer: Any) -> Any:
        """A vector of one value."""
        value, first = self.builder.load(pointer, align=4), ir.Constant(_I32, 0)
        one = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, first)
        return self.pick(one, one, [0] * _WIDTH)

    def pick(self, a: Any, b: Any, places: list[int]) -> Any:
        """The values at the places of a followed by b."""
        mask = ir.Constant(ir.VectorType(_I32, len(places)), places)
        return self.builder.shuffle_vector(a, b, mask)

    def fma(self, a: Any, b: Any, total: Any) -> Any:
        """A b + total."""
        return self.builder.call(self._fma, [a, b, total])

    def loop(self, times: Any, state: list[Any], step: Any) -> list[Any]:
        """The state after `step`, which takes and returns it, ran so many times, perhaps never."""
        before = self.builder.block
        head, body, end = map(self.builder.append_basic_block, ("head", "body", "end"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        turn, *inside = (self.builder.phi(of) for of in (_I64, *(value.type for value in state)))
        self.builder.cbranch(self.builder.icmp_signed("<", turn, times), body, end)
        self.builder.position_at_end(body)
        after = [self.builder.add(turn, ir.Constant(_I64, 1)), *step(inside)]
        self.builder.branch(head)
        starts = [ir.Constant(_I64, 0), *state]
        for phi, first, later in zip((turn, *inside), starts, after, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, body)
        self.builder.position_at_end(end)
        return inside

    def halves_added(self, value: Any) -> Any:
        """A vector of half the length."""
        half = value.type.count // 2
        low, high = self.pick(value, value, [*range(half)]), [*range(half, 2 * half)]
        return self.builder.fadd(low, self.pick(value, value, high))

    def total(self, value: Any) -> Any:
        """The sum of a vector's values."""
        while value.type.count > 1:
            value = self.halves_added(value)
        return value

    def four_totals(self, values: list[Any]) -> Any:
        """The sums of four vectors' values, as a vector."""
        while values[0].type.count > 4:
            values = [self.halves_added(value) for value in values]
        for low, high in (([0, 4, 1, 5], [2, 6, 3, 7]), ([0, 1, 4, 5], [2, 3, 6, 7])):
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [
                self.builder.fadd(self.pick(a, b, low), self.pick(a, b, high)) for a, b in pairs
            ]
        return values[0]


def _outer_tile(rows: int, vectors: int) -> Any:
    """C (rows, vectors _WIDTH) = A B + beta C of k terms: the value of A in row i and term t is
    a[i a_row + t a_step], the vectors of B for a term are b_step values from those for the next.
    """

    @intrinsic
    def tile(typing, k, a, a_row, a_step, b, b_step, c, c_row, beta):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            emit = _Emitter(builder)
            k, a, a_row, a_step, b, b_step, c, c_row, beta = arguments
            to = emit.rows(emit.pointer(c), c_row, rows)
            sums = [emit.zeros] * (rows * vectors)

            def add_term(state: list[Any]) -> list[Any]:
                b, *rest = state
                of_a, sums = rest[:rows], rest[rows:]
                of_b = [emit.load(b, number) for number in range(vectors)]
                new = []
                for i in range(rows):
                    x = emit.repeat(of_a[i])
                    of_row = sums[i * vectors : (i + 1) * vectors]
                    new += [emit.fma(x, y, s) for y, s in zip(of_b, of_row, strict=True)]
                return [builder.gep(b, [b_step]), *(builder.gep(x, [a_step]) for x in of_a), *new]

            state = [emit.pointer(b), *emit.rows(emit.pointer(a), a_row, rows), *sums]
            sums = emit.loop(k, state, add_term)[1 + rows :]
            places = [(row, number) for row in to for number in range(vectors)]
            with builder.if_else(builder.icmp_signed("==", beta, ir.Constant(_I64, 0))) as (
                new,
                add,
            ):
                with new:
                    for total, place in zip(sums, places, strict=True):
                        emit.store(total, *place)
                with add:
                    for total, place in zip(sums, places, strict=True):
                        emit.store(builder.fadd(emit.load(*place), total), *place)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 9), generate

    return tile


def _dot_tile(rows: int, columns: int) -> Any:
    """C (rows, columns) += A B^T over _WIDTH k terms; columns are 1 or 4."""

    @intrinsic
    def tile(typing, k, a, a_row, b, b_row, c, c_row):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            emit = _Emitter(builder)
            k, a, a_row, b, b_row, c, c_row = arguments
            step = ir.Constant(_I64, _WIDTH)

            def add_terms(state: list[Any]) -> list[Any]:
                pointers, sums = state[: rows + columns], state[rows + columns :]
                of_a, new = [emit.load(p) for p in pointers[:rows]], list(sums)
                for j, of_b in enumerate(map(emit.load, pointers[rows:])):
                    for i, x in enumerate(of_a):
                        new[i * columns + j] = emit.fma(x, of_b, sums[i * columns + j])
                return [*(builder.gep(p, [step]) for p in pointers), *new]

            pointers = emit.rows(emit.pointer(a), a_row, rows)
            pointers += emit.rows(emit.pointer(b), b_row, columns)
            state = [*pointers, *[emit.zeros] * (rows * columns)]
            sums = emit.loop(k, state, add_terms)[rows + columns :]
            add = emit.four_totals if columns == 4 else lambda of_row: emit.total(of_row[0])
            for i, to in enumerate(emit.rows(emit.pointer(c), c_row, rows)):
                total = add(sums[i * columns : (i + 1) * columns])
                old = builder.load(builder.bitcast(to, total.type.as_pointer()), align=4)
                emit.store(builder.fadd(old, total), to)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 7), generate

    return tile


_tall_pair, _middle_pair, _low_pair, _row_pair = (_outer_tile(r, 2) for r in (*_HEIGHTS, 1))
_tall, _middle, _low, _row = (_outer_tile(r, 1) for r in (*_HEIGHTS, 1))
_dots, _dot_row = (_dot_tile(rows, _DOT_COLUMNS) for rows in (_DOT_ROWS, 1))
_dot_column, _dot = (_dot_tile(rows, 1) for rows in (_DOT_ROWS, 1))


@serial
def _height(rows):  # type: ignore[no-untyped-def]
    """The rows of the next tile, of those that are left."""
    if rows >= _TALL and rows != 2 * _MIDDLE:
        return _TALL
    return _MIDDLE if rows >= _MIDDLE else _LOW if rows >= _LOW else 1


@serial
def _panel(columns, m, k, a, a_row, a_step, b, b_row, c, c_row, beta):  # type: ignore[no-untyped-def]
    """M rows of one or two vectors of columns; other arguments are those of `_outer_tile`."""
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
    panel = np.empty((k if laid_out or n % _WIDTH > 0 else 0, _PAIR), np.float32)
    while j < n:
        columns = min(n - j, _PAIR if n - j >= _PAIR else _WIDTH)
        source, row, to = b + 4 * j, b_row, c + 4 * j
        if laid_out or columns < _WIDTH:
            for t in range(k):
                of_b = values_at(source, t * b_row, t * b_row + columns)
                for column in range(columns):
                    panel[t, column] = of_b[column]
                for column in range(columns, _WIDTH):  # the last columns are filled up to a vector
                    panel[t, column] = np.float32(0)
            source, row = panel.ctypes.data, _PAIR
        if columns >= _WIDTH:
            _panel(columns, m, k, a, a_row, a_step, source, row, to, c_row, beta)
        else:
            filled = np.empty((m, _WIDTH), np.float32)
            _panel(_WIDTH, m, k, a, a_row, a_step, source, row, filled.ctypes.data, _WIDTH, 0)
            for i in range(m):
                of_c = values_at(to, i * c_row, i * c_row + columns)
                for column in range(columns):
                    old = of_c[column] if beta != 0 else np.float32(0)
                    of_c[column] = old + filled[i, column]
        j += columns


@serial
def _inner(m, n, k, a, a_row, b, b_row, c, c_row, beta):  # type: ignore[no-untyped-def]
    """C (M, N) = A B^T + beta C."""
    vectors = k // _WIDTH
    for i in range(m):
        of_c, of_a = values_at(c, i * c_row, i * c_row + n), values_at(a, i * a_row, i * a_row + k)
        for j in range(n):
            total, of_b = np.float32(0), values_at(b, j * b_row, j * b_row + k)
            for t in range(vectors * _WIDTH, k):
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
