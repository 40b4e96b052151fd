"""The steps of an epoch of training: one after the other, or on a GPU recorded and replayed.

A step of these models is some hundred kernels of a few microseconds, and PyTorch takes longer to
launch each of them than the GPU to compute it. A CUDA graph records the kernels of several steps
once and launches them all at a time. What it runs are the kernels of the steps themselves, on the
same memory at each replay, so the batches of an epoch are laid out in that memory beforehand, and
the steps count themselves through them.
"""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from mlorakit.data.batches import EpochOrder
from mlorakit.data.dataset import Rows
from mlorakit.gradients import loss_and_gradients
from mlorakit.kernels.adam import Adam
from mlorakit.kernels.dropout import drawn_from
from mlorakit.kernels.groups import DomainGroups
from mlorakit.models.backbone import Backbone
from mlorakit.runtime import on_stream

_STEPS = 8
"""Of a long graph: enough to keep the GPU busy while the next one is launched."""

_WARM_UP = 2
"""Steps of a size that are taken before its graph is recorded, so that memory, the optimizer's
state and the libraries' choices are there."""

_RECORDING = threading.Lock()
"""One thread at a time records; a graph must not take up another's kernels."""


class Steps(Protocol):
    """Trains a model, epoch after epoch."""

    def epoch(self, order: EpochOrder, seed: int) -> float | Tensor:
        """Train on all batches of an epoch.

        Args:
            order: the epoch's.
            seed: of its dropout.

        Returns:
            The sum of the rows' losses, a number or a scalar on the device.
        """


def make_steps(model: Backbone, optimizer: Adam, split: Rows) -> Steps:
    """What trains a model on the rows of a split.

    Args:
        model: on the device of the rows.
        optimizer: of its parameters, which stay the same objects, as frozen as now.
        split: training rows.
    """
    replays = not split.ids.is_cpu and model.recordable
    return (ReplayedSteps if replays else PlainSteps)(model, optimizer, split)


class PlainSteps:
    """`Steps` one after the other; arguments are those of `make_steps`."""

    def __init__(self, model: Backbone, optimizer: Adam, split: Rows) -> None:
        self._model, self._optimizer, self._split = model, optimizer, split
        self._generator = torch.Generator(split.ids.device)

    def epoch(self, order: EpochOrder, seed: int) -> float | Tensor:
        self._generator.manual_seed(seed)
        gradients = loss_and_gradients(self._model)
        total: Tensor | float = 0.0
        with drawn_from(self._generator):
            for batch in order.batches(self._split):
                self._optimizer.zero_grad()
                loss = gradients(batch)
                self._optimizer.step()
                total += _of_rows(loss, len(batch))
        return total


def _of_rows(loss: Tensor | float, count: int) -> Tensor | float:
    """The sum of as many rows' losses, of which `loss` is the mean."""
    return (loss.double() if isinstance(loss, Tensor) else loss) * count


Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes work, which it does not do, and returns what does it from now on."""


class _Graphs:
    """A `Recorder` of kernels in CUDA graphs.

    The graphs share their memory, since they are launched one after the other, and nothing in it
    outlasts one.

    Args:
        generator: that the work draws from.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generator, self._pool = generator, torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with _RECORDING:
            # Other threads may use the GPU meanwhile.
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                work()
            finally:
                graph.capture_end()
        return graph.replay


class ReplayedSteps:
    """`Steps` that read and write nothing but memory laid out before, recorded and replayed.

    The results are those of `PlainSteps`, whatever was recorded when. Arguments are those of
    `make_steps`; an epoch has as many rows and batches as the one before.

    Args:
        record: other than in CUDA graphs, for tests.
    """

    def __init__(
        self, model: Backbone, optimizer: Adam, split: Rows, record: Recorder | None = None
    ) -> None:
        self._optimizer = optimizer
        self._gradients = loss_and_gradients(model)
        device = split.ids.device
        self._generator = torch.Generator(device)
        # Nothing is recorded in the default stream.
        self._stream = None if device.type == "cpu" else torch.cuda.Stream(device)
        self._record = record or _Graphs(self._generator)
        self._replays: dict[tuple[int, int], Callable[[], None]] = {}  # by size and count
        self._taken: Counter[int] = Counter()  # by size
        # A batch's rows are gathered at once: ids, the label's bits, and the domain.
        bits, domain = split.label.view(torch.int32), split.groups.domain.to(torch.int32)
        self._all = torch.cat((split.ids, bits.unsqueeze(1), domain.unsqueeze(1)), 1)
        self._rows = torch.empty_like(self._all)
        self._ends = split.groups.ends.new_empty(0, split.groups.n_domains)
        # Where the next step finds its batch, and the sum of the losses so far.
        self._number = torch.zeros(1, dtype=torch.int64, device=device)
        self._start = torch.zeros(1, dtype=torch.int64, device=device)
        self._total = torch.zeros((), dtype=torch.float64, device=device)

    def epoch(self, order: EpochOrder, seed: int) -> float | Tensor:
        self._generator.manual_seed(seed)
        with on_stream(self._stream), drawn_from(self._generator):
            self._lay_out(order)
            for size, same in groupby(order.sizes):
                self._take(size, len(list(same)))
        return self._total

    def _lay_out(self, order: EpochOrder) -> None:
        """Put the epoch's batches where the steps read them."""
        if not len(self._ends):
            self._ends = torch.empty_like(order.ends, device=self._ends.device)
        torch.index_select(self._all, 0, order.rows.to(self._all.device), out=self._rows)
        self._ends.copy_(order.ends)
        for counter in (self._number, self._start, self._total):
            counter.zero_()

    def _take(self, size: int, count: int) -> None:
        """The next steps, all of one size."""
        while count > 0:
            if self._taken[size] < _WARM_UP:
                self._next(size)
                self._taken[size] += 1
                count -= 1
                continue
            steps = _STEPS if count >= _STEPS else 1
            if (size, steps) not in self._replays:
                self._replays[size, steps] = self._record(partial(self._next, size, steps))
            self._replays[size, steps]()
            count -= steps

    def _next(self, size: int, steps: int = 1) -> None:
        """Steps on the next batches."""
        for _ in range(steps):
            rows = self._start + torch.arange(size, device=self._start.device)
            found = self._rows.index_select(0, rows)
            ids, label = found[:, :-2].contiguous(), found[:, -2].contiguous().view(torch.float32)
            ends = self._ends.index_select(0, self._number)[0]
            groups = DomainGroups(found[:, -1].to(torch.int64), ends)
            self._optimizer.zero_grad()
            loss = self._gradients(Rows(ids, label, groups))
            self._total += _of_rows(loss, size)
            self._optimizer.step()
            self._start += size
            self._number += 1
