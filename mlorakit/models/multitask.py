"""The multi-task models that sparse sharing is compared with, on the same input and heads."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from mlorakit.data.tasks import TASKS, TaskField
from mlorakit.layers.masked import MaskedLinear
from mlorakit.layers.mlp import shared_linear
from mlorakit.models.lt4rec import Mask, TaskInput


class Experts(nn.Module):
    """Several MLPs on one input, side by side.

    Args:
        n_in: width of the input.
        hidden: widths of an expert.
        count: number of experts.
    """

    def __init__(self, n_in: int, hidden: tuple[int, ...], count: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(_expert((n_in, *hidden)) for _ in range(count))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, n_in) to an expert's (B, hidden[-1]) each."""
        return [expert(x) for expert in self.experts]


def _expert(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [MaskedLinear(n_in, n_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def mix(gate: nn.Module, x: Tensor, experts: list[Tensor]) -> Tensor:
    """Experts' outputs weighted by a softmax of a linear map of x; (B, n_out)."""
    weight = torch.softmax(gate(x), 1)  # (B, E)
    return torch.einsum("be,beo->bo", weight, torch.stack(experts, 1))


class _Mixture(nn.Module):
    """What the two models share: the input, and a gate and a head per task."""

    def __init__(
        self,
        fields: tuple[TaskField, ...],
        tables: dict[str, int],
        embedding_size: int,
        average_padding: bool,
    ) -> None:
        super().__init__()
        self.input = TaskInput(fields, tables, embedding_size, average_padding)

    def add_gates(self, n_experts: int, width: int) -> None:
        """Make the gates over a task's experts, whose output has some width, and the heads."""
        self.gates = nn.ModuleDict(
            {task: shared_linear(self.input.width, n_experts) for task in TASKS}
        )
        self.heads = nn.ModuleDict({task: shared_linear(width, 1) for task in TASKS})

    def experts_of(self, x: Tensor, task: str) -> list[Tensor]:
        """The outputs that a task mixes."""
        raise NotImplementedError

    def forward(self, ids: Tensor, task: str, mask: Mask | None = None) -> Tensor:
        """Logits of one task, (B,), of ids of shape (B, C); no mask applies."""
        x = self.input(ids)
        return self.heads[task](mix(self.gates[task], x, self.experts_of(x, task))).squeeze(1)


class MMoE(_Mixture):
    """Multi-gate mixture of experts (KDD 2018, doi 10.1145/3219819.3220007, eq. 6-7).

    Args:
        fields, tables, embedding_size, average_padding: see `mlorakit.models.lt4rec.LT4REC`.
        hidden: widths of an expert.
        experts: how many.
    """

    def __init__(
        self,
        fields: tuple[TaskField, ...],
        tables: dict[str, int],
        embedding_size: int = 16,
        hidden: tuple[int, ...] = (256, 128),
        average_padding: bool = False,
        experts: int = 4,
    ) -> None:
        super().__init__(fields, tables, embedding_size, average_padding)
        self.experts = Experts(self.input.width, hidden, experts)
        self.add_gates(experts, hidden[-1])

    def experts_of(self, x: Tensor, task: str) -> list[Tensor]:
        return self.experts(x)


class PLE(_Mixture):
    """Progressive layered extraction (RecSys 2020, doi 10.1145/3383313.3412236) with one level: a
    task mixes its own experts with the shared ones.

    Args:
        fields, tables, embedding_size, average_padding: see `mlorakit.models.lt4rec.LT4REC`.
        hidden: widths of an expert.
        shared: number of shared experts.
        own: number of experts of each task.
    """

    def __init__(
        self,
        fields: tuple[TaskField, ...],
        tables: dict[str, int],
        embedding_size: int = 16,
        hidden: tuple[int, ...] = (256, 128),
        average_padding: bool = False,
        shared: int = 2,
        own: int = 1,
    ) -> None:
        super().__init__(fields, tables, embedding_size, average_padding)
        width = self.input.width
        self.shared = Experts(width, hidden, shared)
        self.own = nn.ModuleDict({task: Experts(width, hidden, own) for task in TASKS})
        self.add_gates(shared + own, hidden[-1])

    def experts_of(self, x: Tensor, task: str) -> list[Tensor]:
        return [*self.shared(x), *self.own[task](x)]
