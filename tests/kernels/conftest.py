"""What the kernels' tests share: groups of given sizes, and runs with several threads."""

from collections.abc import Callable, Iterator

import numba
import pytest
import torch
from torch import Tensor

from mlorakit.kernels.groups import DomainGroups, group_rows


@pytest.fixture
def one_and_two_threads() -> Iterator[Callable[[Callable[[], list[Tensor]]], None]]:
    """Holds that some results are the same to the bit whatever the number of threads."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba was started with one thread.")
    before = numba.get_num_threads()

    def check(compute: Callable[[], list[Tensor]]) -> None:
        found = []
        for threads in (1, 2, 2):
            numba.set_num_threads(threads)
            found.append(compute())
        for number, (first, *others) in enumerate(zip(*found, strict=True)):
            assert all(torch.equal(first, other) for other in others), f"result {number} differs"

    yield check
    numba.set_num_threads(before)


@pytest.fixture(scope="session")
def groups_of() -> Callable[[list[int]], DomainGroups]:
    """Groups of domains with the given numbers of rows."""

    def make(counts: list[int]) -> DomainGroups:
        domain = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        return group_rows(domain, len(counts))[1]

    return make
