"""Pooled products of pairs of fields: by hand, against the plain form and against all pairs."""

from itertools import combinations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mlorakit.kernels.interaction import (
    bi_interaction,
    bi_interaction_reference,
    factorization_machine,
)


def test_by_hand() -> None:
    e = torch.tensor([[[1.0, 2.0], [3.0, 0.0], [-1.0, 5.0]]]).requires_grad_()
    out = bi_interaction(e)
    assert out.tolist() == [[3 - 1 - 3, 0 + 10 + 0]]
    out.backward(torch.tensor([[1.0, 10.0]]))
    assert e.grad.tolist() == [[[2, 50], [0, 70], [4, 20]]]  # the sum of the other two


@given(rows=st.integers(0, 20), fields=st.integers(1, 9), size=st.integers(1, 9))
@example(rows=1024, fields=3, size=8)
@example(rows=4, fields=1, size=3)  # no pairs
def test_it_is_its_plain_form_and_the_sum_over_all_pairs(rows: int, fields: int, size: int) -> None:
    e = torch.randn(rows, fields, size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    exact = e.detach().double().requires_grad_()
    upstream = torch.randn(rows, size, generator=torch.Generator().manual_seed(1))
    out, expected = bi_interaction(e), bi_interaction_reference(exact)
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-4)
    pairs = [exact[:, f] * exact[:, g] for f, g in combinations(range(fields), 2)]
    torch.testing.assert_close(sum(pairs, torch.zeros_like(expected)), expected)
    (ours,) = torch.autograd.grad(out, e, upstream)
    (theirs,) = torch.autograd.grad(expected, exact, upstream.double(), retain_graph=True)
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)
    total = factorization_machine(e)
    torch.testing.assert_close(total.double(), expected.sum(1), rtol=1e-4, atol=1e-4)
    (ours,) = torch.autograd.grad(total, e, upstream[:, 0])
    (theirs,) = torch.autograd.grad(expected.sum(1), exact, upstream[:, 0].double())
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    e = torch.randn(4, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for function in (bi_interaction, factorization_machine):
        assert torch.autograd.gradcheck(function, e.requires_grad_())


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_values_may_lie_in_memory_in_any_order(axes: tuple[int, int]) -> None:
    e = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    expected = bi_interaction(e)
    apart = e.transpose(*axes).contiguous().transpose(*axes).requires_grad_()
    out = bi_interaction(apart)
    assert torch.equal(out.detach(), expected)
    first, second = (
        torch.autograd.grad(out, apart, upstream, retain_graph=True)[0]
        for upstream in (torch.ones(1).expand(4, 2), torch.ones(4, 2))
    )
    assert torch.equal(first, second)
