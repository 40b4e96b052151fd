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


def test_denormal_numbers_are_taken_for_zero() -> None:
    prepare("cpu", 1)
    assert (torch.tensor([1e-38]) * 0.01).item() == 0


def test_the_kernels_threads_take_denormal_numbers_for_zero_too() -> None:
    # Else a result would depend on which thread came to it. Threads start with the first kernel
    # and have the setting of their time, so this is of a process of its own.
    script = """
import torch
from mlorakit.kernels.adam import FEW, Adam
from mlorakit.runtime import prepare

prepare("cpu", threads=2)
p = torch.nn.Parameter(torch.zeros(2 * FEW))
p.grad = torch.zeros(2 * FEW)
optimizer = Adam([p], lr=1e-3)
optimizer.step()
moment = optimizer.state[p]["exp_avg"].fill_(1.2e-38)
optimizer.step()
assert not moment.view(torch.int32).any()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_numba_starting_its_threads_leaves_pytorch_one() -> None:
    # As in a notebook: PyTorch has looked for its number of threads before, and Numba's do not run.
    code = (
        "import mlorakit, torch; torch.get_num_threads();"
        "from mlorakit.runtime import prepare; prepare('cpu', 2); print(torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
