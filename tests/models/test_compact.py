"""A compact ticket gives what the masked network gives, and holds no more than the mask keeps."""

import pytest
import torch

from mlorakit.data.tasks import TASKS, TaskData
from mlorakit.models.compact import CompactTicket, SparseLinear
from mlorakit.models.lt4rec import LT4REC, Mask
from mlorakit.tickets import full_mask, kept


def trained(data: TaskData) -> LT4REC:
    torch.manual_seed(1)
    model = LT4REC(data.fields, data.tables, 4, (16, 8))
    for layer in model.trunk:
        torch.nn.init.normal_(layer.bias)
    return model.eval()


def random_mask(model: LT4REC, share: float) -> Mask:
    generator = torch.Generator().manual_seed(2)
    return {
        name: (torch.rand(w.shape, generator=generator) < share).float()
        for name, w in model.prunable().items()
    }


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.02, 0.0])
@pytest.mark.parametrize("task", TASKS)
def test_the_logits_are_those_of_the_masked_network(
    task: str, share: float, two_tasks: TaskData
) -> None:
    model = trained(two_tasks)
    mask = random_mask(model, share)
    compact = CompactTicket(model, mask, task)
    ids = two_tasks.test.ids
    with torch.no_grad():
        torch.testing.assert_close(compact(ids), model(ids, task, mask), rtol=1e-4, atol=1e-5)
    assert compact.kept <= kept(mask)


def test_rows_are_served_in_any_number(two_tasks: TaskData) -> None:
    model = trained(two_tasks)
    compact = CompactTicket(model, random_mask(model, 0.5), "ctr")
    ids = two_tasks.test.ids
    with torch.no_grad():
        together = compact(ids)  # 200 rows, more than pass the trunk at once
        assert compact(ids[:0]).shape == (0,)
        for rows in (1, 64, 65):
            torch.testing.assert_close(compact(ids[:rows]), together[:rows])


def test_units_that_nothing_reads_or_that_read_nothing_go(two_tasks: TaskData) -> None:
    model = trained(two_tasks)
    mask = full_mask(model)
    mask["trunk.1.weight"][:, 3] = 0  # nothing reads unit 3
    mask["trunk.0.weight"][5] = 0  # unit 5 reads nothing: a constant
    compact = CompactTicket(model, mask, "ctr")
    assert [tuple(layer.weight.shape) for layer in compact.trunk] == [(14, 32), (8, 14)]
    ids = two_tasks.test.ids
    with torch.no_grad():
        torch.testing.assert_close(compact(ids), model(ids, "ctr", mask), rtol=1e-4, atol=1e-5)


def test_a_kept_weight_of_zero_is_kept() -> None:
    weight = torch.tensor([[0.0, 2.0]])
    layer = SparseLinear(weight, torch.tensor([[1.0, 0.0]]), torch.tensor([3.0]))
    assert layer.weight._nnz() == 1
    assert layer(torch.tensor([[5.0], [7.0]])).tolist() == [[3.0]]
