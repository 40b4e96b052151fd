"""Adam's compiled step against PyTorch's, which is not fused."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlorakit.kernels.adam import FEW, PART, Adam

LONG = FEW + 1234  # taken by several threads, the last part not whole
SHAPES = [(7,), (3, 5), (2, 3, 4), (1,), (), (LONG // 5, 5)]


def random_parameters(shapes: list[tuple[int, ...]] = SHAPES) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def plain_adam(params: list[nn.Parameter] | list[dict], lr: float = 0.01) -> torch.optim.Adam:
    return torch.optim.Adam(params, lr=lr, fused=False, foreach=False)


def decayed(params: list[nn.Parameter]) -> list[dict]:
    """Two groups, one with weight decay."""
    return [{"params": params[::2], "weight_decay": 0.02}, {"params": params[1::2]}]


def take_steps(
    optimizer: torch.optim.Adam, params: list[nn.Parameter], steps: range, scale: float = 1.0
) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(1 + step)
        for p in params:
            p.grad = scale * torch.randn(p.shape, generator=generator)
        optimizer.step()


def assert_alike(ours: list[nn.Parameter], theirs: list[nn.Parameter]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.data, other.data, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e4])
def test_steps_are_those_of_torch(scale: float) -> None:
    ours, theirs = random_parameters(), random_parameters()
    take_steps(Adam(decayed(ours), lr=0.01), ours, range(12), scale)
    take_steps(plain_adam(decayed(theirs)), theirs, range(12), scale)
    assert_alike(ours, theirs)


def test_a_first_step_by_hand() -> None:
    # Moments over their corrections are g and g^2, so a step is the rate against the sign of g.
    p = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    optimizer = Adam([p], lr=0.1)
    p.grad = torch.tensor([5.0, -0.5, 0.0])
    optimizer.step()
    assert p.tolist() == pytest.approx([0.9, 2.1, 3.0])
    state = optimizer.state[p]
    assert state["step"].item() == 1
    assert state["exp_avg"].tolist() == pytest.approx([0.5, -0.05, 0])
    assert state["exp_avg_sq"].tolist() == pytest.approx([0.025, 0.00025, 0])


def test_denormal_numbers_become_zero_and_no_others() -> None:
    smallest = torch.finfo(torch.float32).tiny
    values = torch.tensor([smallest, -smallest, 0.9 * smallest, -0.9 * smallest, 0, math.nan])
    p = nn.Parameter(values.clone())
    optimizer = Adam([p], lr=1e-3)
    p.grad = torch.zeros(6)
    optimizer.step()
    expected = [smallest, -smallest, 0, 0, 0, math.nan]
    assert p.tolist() == pytest.approx(expected, abs=0, nan_ok=True)
    state = optimizer.state[p]
    state["exp_avg"].copy_(torch.tensor([2, -2, 1.1, -1.1, 0, math.nan]) * smallest)
    state["exp_avg_sq"].copy_(torch.tensor([2, 1.0005, 1.002, 0, 0, math.nan]) * smallest)
    optimizer.step()
    first = torch.tensor([1.8, -1.8, 0, 0, 0, math.nan]) * smallest
    second = torch.tensor([2 * 0.999, 0, 1.002 * 0.999, 0, 0, math.nan]) * smallest
    assert state["exp_avg"].tolist() == pytest.approx(first.tolist(), rel=1e-6, abs=0, nan_ok=True)
    assert state["exp_avg_sq"].tolist() == pytest.approx(
        second.tolist(), rel=1e-6, abs=0, nan_ok=True
    )


@pytest.mark.parametrize("rest", [0, FEW])
def test_parts_end_anywhere_in_tensors_and_none_is_left_out(rest: int) -> None:
    sizes = [1, 2, PART - 3, PART, 1, PART + 1, 3 * PART - 1, *range(1, 90), 5 * PART, 17, rest]
    for shapes in ([(n,) for n in sizes if n], [(n,) for n in reversed(sizes) if n]):
        ours, theirs = random_parameters(shapes), random_parameters(shapes)
        take_steps(Adam(decayed(ours), lr=0.01), ours, range(2))
        take_steps(plain_adam(decayed(theirs)), theirs, range(2))
        assert_alike(ours, theirs)


@pytest.mark.parametrize(
    "size", [FEW - 1, FEW, FEW + 1, FEW + PART - 1, FEW + PART, FEW + PART + 1]
)
def test_a_long_tensor_is_taken_whole(size: int) -> None:
    ours, theirs = random_parameters([(size,)]), random_parameters([(size,)])
    take_steps(Adam(ours, lr=0.01), ours, range(2))
    take_steps(plain_adam(theirs), theirs, range(2))
    assert_alike(ours, theirs)


def test_every_group_has_its_own_settings() -> None:
    def grouped(params: list[nn.Parameter]) -> list[dict]:
        return [
            {"params": params[:2], "lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3},
            {"params": params[2:], "weight_decay": 0.3},
        ]

    ours, theirs = random_parameters(), random_parameters()
    take_steps(Adam(grouped(ours), lr=0.01), ours, range(4))
    take_steps(plain_adam(grouped(theirs)), theirs, range(4))
    assert_alike(ours, theirs)


def test_a_group_may_be_added_between_steps() -> None:
    ours, theirs = random_parameters(), random_parameters()
    for make, params in ((Adam, ours), (plain_adam, theirs)):
        optimizer = make(params[:2], lr=0.01)
        take_steps(optimizer, params[:2], range(2))
        optimizer.add_param_group({"params": params[2:], "lr": 0.1})
        take_steps(optimizer, params, range(2, 4))
    assert_alike(ours, theirs)


def test_a_copy_takes_the_steps_of_its_own_parameters() -> None:
    params = random_parameters()
    optimizer = Adam(params, lr=0.01)
    take_steps(optimizer, params, range(2))
    copied = copy.deepcopy(optimizer)
    take_steps(optimizer, params, range(2, 4))
    others = copied.param_groups[0]["params"]
    take_steps(copied, others, range(2, 4))
    assert all(map(torch.equal, others, params))


@pytest.mark.parametrize("first_is_ours", [True, False])
def test_a_state_continues_in_the_other(first_is_ours: bool) -> None:
    def made(of_ours: bool, params: list[nn.Parameter]) -> torch.optim.Adam:
        return Adam(decayed(params), lr=0.01) if of_ours else plain_adam(decayed(params))

    expected = random_parameters()
    take_steps(plain_adam(decayed(expected)), expected, range(8))
    params = random_parameters()
    first = made(first_is_ours, params)
    take_steps(first, params, range(4))
    continued = [nn.Parameter(p.detach().clone()) for p in params]
    second = made(not first_is_ours, continued)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(second, continued, range(4, 8))
    assert_alike(continued, expected)


def test_a_state_loaded_after_steps_replaces_theirs() -> None:
    params = random_parameters()
    optimizer = Adam(params, lr=0.01)
    take_steps(optimizer, params, range(3))
    kept = copy.deepcopy(optimizer.state_dict())
    weights = [p.detach().clone() for p in params]
    take_steps(optimizer, params, range(3, 6))
    expected = [p.detach().clone() for p in params]
    optimizer.load_state_dict(kept)
    for p, weight in zip(params, weights, strict=True):
        p.data.copy_(weight)
    take_steps(optimizer, params, range(3, 6))
    assert all(map(torch.equal, params, expected))


def test_a_parameter_may_get_other_memory_between_steps() -> None:
    ours, theirs = random_parameters(), random_parameters()
    optimizers = Adam(ours, lr=0.01), plain_adam(theirs)
    for optimizer, params in zip(optimizers, (ours, theirs), strict=True):
        take_steps(optimizer, params, range(3))
        before = [p.data for p in params]
        kept = [values.clone() for values in before]
        for p in params:
            p.data = p.data.clone()
        take_steps(optimizer, params, range(3, 6))
        assert all(map(torch.equal, before, kept))  # the memory let go is left alone
    assert_alike(ours, theirs)


def test_a_parameter_that_is_not_contiguous_is_refused() -> None:
    p = nn.Parameter(torch.zeros(3, 4).t())
    p.grad = torch.ones(4, 3)
    with pytest.raises(ValueError, match=r"shape \(4, 3\) is not contiguous"):
        Adam([p], lr=0.01).step()


def test_gradients_may_lie_in_memory_in_any_order() -> None:
    # Several at once: the copy made of one must not be overwritten by that of the next.
    shapes = [(40, 30), (30, 40), (40, 30)]
    ours, theirs = random_parameters(shapes), random_parameters(shapes)
    for optimizer, params in ((Adam(ours, lr=0.01), ours), (plain_adam(theirs), theirs)):
        generator = torch.Generator().manual_seed(5)
        for p in params:
            p.grad = torch.randn(p.shape[::-1], generator=generator).t()
        optimizer.step()
        for p in params:
            p.grad = torch.randn(1, generator=generator).expand(p.shape)
        optimizer.step()
    assert_alike(ours, theirs)


def test_moments_may_be_loaded_in_any_order_of_memory() -> None:
    ours, theirs = random_parameters([(4, 3)]), random_parameters([(4, 3)])
    for optimizer, params in ((Adam(ours, lr=0.01), ours), (plain_adam(theirs), theirs)):
        take_steps(optimizer, params, range(2))
        kept = copy.deepcopy(optimizer.state_dict())
        for name in ("exp_avg", "exp_avg_sq"):
            kept["state"][0][name] = kept["state"][0][name].t().contiguous().t()
        optimizer.load_state_dict(kept)
        take_steps(optimizer, params, range(2, 4))
    assert_alike(ours, theirs)


def test_a_state_of_another_model_is_refused() -> None:
    params, others = random_parameters([(4, 3)]), random_parameters([(2, 3)])
    optimizer, other = Adam(params, lr=0.01), Adam(others, lr=0.01)
    take_steps(other, others, range(1))
    optimizer.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match=r"exp_avg has shape \(2, 3\), its parameter \(4, 3\)"):
        take_steps(optimizer, params, range(1))


def test_a_step_without_gradient_is_not_counted() -> None:
    ours, theirs = random_parameters(), random_parameters()
    for optimizer, params in (
        (Adam(decayed(ours), lr=0.01), ours),
        (plain_adam(decayed(theirs)), theirs),
    ):
        for step in range(9):
            optimizer.zero_grad()
            having = [p for number, p in enumerate(params) if (number + step) % 3]
            take_steps(optimizer, having, range(step, step + 1))
        assert {optimizer.state[p]["step"].item() for p in params} == {6}
    assert_alike(ours, theirs)


def test_a_parameter_without_gradient_is_left_alone_and_has_no_state() -> None:
    used, unused = random_parameters([(3,), (3,)])
    before = unused.detach().clone()
    optimizer = Adam([{"params": []}, {"params": [unused, used]}], lr=0.01)
    take_steps(optimizer, [used], range(2))
    assert torch.equal(unused, before)
    assert unused not in optimizer.state
    optimizer.zero_grad()
    assert used.grad is None
    moved = used.detach().clone()
    optimizer.step()
    assert torch.equal(used, moved)


def test_the_rate_may_change_between_steps() -> None:
    ours, theirs = random_parameters([(5,)]), random_parameters([(5,)])
    for optimizer, params in ((Adam(ours, lr=0.01), ours), (plain_adam(theirs), theirs)):
        take_steps(optimizer, params, range(2))
        optimizer.param_groups[0]["lr"] = 0.5
        take_steps(optimizer, params, range(2, 4))
    assert_alike(ours, theirs)


def test_double_precision_is_kept() -> None:
    ours, theirs = (
        [nn.Parameter(p.detach().double()) for p in random_parameters([(5,)])] for _ in range(2)
    )
    for optimizer, (p,) in ((Adam(ours, lr=0.01), ours), (plain_adam(theirs), theirs)):
        for step in range(3):
            p.grad = torch.linspace(-1, 1 + step, 5, dtype=torch.float64)
            optimizer.step()
    torch.testing.assert_close(ours[0].data, theirs[0].data, rtol=1e-12, atol=1e-12)


def test_nan_in_a_gradient_reaches_the_parameter() -> None:
    (p,) = random_parameters([(3,)])
    p.grad = torch.tensor([1.0, torch.nan, 1.0])
    Adam([p], lr=0.01).step()
    assert p.isnan().tolist() == [False, True, False]


def test_a_closure_is_called_and_its_loss_returned() -> None:
    (p,) = random_parameters([(3,)])
    optimizer = Adam([p], lr=0.01)

    def closure() -> Tensor:
        loss = p.square().sum()
        loss.backward()
        return loss

    before = p.square().sum().item()
    assert optimizer.step(closure).item() == pytest.approx(before)
    assert p.square().sum().item() < before


def test_the_number_of_threads_changes_no_bit(
    one_and_two_threads: Callable[[Callable[[], list[Tensor]]], None],
) -> None:
    def train() -> list[Tensor]:
        params = random_parameters()
        optimizer = Adam(decayed(params), lr=0.01)
        take_steps(optimizer, params, range(5))
        moments = [t for p in params for t in optimizer.state[p].values()]
        return [*(p.detach() for p in params), *moments]

    one_and_two_threads(train)
