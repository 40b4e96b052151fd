"""The device and the threads of a fit."""

import subprocess
import sys

import numba
import pytest
import torch

from mlorakit.runtime import prepare


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_without_cuda_the_cpu_computes(device: str) -> None:
    assert prepare(device, threads=1) == torch.device("cpu")


@pytest.mark.parametrize("threads", [1, 2, 10_000])
def test_the_kernels_get_the_threads_asked_for_and_torch_one(threads: int) -> None:
    torch.set_num_threads(2)
    prepare("cpu", threads)
    assert numba.get_num_threads() == min(threads, numba.config.NUMBA_NUM_THREADS)
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("no_cuda")
def test_cuda_that_is_not_there_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="'cuda', but torch finds no CUDA device; use 'auto'"):
        prepare("cuda", threads=1)


def test_results_do_not_depend_on_when_the_threads_were_started() -> None:
    # A thread has the processor's mode, as to denormal numbers, of the thread that started it. So
    # a mode set for a fit would be that of some threads, and of the others not.
    script = """
import sys
import torch
from mlorakit.kernels.adam import FEW, Adam
from mlorakit.runtime import prepare

def steps(scale, n):
    draws = torch.Generator().manual_seed(1)
    p = torch.nn.Parameter(scale * torch.randn(2 * FEW, generator=draws))
    optimizer = Adam([{"params": [p], "weight_decay": 0.5}], lr=1e-3)
    for _ in range(n):
        p.grad = scale * torch.randn(2 * FEW, generator=draws)
        optimizer.step()
    return (p.detach(), *optimizer.state[p].values())

if sys.argv[1] == "before":
    steps(1.0, 1)
prepare("cpu", int(sys.argv[2]))
found = steps(1e-30, 5) + steps(1e-37, 5) + steps(1e-19, 5)
print([hash(tuple(x.view(-1).view(torch.int32).tolist())) for x in found])
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", script, *args], capture_output=True, text=True, check=True
        ).stdout
        for args in (("before", "2"), ("after", "2"), ("after", "1"))
    }
    assert len(found) == 1


def test_numba_starting_its_threads_leaves_pytorch_one() -> None:
    # As in a notebook: PyTorch has looked for its number of threads before, and Numba's do not run.
    code = (
        "import mlorakit, torch; torch.get_num_threads();"
        "from mlorakit.runtime import prepare; prepare('cpu', 2); print(torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
