"""Matrix products for compiled loops; float32, C-contiguous, on the calling thread.

`function` is the address of `sgemm`, see `blas.sgemm_address`.
"""

import numpy as np

from mlorakit.kernels.blas import sgemm
from mlorakit.kernels.jit import serial

_N, _T = ord("N"), ord("T")


@serial
def times_transposed(function, x, w, y, beta):  # type: ignore[no-untyped-def]
    """Y = x w^T + beta y; x (M, K), w (N, K), y (M, N)."""
    m, k, n = x.shape[0], x.shape[1], y.shape[1]
    b, a, c = w.ctypes.data, x.ctypes.data, y.ctypes.data
    sgemm(function, _T, _N, n, m, k, b, k, a, k, np.float32(beta), c, n)


@serial
def times(function, x, w, y, beta):  # type: ignore[no-untyped-def]
    """Y = x w + beta y; x (M, K), w (K, N), y (M, N)."""
    m, k, n = x.shape[0], x.shape[1], y.shape[1]
    b, a, c = w.ctypes.data, x.ctypes.data, y.ctypes.data
    sgemm(function, _N, _N, n, m, k, b, n, a, k, np.float32(beta), c, n)


@serial
def transposed_times(function, g, x, y, beta):  # type: ignore[no-untyped-def]
    """Y = g^T x + beta y; g (M, N), x (M, K), y (N, K)."""
    m, n, k = g.shape[0], g.shape[1], x.shape[1]
    b, a, c = x.ctypes.data, g.ctypes.data, y.ctypes.data
    sgemm(function, _N, _T, k, n, m, b, k, a, n, np.float32(beta), c, k)
