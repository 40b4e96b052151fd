"""How the loops of this package are compiled by Numba.

Compiled code is kept in the environment's folder under a hash of all kernels. Numba by itself keeps
it beside the file of a function, and looks for changes of that file alone: what it has inlined from
another would go stale, and every copy of the project would compile anew.
"""

import hashlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import InTreeCacheLocator

_FOLDER = Path(__file__).parent
_SOURCES = sorted(_FOLDER.glob("*.py"))
_HASH = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]


class EnvironmentCacheLocator(InTreeCacheLocator):
    """Where Numba finds compiled kernels; other functions, and all where the environment's folder
    cannot be written, are left to the locators that come after it.
    """

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)
        self._cache_path = str(Path(sys.prefix) / "cache" / "mlorakit" / _HASH)

    def get_source_stamp(self) -> str:
        """The same for equal kernels, whenever they were written."""
        return _HASH

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        return super().from_function(py_func, py_file) if Path(py_file).parent == _FOLDER else None


numba.config.CACHE_LOCATOR_CLASSES = ",".join(
    (f"{__name__}.EnvironmentCacheLocator", "InTreeCacheLocator", "UserWideCacheLocator")
)

# Sums may be taken in another order than written, the same in every run; numbers may be NaN, so
# that a fit that diverges is seen to.
OPTIONS = {
    "cache": True,
    "fastmath": {"reassoc", "nsz", "arcp", "contract"},
    "error_model": "numpy",
    "nogil": True,
}
"""Of whatever is compiled."""

_njit = partial(numba.njit, **OPTIONS)

serial = _njit()
"""Compiles a loop of one thread."""

parallel = _njit(parallel=True)
"""Compiles loops of which `numba.prange` hands out the turns to threads."""

inlined = numba.njit(inline="always")
"""Compiles what becomes part of its caller."""
