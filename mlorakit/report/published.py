"""Values that others published, from the one file that holds them with their sources."""

from pathlib import Path

import pandas as pd

from mlorakit import paths
from mlorakit.data.amazon import GROUPS
from mlorakit.data.dataset_specs import AmazonSpec, TaobaoSpec
from mlorakit.data.described import described

FILE = Path(__file__).with_name("published.csv")
"""A row per source, data set and model: the name that the source gives the model, and its
unweighted mean of the domains' AUCs.
"""

_THEMES = (10, 20, 30)


def published_name(dataset: str) -> str | None:
    """The data set of `FILE` that one of params.yaml is, None if it is none of them.

    Negatives are drawn and rows are split at random, so the rows are alike and not the same.
    """
    source = paths.params()["datasets"][dataset]["source"]
    if source == "amazon":
        amazon = described(AmazonSpec, "datasets", dataset)
        for name, categories in GROUPS.items():
            if sorted(amazon.categories) == sorted(categories):
                alike = AmazonSpec(source="amazon", categories=amazon.categories)
                return name if amazon == alike else None
    if source == "taobao":
        taobao = described(TaobaoSpec, "datasets", dataset)
        for themes in _THEMES:
            if taobao == TaobaoSpec(source="taobao", themes=themes):
                return f"taobao_{themes}"
    return None


def published_mean_auc(dataset: str) -> dict[str, tuple[float, str]]:
    """Model to its published mean AUC and the source; empty for a data set without any.

    Args:
        dataset: a name under `datasets` in params.yaml.
    """
    frame = pd.read_csv(FILE)
    own = frame[frame["dataset"] == published_name(dataset)]
    return {
        str(row["model"]): (float(row["mean_auc"]), str(row["source"]))
        for row in own.to_dict("records")
    }
