"""Where `sgemm` comes from."""

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.linalg import cython_blas
from threadpoolctl import threadpool_info

from mlorakit.kernels import blas, tile_code, tiles
from mlorakit.kernels.products import times_transposed


@pytest.fixture
def searched_anew() -> Iterator[None]:
    blas.sgemm_address.cache_clear()
    yield
    blas.sgemm_address.cache_clear()


def test_the_libraries_agree() -> None:
    of_torch = blas._of_torch()
    if of_torch is None:
        pytest.skip("This build of PyTorch carries no sgemm.")
    random = np.random.default_rng(0)
    x, w = (random.standard_normal(s, dtype=np.float32) for s in ((512, 24), (256, 24)))
    found = np.empty((2, 512, 256), np.float32)
    for function, y in zip((of_torch, blas._of_scipy()), found, strict=True):
        times_transposed(function, x, w, y, 0)
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("searched_anew")
@pytest.mark.parametrize("fused", [True, False])
def test_intels_processors_get_torchs_and_others_scipys(
    monkeypatch: pytest.MonkeyPatch, fused: bool
) -> None:
    found = {}
    monkeypatch.setattr(tile_code, "FUSED", fused)
    for intel in (True, False):
        blas.sgemm_address.cache_clear()
        monkeypatch.setattr(blas, "is_intel", lambda intel=intel: intel)
        found[intel] = blas.sgemm_address()
    scipys = tiles.compiled_sgemm(blas._of_scipy()) if fused else blas._of_scipy()
    assert found == {True: blas._of_torch() or scipys, False: scipys}


@pytest.mark.usefixtures("searched_anew")
def test_without_mkl_torch_carries_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "is_intel", lambda: True)
    monkeypatch.setattr(tile_code, "FUSED", False)
    monkeypatch.setattr(blas.torch.backends.mkl, "is_available", lambda: False)
    assert blas._of_torch() is None
    assert blas.sgemm_address() == blas._of_scipy()


def test_scipys_products_stay_on_their_thread() -> None:
    blas.sgemm_address.cache_clear()
    blas.sgemm_address()
    threads = {p["num_threads"] for p in threadpool_info() if p["internal_api"] == "openblas"}
    assert threads <= {1}


def test_a_scipy_of_long_integers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = cython_blas.__pyx_capi__["lsame"]
    monkeypatch.setitem(cython_blas.__pyx_capi__, "sgemm", other)
    with pytest.raises(RuntimeError, match="other arguments than 32-bit integers: b'"):
        blas._of_scipy()
