"""Steps that are replayed train as steps taken one by one do, to the bit.

CUDA graphs are what records them. Where there is no GPU, the same steps run from the same memory
with a stand-in that calls them again, which says nothing of what a GPU records.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlorakit import steps
from mlorakit.baseline_cells import run_seed as run_baseline_seed
from mlorakit.baseline_config import BaselineConfig
from mlorakit.cells import make_model, run_seeds
from mlorakit.data.batches import epoch_order
from mlorakit.data.dataset import MultiDomainData
from mlorakit.models import BACKBONES, VARIANTS, Backbone
from mlorakit.models.baselines import BASELINES
from mlorakit.runtime import prepare
from mlorakit.steps import PlainSteps, ReplayedSteps, make_steps
from mlorakit.train_config import TrainConfig
from mlorakit.training import FitSettings, fit, make_optimizer

EPOCHS = 3

ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_GPU)])


class Recorder:
    """Keeps work and does it each time it is asked to."""

    def __init__(self) -> None:
        self.recorded, self.replayed = 0, 0

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            work()

        return replay


def model_of(data: MultiDomainData, device: torch.device, **options: object) -> Backbone:
    config = TrainConfig.of(**{"hidden": "16,8", "alpha": "4", "dropout": 0.2, **options})
    return make_model(config, data, seed=1).to(device).train()


def trained(
    data: MultiDomainData,
    device: torch.device,
    make: Callable[..., PlainSteps | ReplayedSteps],
    size: int,
    order: str = "mixed",
    **options: object,
) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of the epochs, and the weights after them."""
    split = data.train.to(device)
    model = model_of(data, device, **options)
    runs = make(model, make_optimizer(model, 0.01, 1e-3), split)
    losses = []
    for epoch in range(EPOCHS):
        batches = epoch_order(split, size, order, torch.Generator().manual_seed(epoch))
        losses.append(float(runs.epoch(batches, seed=epoch)))
    return losses, model.state_dict()


def assert_the_same(
    data: MultiDomainData, device: str, size: int, order: str = "mixed", **options: object
) -> Recorder:
    where, recorder = prepare(device, threads=1), Recorder()

    def replayed(*arguments: object) -> ReplayedSteps:
        return ReplayedSteps(*arguments, record=recorder if device == "cpu" else None)  # type: ignore[arg-type]

    losses, weights = trained(data, where, PlainSteps, size, order, **options)
    again, replayed_weights = trained(data, where, replayed, size, order, **options)
    assert again == losses
    assert losses[-1] < losses[0]
    assert all(torch.equal(weights[name], w) for name, w in replayed_weights.items())
    return recorder


@DEVICES
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_replayed_steps_are_the_plain_ones(
    tiny_data: MultiDomainData, device: str, backbone: str, variant: str
) -> None:
    assert_the_same(tiny_data, device, 64, backbone=backbone, variant=variant)


@DEVICES
@pytest.mark.parametrize("order", ["mixed", "alternate"])
@pytest.mark.parametrize("size", [16, 50, 10_000])
def test_whatever_the_sizes_of_batches(
    tiny_data: MultiDomainData, device: str, order: str, size: int
) -> None:
    assert_the_same(tiny_data, device, size, order, variant="mlora")


@DEVICES
@pytest.mark.parametrize("options", [{"norm": "bn"}, {"norm": "pn"}, {"protocol": "released"}])
def test_with_the_options_that_have_layers_of_their_own(
    tiny_data: MultiDomainData, device: str, options: dict[str, object]
) -> None:
    assert_the_same(tiny_data, device, 64, variant="mlora", **options)


def test_most_steps_are_replayed_several_at_a_time(tiny_data: MultiDomainData) -> None:
    size = 16
    whole, rest = divmod(len(tiny_data.train), size)
    assert whole > 2 * steps._STEPS
    recorder = assert_the_same(tiny_data, "cpu", size)
    first = whole - steps._WARM_UP  # steps of the first epoch that are not taken before
    replays = sum(sum(divmod(n, steps._STEPS)) for n in (first, whole, whole))
    if rest:  # a step of another size in each epoch
        replays += EPOCHS - steps._WARM_UP
    assert recorder.replayed == replays
    assert recorder.recorded == 2 + bool(rest)


@ON_GPU
@pytest.mark.parametrize("baseline", BASELINES)
def test_every_baseline_trains_on_a_gpu(
    tiny_data: MultiDomainData, project: Path, baseline: str
) -> None:
    config = BaselineConfig.of(
        baseline=baseline, sizes="amazon", device="cuda", max_epochs=2, batch_size=64
    )
    first, second = run_seeds(config, tiny_data, run_baseline_seed)[0].history
    assert second.train_loss < first.train_loss


def test_a_cpu_takes_them_one_by_one(tiny_data: MultiDomainData) -> None:
    model = model_of(tiny_data, torch.device("cpu"))
    made = make_steps(model, make_optimizer(model, 0.01, 0.0), tiny_data.train)
    assert type(made) is PlainSteps


@ON_GPU
@pytest.mark.parametrize("variant", ["base", "mlora"])
def test_a_fit_on_a_gpu_goes_on_from_its_checkpoint_to_the_same_bits(
    tiny_data: MultiDomainData, tmp_path: Path, variant: str
) -> None:
    device = prepare("cuda", threads=1)
    data = tiny_data.to(device)
    settings = FitSettings(seed=1, batch_size=32, patience=9, max_epochs=4)
    whole = model_of(tiny_data, device, variant=variant)
    history = fit(whole, data, settings)
    path = tmp_path / "state.safetensors"
    fit(
        model_of(tiny_data, device, variant=variant),
        data,
        replace(settings, max_epochs=2),
        checkpoint=path,
    )
    resumed = model_of(tiny_data, device, variant=variant)
    assert fit(resumed, data, settings, checkpoint=path) == history
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


@ON_GPU
def test_seeds_side_by_side_on_a_gpu_are_those_alone(
    tiny_data: MultiDomainData, project: Path
) -> None:
    def histories(*seeds: int) -> list[object]:
        config = TrainConfig.of(
            variant="mlora", device="cuda", seeds=seeds, batch_size=32, max_epochs=3
        )
        return [(r.seed, r.history, r.test.auc) for r in run_seeds(config, tiny_data)]

    assert histories(1, 2, 3, 4, 5) == [one for seed in range(1, 6) for one in histories(seed)]
