"""Products with matrices of each domain's own, straight from the compiled loops.

`low_rank` is tested through `grouped_lora`, and `linear` also through `grouped_linear`.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mlorakit.kernels import per_domain
from mlorakit.kernels.blas import sgemm_address
from mlorakit.kernels.compiled import array_of
from mlorakit.kernels.grouped_linear import grouped_linear_reference
from mlorakit.kernels.groups import DomainGroups

GroupsOf = Callable[[list[int]], DomainGroups]


def random_arguments(counts: list[int], n_in: int, n_out: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = [(sum(counts), n_in), (len(counts), n_out, n_in), (len(counts), n_out)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def output_and_gradients(arguments: list[Tensor], upstream: Tensor, ends: Tensor) -> list[Tensor]:
    x, w, bias = map(array_of, arguments)
    y = np.full((len(x), w.shape[1]), np.nan, np.float32)
    per_domain.linear(sgemm_address(), x, w, bias, ends.numpy(), y)
    gradients = [np.full_like(a, np.nan) for a in (x, w, bias)]
    per_domain.linear_backward(sgemm_address(), x, w, ends.numpy(), upstream.numpy(), *gradients)
    return [torch.from_numpy(a) for a in (y, *gradients)]


@pytest.mark.parametrize("counts", [[7], [1], [0, 4, 0, 0, 9, 0], [200, 1, 0, 63, 64, 65]])
def test_linear_is_the_map_of_each_row(counts: list[int], groups_of: GroupsOf) -> None:
    groups = groups_of(counts)
    arguments = random_arguments(counts, 5, 9)
    upstream = torch.randn(sum(counts), 9, generator=torch.Generator().manual_seed(6))
    exact = [argument.double().requires_grad_() for argument in arguments]
    out = grouped_linear_reference(*exact, groups)
    expected = [out.detach(), *torch.autograd.grad(out, exact, upstream.double())]
    found = output_and_gradients(arguments, upstream, groups.ends)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_the_number_of_threads_changes_no_bit_of_linear(
    groups_of: GroupsOf,
    one_and_two_threads: Callable[[Callable[[], list[Tensor]]], None],
) -> None:
    counts = [700, 0, 31, 1, 900]
    ends, arguments = groups_of(counts).ends, random_arguments(counts, 24, 31)
    upstream = torch.randn(sum(counts), 31, generator=torch.Generator().manual_seed(6))
    one_and_two_threads(lambda: output_and_gradients(arguments, upstream, ends))
