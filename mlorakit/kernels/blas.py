"""Single-precision matrix products called from compiled loops, one thread each.

A compiled loop that hands out parts of a batch to threads needs a product that stays on its
thread. Intel's processors get MKL's, which PyTorch's CPU library carries; elsewhere, where MKL
leaves AVX-512 unused, and where PyTorch carries none, small products are those of `tiles` and the
others SciPy's.
"""

import ctypes
import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from scipy.linalg import cython_blas
from threadpoolctl import ThreadpoolController

from mlorakit.kernels import tile_code, tiles

_FORTRAN = b"void (char *, char *, int *, int *, int *"  # how the name of SciPy's capsule begins


def is_intel() -> bool:
    """Whether the processor is one of Intel's."""
    cpuinfo = Path("/proc/cpuinfo")
    described = cpuinfo.read_text() if cpuinfo.is_file() else platform.processor()
    return "GenuineIntel" in described


@cache
def sgemm_address() -> int:
    """Where `sgemm` of the Fortran interface lies in memory."""
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)
    found = _of_torch() if is_intel() else None
    if found:
        return found
    return tiles.compiled_sgemm(_of_scipy()) if tile_code.FUSED else _of_scipy()


def _of_torch() -> int | None:
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not (torch.backends.mkl.is_available() and library.is_file()):
        return None
    functions = ctypes.CDLL(str(library))
    if not hasattr(functions, "sgemm"):
        return None
    return ctypes.cast(functions.sgemm, ctypes.c_void_p).value


def _of_scipy() -> int:
    capsule = cython_blas.__pyx_capi__["sgemm"]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = (
        ctypes.c_char_p,
        [ctypes.py_object],
    )
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    name = api.PyCapsule_GetName(capsule)
    if not name.startswith(_FORTRAN):
        raise RuntimeError(f"SciPy's sgemm takes other arguments than 32-bit integers: {name!r}")
    return api.PyCapsule_GetPointer(capsule, name)


@intrinsic
def sgemm(typing, function, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc):  # type: ignore[no-untyped-def] # noqa: D417
    """C = op(A) op(B) + beta C in column-major order, for compiled code.

    Args:
        function: address from `sgemm_address`.
        ta, tb: whether A and B are transposed, as the code of "T" or "N".
        m, n, k: shape of C, and the length of the sums.
        a, lda, b, ldb, c, ldc: addresses of float32 values, and how far their columns are apart.
        beta: 0 or 1.
    """
    address, byte, i32, f32 = types.intp, types.int8, types.int32, types.float32
    order = (address, byte, byte, i32, i32, i32, address, i32, address, i32, f32, address, i32)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        at, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc = arguments
        pointer = ir.IntType(8).as_pointer()

        def by_reference(value: Any) -> Any:
            return builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)

        def values(at: Any) -> Any:
            return builder.inttoptr(at, pointer)

        alpha = by_reference(ir.Constant(ir.FloatType(), 1.0))
        call = ir.FunctionType(ir.VoidType(), [pointer] * 13)
        builder.call(
            builder.inttoptr(at, call.as_pointer()),
            [
                *map(by_reference, (ta, tb, m, n, k)),
                *(alpha, values(a), by_reference(lda), values(b), by_reference(ldb)),
                *(by_reference(beta), values(c), by_reference(ldc)),
            ],
        )
        return context.get_dummy_value()

    return types.void(*order), generate
