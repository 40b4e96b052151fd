"""Published values: a source each, and only where the data set is the one they are of."""

import pandas as pd
import pytest

from mlorakit.models import BACKBONES
from mlorakit.models.baselines import BASELINES
from mlorakit.report.published import FILE, published_mean_auc, published_name

from ..conftest import SetParams


def test_every_value_has_a_source_and_a_model_of_ours() -> None:
    frame = pd.read_csv(FILE)
    assert frame.notna().all(axis=None)
    assert set(frame["model"]) <= {*BACKBONES, *BASELINES}
    assert not frame.duplicated(["source", "dataset", "model"]).any()
    assert frame["mean_auc"].between(0.5, 1).all()


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ({"source": "amazon", "categories": "amazon_13"}, "amazon_13"),
        ({"source": "amazon", "categories": "amazon_6", "ctr_ratio": 0.3}, None),
        ({"source": "amazon", "categories": "Video_Games, Software"}, None),
        ({"source": "taobao", "themes": 20}, "taobao_20"),
        ({"source": "taobao", "themes": 20, "split": "time"}, None),
        ({"source": "taobao", "themes": 50}, None),
        ({"source": "taobao"}, None),
        ({"source": "generated_taobao"}, None),
        ({"source": "generated_amazon"}, None),
        ({"source": "movielens", "domain": "gender", "fields": "user"}, None),
    ],
)
def test_a_data_set_goes_by_its_description(
    set_params: SetParams, description: dict, name: str | None
) -> None:
    # Not by its name, which anyone may give to anything.
    set_params(datasets={"amazon_6": description})
    assert published_name("amazon_6") == name
    assert bool(published_mean_auc("amazon_6")) == (name is not None)


def test_the_order_of_categories_is_of_no_account(set_params: SetParams) -> None:
    names = (
        "Video_Games,Toys_and_Games,Prime_Pantry,Patio_Lawn_and_Garden,Office_Products,"
        "Musical_Instruments"
    )
    set_params(datasets={"mine": {"source": "amazon", "categories": names}})
    assert published_name("mine") == "amazon_6"


@pytest.mark.usefixtures("project")
def test_values_of_mamdrs_table() -> None:
    found = published_mean_auc("amazon_6")
    assert {model: value for model, (value, _) in found.items()} == {
        "mlp": 0.7464, "wdl": 0.7449, "nfm": 0.6505, "autoint": 0.7531, "deepfm": 0.7333,
        "shared_bottom": 0.7794, "mmoe": 0.7816, "ple": 0.7801, "star": 0.7719,
    }  # fmt: skip
    assert all("2202.12524" in source for _, source in found.values())
    assert published_mean_auc("taobao_30")["ple"][0] == 0.7725
