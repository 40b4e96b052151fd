"""The benchmark of sampling on few reviews: its sides, its files, its page."""

from pathlib import Path

import numpy as np

from benchmarks import results, sampling
from benchmarks.pages import sampling_page
from benchmarks.reviews import write_reviews
from benchmarks.tables import sampling_table
from mlorakit.data.amazon import read_reviews
from mlorakit.data.sampling import sample_negatives


def test_the_loop_draws_what_ours_draws() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.permutation(30 * 50)[:300]
    user, item = (pairs // 50).astype(np.int32), (pairs % 50).astype(np.int32)
    theirs = sampling.loop(user, item, 50)
    ours, _ = sample_negatives(user, item, 50, sampling.CTR_RATIO, 1)
    assert sorted(theirs["user"]) == ours.tolist()
    touched = {*zip(user.tolist(), item.tolist(), strict=True)}
    drawn = [*zip(theirs["user"].tolist(), theirs["item"].tolist(), strict=True)]
    assert not touched & {*drawn}
    assert len({*drawn}) == len(drawn)


def test_the_reviews_are_those_of_the_format(tmp_path: Path) -> None:
    write_reviews(tmp_path, 400)
    accounts = [read_reviews(path, strict=True)[1] for path in sorted(tmp_path.iterdir())]
    assert [account.read for account in accounts] == [20, 80, 80, 20, 160, 40]


def test_the_table_divides_neighbouring_rounds() -> None:
    seconds = {"mlorakit": [2.0, 1.0, 4.0], "pandas loop": [60.0, 50.0, 80.0]}
    rows = sampling_table({"mlorakit": 1000, "pandas loop": 1000}, seconds).splitlines()
    assert rows[2] == "| mlorakit | 1,000 | 2.00 | 500 | 30.0 (20.0 to 50.0) |"
    assert rows[3] == "| pandas loop | 1,000 | 60.00 | 17 | 1.0 (1.0 to 1.0) |"


def test_a_run_writes_its_numbers_and_its_page(tmp_path: Path) -> None:
    command = ["--loop-reviews", "300", "--reviews", "2000", "--rounds", "1", "--note", "A note."]
    sampling.measure(sampling.parse([*command, "--reports", str(tmp_path)]))
    found = results.read_json(tmp_path / "sampling.json")
    assert len(set(found["side_by_side"]["negatives"].values())) == 1
    made = found["preprocessing"]
    assert made["read"] == 2000
    assert sum(made["rows"].values()) > 2 * made["kept"]
    assert made["peak_bytes"] > 1e7
    page = (tmp_path / "sampling.md").read_text()
    assert page == sampling_page(found)
    assert "A note." in page
