"""The parts of the benchmarks that need neither a peer nor a clock."""

import json
from dataclasses import replace
from pathlib import Path

import numba
import pytest
import torch

from benchmarks import parity, peer, peer_training, results
from benchmarks.data import movielens_or_random, random_data, sample
from benchmarks.pages import parity_page
from benchmarks.peers import PEERS, PeerMissingError
from benchmarks.speed_pages import epoch_table, speed_page, speed_table
from benchmarks.tables import parity_table, ratios, verdict
from benchmarks.timing import epoch_costs, side_by_side, torch_threads
from mlorakit.config import TrainConfig
from mlorakit.models import VARIANTS
from mlorakit.runtime import prepare

CONFIG = TrainConfig.of(backbone="deepfm", variant="base")
KEY = peer_training.key_of(CONFIG, "abc", seed=1, version="0.3.0")


def test_a_wauc_up_to_the_tolerance_below_passes() -> None:
    assert verdict(0.8045, 0.8074) == "within 0.003 or better"
    assert verdict(0.9, 0.8) == "within 0.003 or better"
    assert verdict(0.8043, 0.8074) == "worse by more than 0.003"
    assert verdict(None, 0.8) == verdict(0.8, None) == "not run"


def test_parity_table_compares_the_mean_of_our_seeds() -> None:
    peers = {"deepfm": {"test_wauc": 0.8075}, "wdl": {"test_wauc": 0.8}}
    table = parity_table(peers, {"deepfm": [0.8070, 0.8090]})
    assert table.splitlines()[2:] == [
        "| WDL | 0.8000 |  | 0 |  | not run |",
        "| DeepFM | 0.8075 | 0.8080 | 2 | +0.0005 | within 0.003 or better |",
    ]


def test_speed_table_divides_by_the_fastest_peer_in_neighbouring_rounds() -> None:
    # FuxiCTR's median, 60, is the largest; neighbours differ from it by 4, 2 and 5.
    assert ratios([200, 120, 300], [50, 60, 60]) == [4, 2, 5]
    ours, fast, slow = [200.0, 120.0, 300.0], [50.0, 60.0, 60.0], [40.0, 40.0, 90.0]
    both = {"mlorakit": ours, "deepctr_torch_alone": slow, "fuxictr_alone": fast}
    rows = speed_table({"mlp": {"mlorakit": ours, "fuxictr_alone": fast}, "deepfm": both})
    assert rows.splitlines()[2:] == [
        "| MLP | 200 |  | 60 | 4.00 (2.00 to 5.00) | FuxiCTR | 3 |",
        "| DeepFM | 200 | 40 | 60 | 4.00 (2.00 to 5.00) | FuxiCTR | 3 |",
    ]


def test_epoch_table_divides_mlora_by_base_and_control() -> None:
    times = {"base": [1.0, 1.0], "control": [1.25, 1.25], "mlora": [1.5, 2.5]}
    row = epoch_table({"mlp": times}).splitlines()[2]
    assert row == "| MLP | 1.00 | 1.25 | 2.00 | 2.00 | 1.60 | 1.50 to 2.50 |"


@pytest.mark.parametrize(
    "change", [{"data": "other"}, {"seed": 2}, {"settings": {}}, {"deepctr_torch": "0.4.0"}]
)
def test_a_stored_result_counts_only_for_what_made_it(change: dict) -> None:
    stored = json.loads(json.dumps(KEY | {"test_wauc": 0.8}))
    assert peer_training.is_done(stored, KEY)
    assert not peer_training.is_done(stored | change, KEY)
    assert not peer_training.is_done({}, KEY)


def test_parity_trains_what_is_missing_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train(config: TrainConfig, data: object, seed: int) -> dict:
        trained.append(config.backbone)
        if len(trained) == 2:
            raise KeyboardInterrupt  # stopped while it trains the second backbone
        return {"test_wauc": 0.8}

    monkeypatch.setattr(parity, "train_peer", train)
    monkeypatch.setattr(parity, "load_dataset", lambda folder: random_data(2, 50, 20))
    monkeypatch.setattr(peer, "version", lambda: "0.3.0")
    command = ["--backbones", "wdl", "pnn", "--reports", str(tmp_path)]
    path = tmp_path / "parity.json"
    with pytest.raises(KeyboardInterrupt):
        parity.train_missing(parity.parse(command), path)
    parity.train_missing(parity.parse(command), path)
    assert trained == ["wdl", "pnn", "pnn"]
    parity.train_missing(parity.parse([*command, "--seed", "2"]), path)
    parity.train_missing(parity.parse([*command, "--seed", "2", "--again"]), path)
    assert trained[3:] == ["wdl", "pnn"] * 2


def test_parity_page_reads_our_side_from_the_pipeline(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    cell = {"seeds": {"1": {"wauc": 0.81}, "2": {"wauc": 0.83}}}
    results.write_json(metrics / "deepfm-base-mixed.json", cell)
    peers = {"deepfm": KEY | {"test_wauc": 0.8}}
    results.write_json(tmp_path / "parity.json", {"peer": peers})
    parity.write_page(tmp_path, metrics)
    page = (tmp_path / "parity.md").read_text()
    assert "| DeepFM | 0.8000 | 0.8200 | 2 | +0.0200 | within 0.003 or better |" in page
    assert "DeepCTR-Torch 0.3.0, seed 1, embedding_size 8" in page
    stored = results.read_json(tmp_path / "parity.json")
    assert stored["peer"] == peers
    assert stored["ours"] == {"deepfm": [0.81, 0.83]}
    assert parity_page(stored) == page


def test_speed_page_says_when_ids_were_random() -> None:
    found = {
        "environment": {"cpu": "a processor", "threads": 2, "gpu": None},
        "note": "A note.",
        "device": "cpu",
        "peers": {},
        "steps": 200,
        "share": 0.5,
        "data": {"movielens": "random ids"},
        "training": {},
        "epochs": {"movielens": {"mlp": {variant: [1.0] for variant in VARIANTS}}},
    }
    page = speed_page(found)
    assert "### movielens (random ids)" in page
    assert "on 50% of the rows" in page
    assert "gpu" not in page
    assert "A note." in page
    assert "MLoRA's layers" not in speed_page(found | {"epochs": {}})


def test_random_data_have_the_form_of_the_processed(tmp_path: Path) -> None:
    data = random_data(21, 500, 100)
    assert data.field_sizes == (6041, 3641, 22)
    assert data.train.ids.dtype == torch.int32
    assert bool((data.train.ids < torch.tensor(data.field_sizes)).all())
    assert bool((data.train.ids[:, 2] == data.train.groups.domain + 1).all())
    assert movielens_or_random(tmp_path, 2).name == "random ids"


def test_a_part_of_the_rows_stays_sorted_by_domain() -> None:
    split = random_data(3, 500, 100).train
    part = sample(split, 200)
    assert len(part) == 200
    assert int(part.groups.ends[-1]) == 200
    assert bool((part.groups.domain.diff() >= 0).all())
    assert sample(split, 500) is split


def test_epoch_costs_time_every_variant() -> None:
    data = random_data(2, 300, 100)
    costs = epoch_costs("mlp", data, rounds=2)
    assert {variant: len(times) for variant, times in costs.items()} == dict.fromkeys(VARIANTS, 2)


@pytest.mark.skipif(peer.available(), reason="deepctr-torch is installed")
def test_a_missing_peer_is_said_in_a_sentence() -> None:
    with pytest.raises(PeerMissingError, match="run `make bench`"):
        peer.library()


@pytest.mark.skipif(
    not peer.available(), reason="deepctr-torch is not installed; `make bench` installs it"
)
@pytest.mark.parametrize("backbone", peer.CLASSES)
def test_the_peer_trains_every_shared_backbone(backbone: str) -> None:
    config = replace(CONFIG, backbone=backbone, hidden=(8, 4), batch_size=64, max_epochs=2)
    result = peer_training.train_peer(config, random_data(2, 200, 100), seed=1)
    assert len(result["validation_mean_auc"]) in (1, 2)
    assert 0 <= result["test_wauc"] <= 1
    assert set(result["test_domain_auc"]) == {"0", "1"}


ALL_INSTALLED = all(entry.available() for entry in PEERS.values())


@pytest.mark.skipif(not ALL_INSTALLED, reason="a peer is not installed; `make bench` installs it")
@pytest.mark.parametrize(
    ("name", "backbone"),
    [(name, backbone) for name, entry in PEERS.items() for backbone in entry.backbones],
)
def test_a_pass_of_every_peer_changes_what_its_model_scores(
    name: str, backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[torch.nn.Module] = []
    made = torch.nn.Module.train  # every loop puts its model into training mode

    def noticed(model: torch.nn.Module, mode: bool = True) -> torch.nn.Module:
        models.append(model)
        return made(model, mode)

    config = replace(CONFIG, backbone=backbone, hidden=(8, 4), batch_size=64)
    train = PEERS[name].trainer(config, random_data(2, 200, 100), tmp_path, "cpu")
    monkeypatch.setattr(torch.nn.Module, "train", noticed)
    train()
    before = [p.detach().clone() for p in models[0].parameters()]
    train()
    after = list(models[0].parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(bool(p.isfinite().all()) for p in after)


@pytest.mark.skipif(not ALL_INSTALLED, reason="a peer is not installed; `make bench` installs it")
def test_all_sides_are_timed_in_turns(tmp_path: Path) -> None:
    rates = side_by_side("deepfm", tmp_path, steps=2, rounds=2)
    sides = ("mlorakit", "deepctr_torch", *(f"{name}_alone" for name in PEERS))
    assert {side: len(values) for side, values in rates.items()} == dict.fromkeys(sides, 2)


def test_a_missing_peer_is_named_before_anything_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PeerMissingError, match="fuxictr is not installed; run `make bench`"):
        side_by_side("mlp", tmp_path, steps=1, rounds=1)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="Numba was started with one thread.")
def test_a_peer_in_the_same_process_has_all_threads() -> None:
    prepare("cpu", 2)
    with torch_threads():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1
