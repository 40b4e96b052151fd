"""Loops over the values of a batch, compiled for the processor at hand by Numba.

Each does in one pass over memory what takes several of PyTorch's operations, on one thread, so
that results do not depend on the number of threads. They take NumPy arrays on the memory of
contiguous CPU tensors, see `array_of`. The wrappers, and the plain form of each, stand in the
modules that call them.
"""

from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import torch
from numba import types, uint32
from numba.extending import intrinsic
from torch import Tensor

from mlorakit.kernels.jit import inlined, serial


def runs_compiled(x: Tensor) -> bool:
    """Whether compiled loops take a tensor: one of float32 on a CPU."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def runs_triton(x: Tensor) -> bool:
    """Whether Triton's kernels take a tensor: one of float32 on a GPU, where Triton is there."""
    return x.is_cuda and x.dtype == torch.float32 and find_spec("triton") is not None


def array_of(x: Tensor) -> Any:
    """The values of a CPU tensor as a NumPy array on the same memory."""
    return x.detach().numpy()


@intrinsic
def _pointer(typing, address):  # type: ignore[no-untyped-def]
    """An address as a pointer to float32 values, for compiled code."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer = context.get_value_type(signature.return_type)
        return builder.inttoptr(arguments[0], pointer)

    return types.CPointer(types.float32)(types.int64), generate


@serial
def values_at(address, start, stop):  # type: ignore[no-untyped-def]
    """Those from start to stop of the float32 values at an address."""
    return numba.carray(_pointer(address + 4 * start), (stop - start,))


@inlined
def _mixed(h):  # type: ignore[no-untyped-def]
    """A hash of 32 bits; constants of C. Wellons' hash-prospector (`lowbias32`)."""
    h = uint32(h)
    h ^= h >> uint32(16)
    h = uint32(h * uint32(0x7FEB352D))
    h ^= h >> uint32(15)
    h = uint32(h * uint32(0x846CA68B))
    h ^= h >> uint32(16)
    return h


@inlined
def random_number(of_row, of_column):  # type: ignore[no-untyped-def]
    """The random number of an element; those of its row and column are hashes already."""
    h = of_row ^ of_column
    h = uint32(h * uint32(0x7FEB352D))
    h ^= h >> uint32(15)
    return uint32(h * uint32(0x846CA68B))


@inlined
def hash_row(key, i):  # type: ignore[no-untyped-def]
    """What a row gives to the random numbers of its elements; key of two uint32."""
    return _mixed(key[0] + uint32(i) * uint32(0x9E3779B9))


@serial
def hash_columns(key, n):  # type: ignore[no-untyped-def]
    """What each of n columns gives to the random numbers of its elements, (n,)."""
    numbers = np.empty(n, np.uint32)
    for j in range(n):
        numbers[j] = _mixed(key[1] + uint32(j) * uint32(0x85EBCA6B))
    return numbers


@serial
def random_numbers(rows, columns, key):  # type: ignore[no-untyped-def]
    """The uint32 numbers that decide what dropout drops, (rows, columns); key of two uint32."""
    numbers, of_column = np.empty((rows, columns), np.uint32), hash_columns(key, columns)
    for i in range(rows):
        for j in range(columns):
            numbers[i, j] = random_number(hash_row(key, i), of_column[j])
    return numbers


@serial
def dropout(x, threshold, scale, key):  # type: ignore[no-untyped-def]
    """X = scale x where an element's number is at least the threshold, else 0; x (B, N)."""
    rows, columns = x.shape
    of_column, zero = hash_columns(key, columns), x.dtype.type(0)
    for i in range(rows):
        row, of_row = x[i], hash_row(key, i)
        for j in range(columns):
            row[j] = row[j] * scale if random_number(of_row, of_column[j]) >= threshold else zero


@serial
def sort_batches(rows, sizes, domain, counts):  # type: ignore[no-untyped-def]
    """Puts the rows of each batch in order of their domains, those of a domain as they were.

    Args:
        rows: numbers of rows, of one batch after the other; changed.
        sizes: of the batches, (N,).
        domain: of each row.
        counts: filled with the rows of each domain in each batch, (N, D).
    """
    start, place = 0, np.empty(counts.shape[1], np.int64)
    for batch in range(sizes.size):
        own = rows[start : start + sizes[batch]].copy()
        counts[batch] = 0
        for row in own:
            counts[batch, domain[row]] += 1
        at = start
        for d in range(counts.shape[1]):
            place[d] = at
            at += counts[batch, d]
        for row in own:
            rows[place[domain[row]]] = row
            place[domain[row]] += 1
        start += sizes[batch]


@serial
def gather(table, ids, offsets, out):  # type: ignore[no-untyped-def]
    """out[i, f] = table[ids[i, f] + offsets[f]]; False where a place lies outside the table."""
    rows, fields = ids.shape
    for i in range(rows):
        for f in range(fields):
            place = ids[i, f] + offsets[f]
            if place < 0 or place >= table.shape[0]:
                return False
            source, to = table[place], out[i, f]
            for k in range(to.size):
                to[k] = source[k]
    return True


@serial
def scatter(grad, ids, offsets, total):  # type: ignore[no-untyped-def]
    """total[ids[i, f] + offsets[f]] += grad[i, f], row after row."""
    rows, fields = ids.shape
    for i in range(rows):
        for f in range(fields):
            source, to = grad[i, f], total[ids[i, f] + offsets[f]]
            for k in range(to.size):
                to[k] += source[k]
