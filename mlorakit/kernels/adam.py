"""Adam with one pass over memory per tensor."""

from collections.abc import Callable
from typing import Any

import torch

from mlorakit.kernels import compiled
from mlorakit.kernels.compiled import array_of


class Adam(torch.optim.Adam):
    """`torch.optim.Adam` with `fused=True`, whose step on a CPU is one compiled loop per tensor.

    PyTorch's own spends more time around its kernel than in it at these sizes. The state is the
    same, so that a checkpoint of either serves both. Arguments are those of Adam's that are used
    here.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
    """

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr, fused=True)
        self._arrays: dict[torch.nn.Parameter, tuple[Any, ...]] = {}

    def load_state_dict(self, state_dict: Any) -> None:
        super().load_state_dict(state_dict)
        self._arrays.clear()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        if closure is not None or self._elsewhere():
            return super().step(closure)
        for group in self.param_groups:
            (beta1, beta2), rate, eps = group["betas"], group["lr"], group["eps"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                arrays = self._arrays.get(p)
                if arrays is None or arrays[0] != p.data_ptr():
                    arrays = self._arrays_of(p)
                grad = p.grad.contiguous().view(-1).numpy()
                adam = compiled.adam_in_parts if grad.size > 8 * compiled.PART else compiled.adam
                adam(grad, *arrays[1:], rate, group["weight_decay"], beta1, beta2, eps)
        return None

    step.hooked = True  # type: ignore[attr-defined]  # else torch wraps it in 60 us of profiling

    def _elsewhere(self) -> bool:
        return any(p.device.type != "cpu" for group in self.param_groups for p in group["params"])

    def _arrays_of(self, p: torch.nn.Parameter) -> tuple[Any, ...]:
        """The address of a parameter, and arrays on its memory and its state's, which is made if it
        is not there.
        """
        if not p.is_contiguous():
            raise ValueError(f"A parameter of shape {tuple(p.shape)} is not contiguous in memory.")
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
            state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
        tensors = (p, state["exp_avg"], state["exp_avg_sq"], state["step"])
        self._arrays[p] = (p.data_ptr(), *(array_of(x).reshape(-1) for x in tensors))
        return self._arrays[p]
