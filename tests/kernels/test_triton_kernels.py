"""A GPU's kernels beside their plain forms."""

import pytest
import torch

from mlorakit.kernels import dropout
from mlorakit.kernels.adam import PART, Adam
from mlorakit.kernels.lookup import lookup

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
DEVICE = "cuda"


@pytest.mark.parametrize("width", [1, 3, 8, 17, 32])
@pytest.mark.parametrize("rows", [1, 63, 300])
@pytest.mark.parametrize("sizes", [(604, 370, 2, 7), (30,), (0, 5, 5)])
def test_the_gradient_of_a_table(sizes: tuple[int, ...], rows: int, width: int) -> None:
    generator = torch.Generator().manual_seed(1)
    # A size of 0 begins where the next one does, as columns of one field do.
    most = [next(s for s in sizes[place:] if s) for place in range(len(sizes))]
    ids = torch.stack([torch.randint(n, (rows,), generator=generator) for n in most], 1).int()
    offsets = torch.tensor((0, *sizes[:-1])).cumsum(0)
    grad = torch.randn(rows, len(sizes), width, generator=generator)
    expected = torch.zeros(sum(sizes), width, dtype=torch.float64).index_add_(
        0, (ids + offsets).flatten(), grad.flatten(0, 1).double()
    )
    table = torch.zeros(sum(sizes), width, device=DEVICE, requires_grad=True)
    lookup(table, ids.to(DEVICE), offsets.to(DEVICE)).backward(grad.to(DEVICE))
    assert table.grad is not None
    torch.testing.assert_close(table.grad.cpu().double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (1024, 256)])
def test_relu_and_dropout_at_once(shape: tuple[int, int]) -> None:
    def of(function: object) -> tuple[torch.Tensor, torch.Tensor | None]:
        h = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
        h[0, 0] = float("nan")
        h.requires_grad_()
        with dropout.drawn_from(torch.Generator(DEVICE).manual_seed(2)):
            y = function(h)  # type: ignore[operator]
        y.backward(torch.ones_like(y))
        return y.detach(), h.grad

    y, grad = of(lambda h: dropout.activate(h, 0.25, True))
    plain, _ = of(lambda h: dropout.dropout(h.relu(), 0.25, True))
    kept = ~(plain <= 0)
    torch.testing.assert_close(y[kept], plain[kept], equal_nan=True)
    assert not y[~kept].any()
    assert grad is not None
    torch.testing.assert_close(grad, kept.float() / 0.75)


def test_adam_in_parts_is_pytorchs() -> None:
    def weights(make: object) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(1)
        start = [torch.randn(n, 3, generator=generator) for n in (1, PART - 1, PART, 2 * PART)]
        parameters = [torch.nn.Parameter(w.to(DEVICE)) for w in start]
        groups = [{"params": parameters[:2], "weight_decay": 0.1}, {"params": parameters[2:]}]
        optimizer = make(groups, lr=0.01)  # type: ignore[operator]
        for _ in range(3):
            for p in parameters[1:]:  # the first has no gradient
                p.grad = torch.randn(p.shape, generator=generator).to(DEVICE)
            optimizer.step()
        return [p.detach() for p in parameters]

    ours, theirs = (weights(make) for make in (Adam, torch.optim.Adam))
    for own, plain in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, plain, rtol=1e-5, atol=1e-6)
