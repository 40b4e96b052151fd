"""The code of a tile of a matrix product, written in LLVM's vectors; `tiles` puts them together."""

import platform
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

_FEATURES = binding.get_host_cpu_features()

FUSED = bool(_FEATURES.get("fma", platform.machine() not in ("x86_64", "AMD64")))
"""Whether the processor multiplies and adds in one instruction, without which tiles are slow."""

WIDTH = 16 if _FEATURES.get("avx512f") else 8
"""Values of a vector."""

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, WIDTH)


class _Emitter:
    """Writes what tiles are made of."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        name, kind = f"llvm.fma.v{WIDTH}f32", ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        self._fma = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        self.zeros = ir.Constant(_VECTOR, [0.0] * WIDTH)

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
        at = self.builder.gep(pointer, [ir.Constant(_I64, vector * WIDTH)])
        return self.builder.load(self.builder.bitcast(at, _VECTOR.as_pointer()), align=4)

    def store(self, value: Any, pointer: Any, vector: int = 0) -> None:
        """Writes a vector where `load` finds it."""
        at = self.builder.gep(pointer, [ir.Constant(_I64, vector * WIDTH)])
        self.builder.store(value, self.builder.bitcast(at, value.type.as_pointer()), align=4)

    def repeat(self, pointer: Any) -> Any:
        """A vector of one value."""
        value, first = self.builder.load(pointer, align=4), ir.Constant(_I32, 0)
        one = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, first)
        return self.pick(one, one, [0] * WIDTH)

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


def outer_tile(rows: int, vectors: int) -> Any:
    """C (rows, vectors WIDTH) = A B + beta C of k terms: the value of A in row i and term t is
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


def dot_tile(rows: int, columns: int) -> Any:
    """C (rows, columns) += A B^T over WIDTH k terms; columns are 1 or 4."""

    @intrinsic
    def tile(typing, k, a, a_row, b, b_row, c, c_row):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            emit = _Emitter(builder)
            k, a, a_row, b, b_row, c, c_row = arguments
            step = ir.Constant(_I64, WIDTH)

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
