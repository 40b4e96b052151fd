"""Tickets: what pruning keeps, what a round starts from, and resuming a search."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlorakit import tickets
from mlorakit.data.tasks import TaskData
from mlorakit.models.lt4rec import LT4REC
from mlorakit.task_training import TaskEpoch, TaskFitSettings
from mlorakit.tickets import OnEpoch, Round, find_tickets, full_mask, kept, prune

SETTINGS = TaskFitSettings(seed=1, epochs=2, batch_size=100, learning_rate=1e-2)


@pytest.fixture
def make_network(two_tasks: TaskData) -> Callable[[], LT4REC]:
    def make() -> LT4REC:
        torch.manual_seed(5)
        return LT4REC(two_tasks.fields, two_tasks.tables, 4, (16, 8))

    return make


def same(a: Round, b: Round) -> bool:
    return (
        a.number == b.number
        and a.losses == b.losses
        and all(torch.equal(a.mask[name], b.mask[name]) for name in a.mask)
        and a.test.logits.keys() == b.test.logits.keys()
        and all(torch.equal(a.test.logits[task], b.test.logits[task]) for task in a.test.logits)
        and all(torch.equal(a.test.rows[task], b.test.rows[task]) for task in a.test.rows)
        and (a.validation_loss, a.test.losses) == (b.validation_loss, b.test.losses)
    )


def test_pruning_by_hand(two_tasks: TaskData) -> None:
    model = LT4REC(two_tasks.fields, two_tasks.tables, 4, (2, 1))
    first, second = model.prunable().values()
    torch.nn.init.zeros_(first)
    with torch.no_grad():
        first[0, :3] = torch.tensor([-5.0, 1.0, 3.0])
        second.copy_(torch.tensor([[-4.0, 2.0]]))
    mask = prune(model, full_mask(model), 3)
    assert mask["trunk.0.weight"].nonzero().tolist() == [[0, 0], [0, 2]]
    assert mask["trunk.1.weight"].tolist() == [[1, 0]]
    mask["trunk.0.weight"][0, 0] = 0  # pruned earlier: never back, however large
    assert prune(model, mask, 2)["trunk.0.weight"].nonzero().tolist() == [[0, 2]]


def test_rounds_thin_out_a_mask_within_the_one_before(
    make_network: Callable[[], LT4REC], two_tasks: TaskData
) -> None:
    found = find_tickets(make_network, two_tasks, "ctr", SETTINGS, n_rounds=3, final_rate=0.125)
    total = sum(weight.numel() for weight in make_network().prunable().values())
    assert [r.number for r in found] == [0, 1, 2, 3]
    assert [r.kept for r in found] == [total, total / 2, total / 4, total / 8]
    for earlier, later in itertools.pairwise(found):
        assert earlier.next_mask is not None
        for name in later.mask:
            assert torch.equal(later.mask[name], earlier.next_mask[name])
            assert (later.mask[name] <= earlier.mask[name]).all()
    assert found[-1].next_mask is None


def test_every_round_starts_from_the_same_network_and_batches(
    make_network: Callable[[], LT4REC], two_tasks: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, fit = [], tickets.fit_tasks

    def spy(network: LT4REC, *arguments: object, **options: object) -> object:
        starts.append({name: value.clone() for name, value in network.state_dict().items()})
        return fit(network, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tickets, "fit_tasks", spy)
    # Nothing is pruned, so the rounds must be the same run.
    found = find_tickets(make_network, two_tasks, "cvr", SETTINGS, n_rounds=2, final_rate=1.0)
    assert len(starts) == 3
    for start in starts[1:]:
        for name, value in start.items():
            assert torch.equal(value, starts[0][name])
    assert found[0].losses == found[1].losses == found[2].losses


def test_a_search_finds_the_same_twice_and_differs_by_task(
    make_network: Callable[[], LT4REC], two_tasks: TaskData
) -> None:
    options = {"n_rounds": 1, "final_rate": 0.5}
    ctr, again, cvr = (
        find_tickets(make_network, two_tasks, task, SETTINGS, **options)  # type: ignore[arg-type]
        for task in ("ctr", "ctr", "cvr")
    )
    assert all(same(a, b) for a, b in zip(ctr, again, strict=True))
    assert any(not torch.equal(ctr[1].mask[n], cvr[1].mask[n]) for n in ctr[1].mask)


@pytest.mark.parametrize("at", [(0, 1), (1, 2), (2, 1)])
def test_a_killed_search_continues_to_the_same_bits(
    at: tuple[int, int],
    make_network: Callable[[], LT4REC],
    two_tasks: TaskData,
    tmp_path: Path,
) -> None:
    class KilledError(Exception):
        pass

    def kill(number: int, epoch: TaskEpoch) -> None:
        if (number, epoch.number) == at:
            raise KilledError

    def search(on_epoch: OnEpoch, folder: Path | None) -> list[Round]:
        return find_tickets(
            make_network,
            two_tasks,
            "ctr",
            SETTINGS,
            n_rounds=2,
            final_rate=0.25,
            folder=folder,
            on_epoch=on_epoch,
        )

    expected = search(lambda *event: None, None)
    with pytest.raises(KilledError):
        search(kill, tmp_path)
    events = []
    found = search(lambda number, epoch: events.append((number, epoch.number)), tmp_path)
    assert events[0] == ((at[0], 2) if at[1] == 1 else (at[0] + 1, 1))
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    # A finished round's training state is gone; the rounds stay for the caller to remove.
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"round-{number}.safetensors" for number in range(3)
    ]


@pytest.mark.parametrize(("task", "scored"), [("ctr", "ctr_auc"), ("cvr", "cvr_mse")])
def test_a_search_scores_its_own_task_only_and_builds_a_network_per_round(
    task: str,
    scored: str,
    make_network: Callable[[], LT4REC],
    two_tasks: TaskData,
) -> None:
    made = []

    def make() -> LT4REC:
        made.append(make_network())
        return made[-1]

    for result in find_tickets(make, two_tasks, task, SETTINGS, n_rounds=1):
        assert list(result.test.logits) == [task]
        metrics = {name: getattr(result.test, name) for name in ("ctr_auc", "cvr_mse", "cvr_auc")}
        assert [name for name, value in metrics.items() if value == value] == [scored]
    assert len(made) == 2


def test_kept_counts_ones() -> None:
    assert kept({"a": torch.tensor([1.0, 0, 1]), "b": torch.ones(2, 2)}) == 6
