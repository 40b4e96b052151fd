"""Adam whose step is one pass over memory, in one call of compiled code for all tensors.

The call takes the addresses of the tensors, since an array made of each takes longer than the loop
over its values.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch

from mlorakit.kernels.compiled import values_at
from mlorakit.kernels.jit import inlined, parallel, serial

PART = 1 << 12
"""Values that a thread takes at a time."""

FEW = 1 << 16
"""Values up to which one thread takes all, since to wake another costs as much."""

_SMALLEST = np.finfo(np.float32).tiny
"""Numbers nearer to zero are denormal."""


class Adam(torch.optim.Adam):
    """`torch.optim.Adam` with `fused=True`, whose step is compiled for float32 on a CPU.

    PyTorch's own spends more time around its kernel than in it at these sizes. The state is the
    same, so that a checkpoint of either serves both. Arguments are those of Adam's that are used
    here.

    On a CPU values and moments that would be denormal become zero. The moments of a weight without
    gradients shrink to such numbers and stay there, and a CPU computes with them many times more
    slowly. It could be told to take them for zeros itself, but it is told for each thread, and
    Numba starts its threads when it likes: then results would depend on which thread took a part.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
    """

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr, fused=True)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self._make_table()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a copy, and of a loaded state, whose tensors are others."""
        super().__setstate__(state)
        self._make_table()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self._params:
            p.grad = None

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        if closure is not None or any(p.dtype is not torch.float32 for p in self._params):
            return super().step(closure)
        if not all(p.is_cpu for p in self._params):
            self._step_in_parts()
            return None
        addresses, kept = [], []
        for row, p in enumerate(self._params):
            grad = p.grad
            if grad is None:
                addresses.append(0)
                continue
            if p.data_ptr() != self._places[row]:
                self._fill_row(row, p)
            if not grad.is_contiguous():
                grad = grad.contiguous()
                kept.append(grad)  # else its memory is free before it is read
            addresses.append(grad.data_ptr())
        settings = [
            (group["lr"], group["weight_decay"], *group["betas"], group["eps"])
            for group in self.param_groups
        ]
        _step(np.array(addresses, np.int64), self._table, np.array(settings, np.float64))
        return None

    step.hooked = True  # type: ignore[attr-defined]  # else torch wraps it in 60 us of profiling

    def _step_in_parts(self) -> None:
        """PyTorch's kernel for a GPU, given the tensors in parts: it leaves 65,536 values of a
        tensor to one block of threads, so that a few blocks would do all the work.
        """
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if not trained:
                continue
            states = [self._state_of(p) for p in trained]
            torch._foreach_add_([state["step"] for state in states], 1)
            values, grads, first, second = (
                [part for x in tensors for part in x.detach().reshape(-1).split(PART)]
                for tensors in (
                    trained,
                    [p.grad for p in trained],
                    [state["exp_avg"] for state in states],
                    [state["exp_avg_sq"] for state in states],
                )
            )
            counts = [-(-p.numel() // PART) for p in trained]
            steps = [
                state["step"]
                for state, count in zip(states, counts, strict=True)
                for _ in range(count)
            ]
            beta1, beta2 = group["betas"]
            torch._fused_adam_(
                values, grads, first, second, [], steps,
                lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=group["weight_decay"],
                eps=group["eps"], amsgrad=False, maximize=False,
            )  # fmt: skip

    def _state_of(self, p: torch.nn.Parameter) -> dict[str, Any]:
        """A parameter's state; made if it is not there."""
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
            state["exp_avg"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
            state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
        return state

    def _make_table(self) -> None:
        """What `_step` takes of each parameter; the addresses are entered with the first gradient,
        since there is no state before.
        """
        of_group = [len(group["params"]) for group in self.param_groups]
        self._params = [p for group in self.param_groups for p in group["params"]]
        self._table = np.zeros((len(self._params), 6), np.int64)
        self._table[:, 5] = np.repeat(np.arange(len(of_group)), of_group)
        self._places: list[int | None] = [None] * len(self._params)
        self._states: dict[int, Any] = {}  # keeps the memory of the addresses

    def _fill_row(self, row: int, p: torch.nn.Parameter) -> None:
        """Enters where a parameter and its state lie; the state is made if it is not there."""
        if not p.is_contiguous():
            raise ValueError(f"A parameter of shape {tuple(p.shape)} is not contiguous in memory.")
        state = self._state_of(p)
        for name in ("exp_avg", "exp_avg_sq"):
            if state[name].shape != p.shape:
                raise ValueError(
                    f"{name} has shape {tuple(state[name].shape)}, its parameter {tuple(p.shape)}; "
                    "load a state of the same model."
                )
        for name in ("exp_avg", "exp_avg_sq", "step"):  # those loaded may lie in any order
            state[name] = state[name].float().contiguous()
        tensors = (p, state["exp_avg"], state["exp_avg_sq"], state["step"])
        self._table[row, :5] = (*(x.data_ptr() for x in tensors), p.numel())
        self._states[row], self._places[row] = tensors[1:], p.data_ptr()


@inlined
def _normal(x):  # type: ignore[no-untyped-def]
    """The number, or zero in place of a denormal one."""
    return np.float32(0) if abs(x) < _SMALLEST else x


@serial
def _adam(grad, p, m, v, size, root, decay, betas, rests, eps):  # type: ignore[no-untyped-def]
    for i in range(p.size):
        g = grad[i] + decay * p[i]
        m[i] = _normal(betas[0] * m[i] + rests[0] * g)
        v[i] = _normal(betas[1] * v[i] + rests[1] * g * g)
        p[i] = _normal(p[i] - size * m[i] / (np.sqrt(v[i]) * root + eps))


@serial
def _start(grads, table, settings):  # type: ignore[no-untyped-def]
    """Counts the step, of tensors that have gradients; arguments are those of `_step`.

    Returns:
        Where each tensor's values end in a line of all that have gradients, and the step's size
        and the root of the second moment's correction.
    """
    ends = np.empty(grads.size, np.int64)
    sizes, roots = np.empty(grads.size, np.float32), np.empty(grads.size, np.float32)
    end = 0
    for i in range(grads.size):
        if grads[i] != 0:
            step = values_at(table[i, 3], 0, 1)
            step[0] += 1
            rate, _, beta1, beta2, _ = settings[table[i, 5]]
            sizes[i] = rate / (1 - beta1 ** step[0])
            roots[i] = 1 / np.sqrt(1 - beta2 ** step[0])
            end += table[i, 4]
        ends[i] = end
    return ends, sizes, roots


@serial
def _step_part(first, last, grads, table, settings, ends, sizes, roots):  # type: ignore[no-untyped-def]
    """The values from first to last of the line of all."""
    real, begin = np.float32, 0
    for i in range(grads.size):
        start, stop = max(first, begin) - begin, min(last, ends[i]) - begin
        begin = ends[i]
        if start < stop:
            _, decay, beta1, beta2, eps = settings[table[i, 5]]
            # The differences from 1 are taken before rounding, else v is off by 1e-5 of itself.
            betas, rests = (real(beta1), real(beta2)), (real(1 - beta1), real(1 - beta2))
            _adam(
                values_at(grads[i], start, stop),
                values_at(table[i, 0], start, stop),
                values_at(table[i, 1], start, stop),
                values_at(table[i, 2], start, stop),
                sizes[i], roots[i], real(decay), betas, rests, real(eps),
            )  # fmt: skip


@parallel
def _step(grads, table, settings):  # type: ignore[no-untyped-def]
    """A step of Adam on tensors of float32.

    All their values are taken as one line, of which threads take parts, so that many small tensors
    are shared out as evenly as a large one.

    Args:
        grads: address of each tensor's gradient, 0 where it has none, (N,).
        table: of each tensor the addresses of its values, of their first and second moments and of
            its number of steps, the number of values, and that of its group, (N, 6).
        settings: of each group the rate, the weight decay, which is added to the gradient times the
            values, both betas and epsilon, of float64.
    """
    ends, sizes, roots = _start(grads, table, settings)
    total = ends[-1]
    if total <= FEW:
        _step_part(0, total, grads, table, settings, ends, sizes, roots)
        return
    for part in numba.prange((total + PART - 1) // PART):
        first, last = part * PART, min((part + 1) * PART, total)
        _step_part(first, last, grads, table, settings, ends, sizes, roots)
