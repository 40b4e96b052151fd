"""The file that an unfinished run goes on from."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mlorakit import tensor_files
from mlorakit.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mlorakit.training import EpochRecord


def trained(steps: int, seed: int = 0) -> tuple[nn.Module, torch.optim.Adam]:
    """A model after some steps of Adam."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(
        [{"params": model[0].parameters(), "weight_decay": 0.1}, {"params": model[1].parameters()}],
        lr=0.01,
        fused=True,
    )
    for step in range(steps):
        optimizer.zero_grad()
        model(torch.full((2, 3), step + 1.0)).sum().backward()
        optimizer.step()
    return model, optimizer


def state_of(model: nn.Module) -> Checkpoint:
    weights = {name: value + 1 for name, value in model.state_dict().items()}
    history = [EpochRecord(1, 0.7, 0.1 + 0.2, 0.6), EpochRecord(2, 0.6, 1 / 3, 0.5)]
    return Checkpoint(history, best_score=1 / 3, best_epoch=2, best_weights=weights)


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_was_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    model, optimizer = trained(steps=3)
    saved = state_of(model)
    save_checkpoint(tmp_path / "new" / "run.safetensors", saved, model, optimizer)
    other, its_optimizer = trained(steps=0, seed=1)
    state = load_checkpoint(tmp_path / "new" / "run.safetensors", other, its_optimizer)
    assert state.history == saved.history
    assert (state.best_score, state.best_epoch) == (1 / 3, 2)
    assert_equal(state.best_weights, saved.best_weights)
    assert_equal(dict(other.state_dict()), dict(model.state_dict()))


def test_the_optimizer_goes_on_where_it_was(tmp_path: Path) -> None:
    model, optimizer = trained(steps=3)
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, state_of(model), model, optimizer)
    other, its_optimizer = trained(steps=0, seed=1)
    load_checkpoint(path, other, its_optimizer)
    for m, o in ((model, optimizer), (other, its_optimizer)):
        o.zero_grad()
        m(torch.ones(2, 3)).sum().backward()
        o.step()
    assert_equal(dict(other.state_dict()), dict(model.state_dict()))


def test_a_run_without_a_best_epoch_is_kept_too(tmp_path: Path) -> None:
    model, optimizer = trained(steps=1)
    state = Checkpoint(history=[], best_score=float("-inf"), best_epoch=0, best_weights={})
    save_checkpoint(tmp_path / "run.safetensors", state, model, optimizer)
    found = load_checkpoint(tmp_path / "run.safetensors", *trained(steps=0))
    assert found == state


def test_a_write_that_breaks_off_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.safetensors"
    model, optimizer = trained(steps=1)
    save_checkpoint(path, state_of(model), model, optimizer)
    before = path.read_bytes()

    def breaks_off(tensors: dict, target: Path, metadata: dict) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("disk is full")

    monkeypatch.setattr(tensor_files, "save_file", breaks_off)
    with pytest.raises(OSError, match="disk is full"):
        save_checkpoint(path, state_of(model), *trained(steps=2))
    assert path.read_bytes() == before


def test_a_finished_write_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    model, optimizer = trained(steps=1)
    save_checkpoint(tmp_path / "run.safetensors", state_of(model), model, optimizer)
    assert [path.name for path in tmp_path.iterdir()] == ["run.safetensors"]
