"""A linear layer of which a mask leaves some weights out."""

from torch import Tensor, nn

from mlorakit.kernels.linear import linear
from mlorakit.layers.mlp import shared_linear


class MaskedLinear(nn.Module):
    """x (W * M)^T + b, the trunk layer of LT4REC (arXiv 2008.09872).

    The mask enters the product itself, so a weight outside it has no effect and no gradient,
    whatever an optimizer does to it.

    Args:
        n_in, n_out: widths; W starts Glorot-normal and b at zero.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        made = shared_linear(n_in, n_out)
        self.weight, self.bias = made.weight, made.bias

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, n_in) to (B, n_out).

        Args:
            x: inputs.
            mask: of the weight's shape, 1 where a weight takes part and 0 elsewhere; None for all.
        """
        weight = self.weight if mask is None else self.weight * mask
        return linear(x, weight, self.bias)
