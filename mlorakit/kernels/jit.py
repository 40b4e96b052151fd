"""How the loops of this package are compiled by Numba.

Compiled code is kept beside the source, under a hash of all kernels: Numba itself looks at the file
of a function alone, and would keep what it has inlined from another file that changed since.
"""

import hashlib
from functools import partial
from pathlib import Path

import numba

_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_HASH = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]
numba.config.CACHE_DIR = str(Path(__file__).parent / "__pycache__" / _HASH)

# Sums may be taken in another order than written, the same in every run; numbers may be NaN, so
# that a fit that diverges is seen to.
_FASTMATH = {"reassoc", "nsz", "arcp", "contract"}
_njit = partial(numba.njit, cache=True, fastmath=_FASTMATH, error_model="numpy", nogil=True)

serial = _njit()
"""Compiles a loop of one thread."""

parallel = _njit(parallel=True)
"""Compiles loops of which `numba.prange` hands out the turns to threads."""

inlined = numba.njit(inline="always")
"""Compiles what becomes part of its caller."""
