"""Feature interactions of the nine backbones, over field embeddings E of shape (B, F, K).

Sizes and initial values follow deepctr 0.9.0, which MLoRA's released code builds on.
"""

import torch
from torch import Tensor, nn

from mlorakit.kernels.attention import attention
from mlorakit.kernels.bilinear import bilinear_interactions
from mlorakit.kernels.cin import cin
from mlorakit.kernels.cross import cross
from mlorakit.kernels.pairs import pairs
from mlorakit.kernels.senet import senet_shares


class CrossNetwork(nn.Module):
    """DCN's cross layers in vector form: x_{l+1} = x_0 <x_l, w_l> + b_l + x_l (arXiv 1708.05123).

    Args:
        width: of x_0.
        n_layers: number of cross layers.
    """

    def __init__(self, width: int, n_layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_layers, width))
        self.bias = nn.Parameter(torch.zeros(n_layers, width))
        for layer in range(n_layers):  # Glorot for a (width, 1) kernel
            nn.init.xavier_normal_(self.weight[layer].unsqueeze(1))

    def forward(self, x0: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        return cross(x0, self.weight, self.bias)


class CompressedInteraction(nn.Module):
    """xDeepFM's CIN (arXiv 1803.05170, eq. 6): outer products of fields, compressed per layer.

    Args:
        n_fields: F.
        layers: feature maps per layer; half of each but the last feeds the next layer.

    Raises:
        ValueError: a layer that must be split has an odd number.
    """

    def __init__(self, n_fields: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        maps = n_fields
        if any(size % 2 for size in layers[:-1]):
            raise ValueError(f"CIN layers {layers} cannot be split in half: one of them is odd.")
        for size in layers:
            self.weights.append(nn.Parameter(torch.empty(size, maps * n_fields)))
            nn.init.xavier_uniform_(self.weights[-1])
            self.biases.append(nn.Parameter(torch.zeros(size)))
            maps = size // 2
        self.width = sum(size // 2 for size in layers[:-1]) + layers[-1]

    def forward(self, e: Tensor) -> Tensor:
        """(B, F, K) to (B, width)."""
        return cin(e, list(self.weights), list(self.biases))


class InteractingLayer(nn.Module):
    """AutoInt's multi-head self-attention over fields with a residual (arXiv 1810.11921, eq. 5-8).

    Scores are not scaled by the square root of the head's size, as in deepctr 0.9.0.

    Args:
        n_in: size of a field's input vector.
        size: size of one head.
        heads: number of heads.
    """

    def __init__(self, n_in: int, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # Query, key, value and residual maps side by side: one product instead of four.
        self.weight = nn.Parameter(torch.empty(n_in, 4 * size * heads))
        nn.init.trunc_normal_(self.weight, std=0.05, a=-0.1, b=0.1)

    def forward(self, e: Tensor) -> Tensor:
        """(B, F, n_in) to (B, F, size * heads)."""
        return attention(e, [self.weight], self.heads)


class InteractingLayers(nn.Sequential):
    """Interacting layers one after the other.

    Args:
        n_in: size of a field's input vector.
        size: size of one head.
        heads: number of heads.
        n_layers: number of layers.
    """

    def __init__(self, n_in: int, size: int, heads: int, n_layers: int) -> None:
        widths = [n_in, *[heads * size] * (n_layers - 1)]
        super().__init__(*(InteractingLayer(width, size, heads) for width in widths))
        self.heads = heads

    def forward(self, e: Tensor) -> Tensor:
        """(B, F, n_in) to (B, F, size * heads)."""
        return attention(e, list(self.parameters()), self.heads)


class SENet(nn.Module):
    """FiBiNET's squeeze and excitation: a weight per field and row (arXiv 1905.09433, eq. 2-5).

    Args:
        n_fields: F.
        reduction: the hidden width is max(1, F // reduction).
    """

    def __init__(self, n_fields: int, reduction: int) -> None:
        super().__init__()
        width = max(1, n_fields // reduction)
        self.squeeze = nn.Parameter(torch.empty(n_fields, width))
        self.excite = nn.Parameter(torch.empty(width, n_fields))
        nn.init.xavier_normal_(self.squeeze)
        nn.init.xavier_normal_(self.excite)

    def forward(self, e: Tensor) -> Tensor:
        """(B, F, K) to (B, F, K)."""
        return e * senet_shares(e, self.squeeze, self.excite).unsqueeze(2)


class BilinearInteraction(nn.Module):
    """FiBiNET's bilinear interaction, a matrix per pair of fields (arXiv 1905.09433, eq. 8).

    Args:
        n_fields: F.
        size: K.
    """

    def __init__(self, n_fields: int, size: int) -> None:
        super().__init__()
        first, _ = pairs(n_fields)
        self.weight = nn.Parameter(torch.empty(len(first), size, size))
        for pair in range(len(first)):
            nn.init.xavier_normal_(self.weight[pair])

    def forward(self, e: Tensor) -> Tensor:
        """(B, F, K) to (e_i W_ij) * e_j of shape (B, F (F - 1) / 2, K)."""
        return bilinear_interactions(e, self.weight)
