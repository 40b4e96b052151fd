"""Fields of several values, from a file of one's own to the models."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mlorakit.cell_results import count_parameters
from mlorakit.data.dataset import MultiDomainData, Pooled, columns_of, load_dataset
from mlorakit.data.prepare import open_dataset
from mlorakit.models import BACKBONES, VARIANTS, build_model
from mlorakit.models.baselines import BASELINES, BaselineSettings, build_baseline
from mlorakit.overhead import overhead
from mlorakit.training import FitSettings, evaluate, fit

from ..conftest import SetParams

WORDS = ("good", "bad", "plain", "rare", "old", "new")
EFFECT = {"good": 3.0, "bad": -3.0}
SMALL = BaselineSettings(
    hidden=(8,), tower=(4,), gate=(4,), experts=2, own_experts=2, alpha=4, dropout=0.0
)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """4,000 rows in two countries, whose tags alone decide the label, wherever they stand."""
    rng = np.random.default_rng(3)
    tags = [
        rng.choice(WORDS, size=rng.integers(4), replace=False, p=(0.25, 0.25, 0.2, 0.1, 0.1, 0.1))
        for _ in range(4000)
    ]
    score = np.array([sum(EFFECT.get(tag, 0.0) for tag in row) for row in tags])
    return pl.DataFrame(
        {
            "clicked": (rng.random(4000) < 1 / (1 + np.exp(-score))).astype(int),
            "country": rng.choice(["FR", "IT"], size=4000),
            "hour": rng.integers(5, size=4000),
            "tags": [row.tolist() for row in tags],
        },
        schema_overrides={"tags": pl.List(pl.String)},
    )


@pytest.fixture
def opened(
    frame: pl.DataFrame, project: Path, set_params: SetParams
) -> Callable[..., MultiDomainData]:
    """Writes the frame and opens it as a data set that reads `tags` or does not."""

    def make(suffix: str = "parquet", **more: Any) -> MultiDomainData:
        path = project / "data" / "raw" / f"mine.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == "csv":
            frame.with_columns(pl.col("tags").list.join("|")).write_csv(path)
        else:
            frame.write_parquet(path)
        entry = {"source": "file", "path": f"data/raw/mine.{suffix}", "label": "clicked",
                 "domain": "country", "fields": "hour"}  # fmt: skip
        set_params(datasets={suffix: {**entry, **more}})
        return open_dataset(suffix)

    return make


def test_the_columns_of_a_table_are_one_field(opened: Callable[..., MultiDomainData]) -> None:
    data = opened(several={"tags": 3})
    assert data.field_sizes == (6, 3, 7)  # hour, country, tags
    assert columns_of(data.field_sizes) == (1, 1, 3)
    assert data.train.ids.shape[1] == 5
    plain = opened(suffix="csv")
    assert columns_of(plain.field_sizes) == (1, 1)
    assert [type(size) for size in plain.field_sizes] == [int, int]


def test_a_list_and_a_text_are_the_same(opened: Callable[..., MultiDomainData]) -> None:
    lists, texts = opened(several={"tags": 3}), opened("csv", several={"tags": 3})
    assert torch.equal(lists.train.ids, texts.train.ids)
    assert torch.equal(lists.train.label, texts.train.label)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_variant_of_a_backbone_reads_the_mean_alone(
    opened: Callable[..., MultiDomainData], backbone: str
) -> None:
    data = opened(several={"tags": 3})
    shuffled = torch.cat((data.test.ids[:, :2], data.test.ids[:, 2:].flip(1)), 1)
    for variant in VARIANTS:
        model = build_model(
            backbone, variant, field_sizes=data.field_sizes, n_domains=2, alpha=4, hidden=(8, 4)
        ).eval()
        for parameter in model.parameters():
            parameter.data = torch.randn(parameter.shape) / 2
        logit = model(data.test.ids, data.test.groups)
        assert logit.shape == data.test.label.shape
        torch.testing.assert_close(model(shuffled, data.test.groups), logit, rtol=1e-4, atol=1e-3)
        without = data.test.ids.clone()
        without[:, 2:] = 0
        assert (model(without, data.test.groups) - logit).abs().max() > 0.1
    assert overhead(model).params_added == count_parameters(model)["params_added"]


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_reads_the_mean_alone(
    opened: Callable[..., MultiDomainData], name: str
) -> None:
    data = opened(several={"tags": 3})
    model = build_baseline(
        name, field_sizes=data.field_sizes, n_domains=2, settings=SMALL, embedding_size=4
    ).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape) / 2
    shuffled = torch.cat((data.test.ids[:, :2], data.test.ids[:, 2:].flip(1)), 1)
    logit = model(data.test.ids, data.test.groups)
    torch.testing.assert_close(model(shuffled, data.test.groups), logit)
    without = data.test.ids.clone()
    without[:, 2:] = 0
    assert (model(without, data.test.groups) - logit).abs().max() > 0.01


def test_what_the_values_say_is_learned(
    opened: Callable[..., MultiDomainData], frame: pl.DataFrame
) -> None:
    def wauc(data: MultiDomainData) -> float:
        model = build_model(
            "mlp", "mlora", field_sizes=data.field_sizes, n_domains=2, alpha=4, hidden=(8,),
            dropout=0.0, seed=1,
        )  # fmt: skip
        fit(model, data, FitSettings(seed=1, batch_size=128, learning_rate=0.01, max_epochs=8))
        return evaluate(model, data.test).wauc

    effect = [sum(EFFECT.get(tag, 0.0) for tag in row) for row in frame["tags"].to_list()]
    best = roc_auc_score(frame["clicked"].to_list(), effect)
    assert best > 0.75
    assert wauc(opened(several={"tags": 3})) > best - 0.02
    # Hour and country say nothing.
    assert 0.4 < wauc(opened("csv")) < 0.6


def test_values_that_training_does_not_have_are_left_out_of_the_mean(
    project: Path, set_params: SetParams
) -> None:
    path = project / "data" / "raw" / "mine.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        "clicked,country,tags,part\n1,FR,a|b,train\n0,FR,,train\n"
        "1,FR,new|b,validation\n0,FR,new,validation\n1,FR,b,test\n0,FR,,test\n"
    )
    set_params(
        datasets={
            "mine": {
                "source": "file", "path": "data/raw/mine.csv", "label": "clicked",
                "domain": "country", "several": {"tags": 2}, "split": "column",
                "split_column": "part",
            }
        }
    )  # fmt: skip
    data = open_dataset("mine")
    model = build_model("mlp", "base", field_sizes=data.field_sizes, n_domains=1, alpha=4)
    seen, unseen = model.embedding(data.test.ids), model.embedding(data.validation.ids)
    assert torch.equal(seen, unseen)  # new|b is b, new is a row without tags
    assert not torch.equal(seen[0], seen[1])


def test_a_size_with_columns_counts_and_travels_as_a_number() -> None:
    size = Pooled(7, columns=3)
    assert size + 1 == 8
    assert sum((2, size)) == 9
    assert ((size * 4), (size * 4).columns) == (28, 3)
    again = pickle.loads(pickle.dumps(size))
    assert (again, again.columns) == (7, 3)


def test_processed_files_say_which_columns_belong_together(
    opened: Callable[..., MultiDomainData], project: Path
) -> None:
    data = opened(several={"tags": 3})
    again = load_dataset(project / "data" / "processed" / "parquet")
    assert again.field_sizes == data.field_sizes
    assert columns_of(again.field_sizes) == columns_of(data.field_sizes)
