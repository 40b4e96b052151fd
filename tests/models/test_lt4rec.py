"""LT4REC's network: its input, its sizes, its masks; and the models beside it."""

import pytest
import torch
from torch import nn

from mlorakit.data.tasks import PADDING, TASKS, TaskData, TaskField
from mlorakit.layers.masked import MaskedLinear
from mlorakit.layers.pooled_embedding import PooledEmbedding
from mlorakit.models.lt4rec import LT4REC, TaskInput
from mlorakit.models.multitask import PLE, MMoE

ONE_TABLE = {"t": 4}
FIELDS = (TaskField("a", "t", 1), TaskField("b", "t", 3))


def embedding(average_padding: bool) -> PooledEmbedding:
    """Rows of the table are (0, 1), (10, 11), (20, 21), (30, 31)."""
    made = PooledEmbedding(FIELDS, ONE_TABLE, 2, 0.01, average_padding)
    made.weight.data = torch.tensor([[0.0, 1], [10, 11], [20, 21], [30, 31]])
    return made


def test_several_values_give_their_mean_and_fields_share_a_table() -> None:
    ids = torch.tensor([[1, 1, 3, PADDING], [2, 2, PADDING, PADDING]])
    out = embedding(average_padding=False)(ids)
    assert out.tolist() == [[[10, 11], [20, 21]], [[20, 21], [20, 21]]]


def test_the_released_mean_counts_padding_so_that_a_row_depends_on_its_batch() -> None:
    pool = embedding(average_padding=True)
    row = torch.tensor([[2, 2, PADDING, PADDING]])
    assert pool(row)[0, 1].tolist() == [20, 21]
    beside = torch.cat((row, torch.tensor([[1, 1, 3, PADDING]])))
    assert pool(beside)[0, 1].tolist() == [10, 11]  # the mean of (20, 21) and of id 0, (0, 1)


def test_padding_gets_no_gradient() -> None:
    pool = embedding(average_padding=False)
    pool(torch.tensor([[1, 2, PADDING, PADDING]])).sum().backward()
    assert pool.weight.grad is not None
    assert pool.weight.grad.tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]


def test_the_input_is_all_products_of_fields_and_the_fields_themselves() -> None:
    model = TaskInput(FIELDS, ONE_TABLE, 2, average_padding=False)
    model.embedding.weight.data = torch.tensor([[0.0, 1], [1, 2], [3, 4], [5, 6]])
    out = model(torch.tensor([[1, 2, PADDING, PADDING]]))
    # <(1,2),(1,2)> = 5, <(1,2),(3,4)> = 11, <(3,4),(3,4)> = 25.
    assert out.tolist() == [[5, 11, 11, 25, 1, 2, 3, 4]]
    assert model.width == 8


def test_the_papers_sizes() -> None:
    fields = tuple(TaskField(f"f{i}", "t", 1) for i in range(20))
    model = LT4REC(fields, {"t": 5})
    assert model.input.width == 720
    sizes = [weight.numel() for weight in model.prunable().values()]
    assert sizes == [368_640, 131_072, 32_768]
    assert sum(sizes) == 532_480


def test_a_masked_layer_by_hand() -> None:
    layer = MaskedLinear(2, 2)
    layer.weight.data = torch.tensor([[1.0, 2], [3, 4]])
    layer.bias.data = torch.tensor([10.0, 20])
    x = torch.tensor([[1.0, 1]])
    assert layer(x).tolist() == [[13, 27]]
    out = layer(x, torch.tensor([[1.0, 0], [0, 0]]))
    assert out.tolist() == [[11, 20]]
    out.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[1, 0], [0, 0]]


def test_nothing_revives_a_pruned_weight(two_tasks: TaskData) -> None:
    torch.manual_seed(0)
    model = LT4REC(two_tasks.fields, two_tasks.tables, 4, (8, 4))
    mask = {name: (torch.rand_like(w) < 0.5).float() for name, w in model.prunable().items()}
    with torch.no_grad():
        for name, weight in model.prunable().items():
            weight[mask[name] == 0] = 1e9
    out = model(two_tasks.test.ids, "ctr", mask)
    assert out.abs().max() < 100
    out.sum().backward()
    for name, weight in model.prunable().items():
        assert weight.grad is not None
        assert (weight.grad[mask[name] == 0] == 0).all()
        assert (weight.grad[mask[name] == 1] != 0).any()


def test_a_mask_of_ones_is_the_dense_network(two_tasks: TaskData) -> None:
    torch.manual_seed(0)
    model = LT4REC(two_tasks.fields, two_tasks.tables, 4, (8, 4))
    ones = {name: torch.ones_like(weight) for name, weight in model.prunable().items()}
    for task in TASKS:
        ids = two_tasks.test.ids
        assert torch.equal(model(ids, task, ones), model(ids, task))


@pytest.mark.parametrize("make", [LT4REC, MMoE, PLE])
def test_every_weight_of_a_model_serves_one_of_the_tasks(
    make: type[nn.Module], two_tasks: TaskData
) -> None:
    torch.manual_seed(0)
    model = make(two_tasks.fields, two_tasks.tables, 4, (8, 4))
    total = sum(model(two_tasks.train.ids, task).square().sum() for task in TASKS)
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_ples_own_experts_serve_no_other_task(two_tasks: TaskData) -> None:
    model = PLE(two_tasks.fields, two_tasks.tables, 4, (8, 4))
    model(two_tasks.train.ids, "ctr").sum().backward()
    assert all(parameter.grad is None for parameter in model.own["cvr"].parameters())


def test_mmoe_mixes_by_a_softmax() -> None:
    model = MMoE(FIELDS, ONE_TABLE, 2, (3, 2), experts=2)
    ids = torch.tensor([[1, 2, PADDING, PADDING]])
    gate = model.gates["ctr"]
    nn.init.zeros_(gate.weight)
    gate.bias.data = torch.log(torch.tensor([3.0, 1.0]))  # weights 0.75 and 0.25
    first, second = model.experts(model.input(ids))
    expected = model.heads["ctr"](0.75 * first + 0.25 * second).squeeze(1)
    torch.testing.assert_close(model(ids, "ctr"), expected)
