"""Normalisation by hand, its running statistics, and domains apart from each other."""

import math

import pytest
import torch
from torch import Tensor, nn

from mlorakit.kernels.groups import DomainGroups, group_rows
from mlorakit.layers.norm import BatchNorm, PartitionedNorm, Standardize, make_norm


def groups_of(counts: list[int]) -> DomainGroups:
    domain = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return group_rows(domain, len(counts))[1]


def random_rows(count: int, width: int = 4, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 + 3 * torch.randn(count, width, generator=generator)


def test_partitioned_norm_by_hand() -> None:
    norm = PartitionedNorm(1, 2)
    norm.shared_scale.data.fill_(2)
    norm.shared_shift.data.fill_(1)
    norm.scale.data = torch.tensor([[1.0], [10.0]])
    norm.shift.data = torch.tensor([[0.0], [5.0]])
    x = torch.tensor([[1.0], [3.0], [10.0], [30.0]])
    out = norm(x, groups_of([2, 2])).squeeze(1)
    # Means 2 and 20, variances 1 and 100: -1 and 1 in both but for epsilon, times 2 and 20.
    first, second = 2 / math.sqrt(1.001), 200 / math.sqrt(100.001)
    expected = torch.tensor([1 - first, 1 + first, 6 - second, 6 + second])
    torch.testing.assert_close(out, expected)


def test_partitioned_norm_is_batch_norm_of_each_domains_rows() -> None:
    counts = [5, 0, 9, 2]
    x, groups = random_rows(16), groups_of(counts)
    norm = PartitionedNorm(4, 4)
    out = norm(x, groups)
    for _, start, end in groups.slices:
        plain = nn.BatchNorm1d(4, eps=1e-3)(x[start:end])
        torch.testing.assert_close(out[start:end], plain)


def test_batch_norm_is_torchs() -> None:
    x, groups = random_rows(16), groups_of([5, 0, 11])
    # With momentum None torch, too, weighs all updates equally.
    norm, plain = BatchNorm(4), nn.BatchNorm1d(4, eps=1e-3, momentum=None)
    for batch in (x, random_rows(16, seed=8)):
        torch.testing.assert_close(norm(batch, groups), plain(batch))
    torch.testing.assert_close(norm.eval()(x, groups), plain.eval()(x))


def test_the_first_updates_of_a_domain_count_equally_and_later_ones_a_hundredth() -> None:
    norm = Standardize(1, 2)
    constant = torch.ones(2, 1)
    for value in (1.0, 2.0, 6.0):
        norm(value * constant, groups_of([0, 2]))
    assert norm.mean.tolist() == [[0], [3]]  # domain 0 was in no batch
    assert norm.variance.tolist() == [[1], [0]]
    assert norm.updates.tolist() == [[0], [3]]
    norm.updates.fill_(500)
    norm(103 * constant, groups_of([0, 2]))
    assert norm.mean[1].item() == pytest.approx(3 + 100 / 100)


def test_running_variances_are_unbiased() -> None:
    norm = Standardize(1, 1)
    norm(torch.tensor([[1.0], [3.0]]), groups_of([2]))
    assert norm.variance.item() == 2  # (1 + 1) / (2 - 1)


def test_a_single_row_takes_the_running_statistics_and_leaves_them() -> None:
    norm = Standardize(1, 2)
    norm(torch.tensor([[1.0], [3.0]]), groups_of([0, 2]))
    before = [buffer.clone() for buffer in norm.buffers()]
    x = torch.tensor([[7.0]], requires_grad=True)
    out = norm(x, groups_of([0, 1]))
    assert out.item() == pytest.approx((7 - 2) / math.sqrt(2.001))
    assert all(torch.equal(a, b) for a, b in zip(before, norm.buffers(), strict=True))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(1 / math.sqrt(2.001))


def test_evaluation_of_a_row_depends_on_nothing_beside_it() -> None:
    norm = PartitionedNorm(4, 3)
    groups = groups_of([6, 0, 10])
    norm(random_rows(16), groups)
    norm.eval()
    before = [buffer.clone() for buffer in norm.buffers()]
    x = random_rows(16, seed=5)
    whole = norm(x, groups)
    alone = [norm(x[i : i + 1], group_rows(groups.domain[i : i + 1], 3)[1]) for i in range(16)]
    torch.testing.assert_close(torch.cat(alone), whole)
    assert all(torch.equal(a, b) for a, b in zip(before, norm.buffers(), strict=True))


def test_no_domain_sees_another() -> None:
    groups = groups_of([6, 0, 10])
    x, norm = random_rows(16).requires_grad_(), PartitionedNorm(4, 3)
    out = norm(x, groups)
    beside = torch.cat((x[:6], 100 * x[6:]))
    assert torch.equal(PartitionedNorm(4, 3)(beside, groups)[:6], out[:6])
    (out[6:] * torch.linspace(-1, 1, 40).view(10, 4)).sum().backward()
    assert (x.grad[:6] == 0).all()
    assert (x.grad[6:] != 0).any()
    for parameter in (norm.scale, norm.shift):
        assert (parameter.grad[:2] == 0).all()
        assert (parameter.grad[2] != 0).all()


def test_gradients_are_those_of_finite_differences() -> None:
    groups = groups_of([3, 0, 4, 1])
    norm = PartitionedNorm(2, 4).double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x = random_rows(8, 2).double().requires_grad_()
    # The row of the fourth domain goes by running statistics, which stay.
    assert torch.autograd.gradcheck(lambda x, *_: norm(x, groups), (x, *norm.parameters()))


def test_norms_by_name() -> None:
    assert make_norm("none", 4, 3) is None
    assert isinstance(make_norm("bn", 4, 3), BatchNorm)
    found = make_norm("pn", 4, 3)
    assert isinstance(found, PartitionedNorm)
    assert found.scale.shape == (3, 4)
    with pytest.raises(ValueError, match="Unknown norm 'ln'; it is one of none, bn, pn"):
        make_norm("ln", 4, 3)


@pytest.mark.parametrize("name", ["bn", "pn"])
def test_frozen_statistics_serve_in_training_and_stay(name: str) -> None:
    norm = make_norm(name, 4, 2)
    assert norm is not None
    groups = groups_of([6, 10])
    norm(random_rows(16), groups)
    x = random_rows(16, seed=5)
    expected = norm.eval()(x, groups)
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    norm.train().standardize.frozen = True
    assert torch.equal(norm(x, groups), expected)
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())
    norm.standardize.frozen = False
    assert not torch.equal(norm(x, groups), expected)


def test_a_domains_norm_serves_any_domain_as_it_did_that_one() -> None:
    norm = PartitionedNorm(4, 3)
    generator = torch.Generator().manual_seed(1)
    for parameter in norm.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    norm(random_rows(16), groups_of([6, 3, 7]))
    norm.eval()
    x = random_rows(5, seed=9)
    for domain in range(3):
        counts = [0, 0, 0]
        counts[domain] = 5
        expected = norm(x, groups_of(counts))
        own = norm.of_domain(domain).eval()
        for served_as in (groups_of([5, 0, 0]), groups_of([0, 2, 3])):
            torch.testing.assert_close(own(x, served_as), expected)
