"""A ticket without the weights that its mask leaves out, for serving."""

import warnings

import torch
from torch import Tensor, nn

from mlorakit.models.lt4rec import LT4REC, Mask

_ROWS_AT_ONCE = 64
"""On a CPU: what the layers pass on then stays in its cache. 4,096 rows at a time take 4 times as
long if each layer takes all of them."""


class SparseLinear(nn.Module):
    """W x + b, where W keeps only its weights that are not masked, in compressed rows (CSR).

    A row of data is a column here: the product then runs along memory, several times faster on a
    CPU than across it.

    Args:
        weight: of shape (n_out, n_in).
        mask: of the same shape, 1 where a weight is kept.
        bias: of shape (n_out,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, mask: Tensor, bias: Tensor) -> None:
        super().__init__()
        # By the mask, not by value: a kept weight that happens to be 0 stays.
        row, column = mask.nonzero(as_tuple=True)
        ends = torch.bincount(row, minlength=weight.shape[0]).cumsum(0)
        starts = torch.cat((ends.new_zeros(1), ends))
        # MKL and cuSPARSE take 32-bit indices; they halve what is read per weight.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            made = torch.sparse_csr_tensor(
                starts.int(),
                column.int(),
                weight.detach()[row, column],
                tuple(weight.shape),
                check_invariants=True,
            )
        self.register_buffer("weight", made)
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(n_in, B) to (n_out, B)."""
        return torch.addmm(self.bias.unsqueeze(1), self.weight, x)


class CompactTicket(nn.Module):
    """One task's sub-network of LT4REC: the kept weights of the trunk, the embeddings, its head.

    Units of the trunk that nothing reads, or that read nothing, are folded away: a unit without a
    kept weight to the next layer is left out, one without a kept weight from the layer below is
    a constant, ReLU(b), and moves into the next layer's bias.

    Args:
        network: trained.
        mask: of the task.
        task: `ctr` or `cvr`.

    Attributes:
        kept: weights that the trunk still holds.
    """

    def __init__(self, network: LT4REC, mask: Mask, task: str) -> None:
        super().__init__()
        self.input = network.input
        self.head = network.heads[task]
        names = list(network.prunable())
        weights = [(network.get_parameter(n) * mask[n]).detach() for n in names]
        keeps = [mask[name].bool() for name in names]
        bias_names = [name.replace("weight", "bias") for name in names]
        biases = [network.get_parameter(name).detach().clone() for name in bias_names]
        for i in range(len(weights) - 1):
            constant = ~keeps[i].any(1)
            biases[i + 1] += weights[i + 1][:, constant] @ torch.relu(biases[i][constant])
            stays = ~constant & keeps[i + 1].any(0)
            weights[i], keeps[i], biases[i] = weights[i][stays], keeps[i][stays], biases[i][stays]
            weights[i + 1], keeps[i + 1] = weights[i + 1][:, stays], keeps[i + 1][:, stays]
        self.kept = sum(int(keep.sum()) for keep in keeps)
        self.trunk = nn.ModuleList(
            SparseLinear(weight, keep, bias)
            for weight, keep, bias in zip(weights, keeps, biases, strict=True)
        )

    def represent(self, x: Tensor) -> Tensor:
        """The trunk's inputs, (B, n_in), to its output, (B, n_out)."""
        size = _ROWS_AT_ONCE if x.device.type == "cpu" else max(len(x), 1)
        found = []
        for part in x.split(size):
            columns = part.t().contiguous()
            for layer in self.trunk:
                columns = torch.relu(layer(columns))
            found.append(columns.t())
        return torch.cat(found)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of shape (B, C) to the task's logits, (B,)."""
        return self.head(self.represent(self.input(ids))).squeeze(1)
