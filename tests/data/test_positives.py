"""Positives to labelled rows: codes of all domains, negatives within one, the two splits."""

import numpy as np
import polars as pl
import pytest

from mlorakit.data.positives import with_negatives
from mlorakit.data.raw_rows import RawRows
from mlorakit.data.rows import DataError


def domains(rng: np.random.Generator, count: int = 2) -> dict[str, pl.DataFrame]:
    """Domains of 40 users and of items of their own, but for one that all have."""
    made = {}
    for d in range(count):
        pairs = np.unique(rng.integers([40, 60], size=(300, 2)), axis=0)
        made[f"domain {d}"] = pl.DataFrame(
            {
                "user": [f"u{u}" for u in pairs[:, 0]],
                "item": ["shared" if i == 0 else f"i{d}-{i}" for i in pairs[:, 1]],
                "time": rng.integers(1000, size=len(pairs)),
            }
        )
    return made


def rows_of(made: dict[str, pl.DataFrame], **changes: object) -> RawRows:
    settings = {"field": "shop", "ctr_ratio": (0.2, 0.5), "by_time": False, "seed": 3} | changes
    return with_negatives(made.items(), **settings)  # type: ignore[arg-type]


def frame_of(rows: RawRows) -> pl.DataFrame:
    """The rows with values in place of codes."""
    texts = {name: coded.values.gather(coded.codes) for name, coded in rows.fields.items()}
    return pl.DataFrame(texts).with_columns(label=rows.label, split=rows.split)


@pytest.fixture
def made() -> dict[str, pl.DataFrame]:
    return domains(np.random.default_rng(0))


def test_positives_are_all_there_and_negatives_never_among_them(
    made: dict[str, pl.DataFrame],
) -> None:
    rows = rows_of(made)
    frame = frame_of(rows)
    assert list(rows.fields) == ["user", "item", "shop"]
    for name, positives in made.items():
        of_domain = frame.filter(pl.col("shop") == name)
        pairs = of_domain.filter(pl.col("label") == 1).select("user", "item").rows()
        assert pairs == positives.select("user", "item").rows()
        negatives = of_domain.filter(pl.col("label") == 0)
        assert not set(negatives.select("user", "item").rows()) & set(pairs)
        assert set(negatives["item"]) <= set(positives["item"])
        ratio = rows.facts["ctr_ratios"][name]
        counts = positives.group_by("user").len().sort("user")
        n_items = positives["item"].n_unique()
        wanted = [min(int(n / ratio), n_items - n) for n in counts["len"]]
        assert negatives.group_by("user").len().sort("user")["len"].to_list() == wanted


def test_positives_are_split_once_per_domain_and_negatives_per_user(
    made: dict[str, pl.DataFrame],
) -> None:
    frame = frame_of(rows_of(made))
    for name, positives in made.items():
        of_domain = frame.filter(pl.col("shop") == name)
        n = positives.height
        found = of_domain.filter(pl.col("label") == 1)["split"].to_numpy()
        train, rest = 3 * n // 5, n - 3 * n // 5
        assert np.bincount(found).tolist() == [train, rest // 2, rest - rest // 2]
        negatives = of_domain.filter(pl.col("label") == 0)
        for (_,), group in negatives.group_by("user"):
            train, rest = 3 * group.height // 5, group.height - 3 * group.height // 5
            found = np.bincount(group["split"].to_numpy(), minlength=3)
            assert found.tolist() == [train, rest // 2, rest - rest // 2]


def test_by_time_the_earliest_positives_train(made: dict[str, pl.DataFrame]) -> None:
    frame = frame_of(rows_of(made, by_time=True))
    for name, positives in made.items():
        split = frame.filter((pl.col("shop") == name) & (pl.col("label") == 1))["split"]
        by_part = [positives.filter(split == part)["time"] for part in range(3)]
        assert by_part[0].max() <= by_part[1].min()
        assert by_part[1].max() <= by_part[2].min()
        assert len(by_part[0]) == 3 * positives.height // 5


def test_a_user_and_an_item_are_one_in_all_domains(made: dict[str, pl.DataFrame]) -> None:
    rows = rows_of(made)
    assert len(rows.fields["user"].values) == 40
    everything = pl.concat(list(made.values()))
    assert rows.fields["item"].values.to_list() == sorted(set(everything["item"]))
    assert rows.fields["shop"].values.to_list() == rows.domain.values.to_list() == list(made)


def test_a_domain_added_at_the_end_leaves_the_others_as_they_are() -> None:
    three = domains(np.random.default_rng(0), 3)
    two = dict(list(three.items())[:2])
    frame = frame_of(rows_of(three))
    assert frame.filter(pl.col("shop") != "domain 2").equals(frame_of(rows_of(two)))


def test_the_seed_decides_negatives_split_and_ratios(made: dict[str, pl.DataFrame]) -> None:
    assert frame_of(rows_of(made)).equals(frame_of(rows_of(made)))
    other = rows_of(made, seed=4)
    assert not frame_of(other).equals(frame_of(rows_of(made)))
    assert other.facts != rows_of(made).facts
    fixed = rows_of(made, ctr_ratio=(0.25,))
    assert set(fixed.facts["ctr_ratios"].values()) == {0.25}


def test_an_empty_domain_is_named(made: dict[str, pl.DataFrame]) -> None:
    made["nothing"] = made["domain 0"].clear()
    with pytest.raises(DataError, match="Domain 'nothing' has no usable row"):
        rows_of(made)
