"""What a notebook needs and does not find, made by the functions that the pipeline calls."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlorakit import paths
from mlorakit.data.dataset import MultiDomainData, load_dataset
from mlorakit.data.described import described
from mlorakit.data.generated import GeneratedSpec, generate
from mlorakit.data.generated_files import generate_clicks, generate_reviews
from mlorakit.data.planted import PlantedSpec
from mlorakit.data.planted_log import PlantedLogSpec, generate_log
from mlorakit.data.preprocessing import dataset_spec, preprocess
from mlorakit.data.sources import SOURCES, FetchError, fetch
from mlorakit.data.truth import is_generated
from mlorakit.data.video_logs import VideoLogsSpec, generate_logs

GENERATORS: dict[str, tuple[type, Callable[[Any, Path], None]]] = {
    "generated": (GeneratedSpec, generate),
    "generated_log": (PlantedLogSpec, generate_log),
    "generated_amazon": (PlantedSpec, generate_reviews),
    "generated_taobao": (PlantedSpec, generate_clicks),
    "video_logs": (VideoLogsSpec, generate_logs),
}
"""The sources that are generated: what describes them in params.yaml, under their own name, and
what writes them into a folder."""


def prepare_raw(source: str, into: Path | None = None) -> Path:
    """The folder of a source's raw files, fetched or generated if they are not there.

    Generated files that are there already, from the same description, are left alone.

    Raises:
        FetchError: no route to the source works, or it is not known.
        DataError: the description of a generated source is not understood.
    """
    folder = into or paths.raw_dir(source)
    if source in GENERATORS:
        kind, generator = GENERATORS[source]
        spec: Any = described(kind, source)
        if not is_generated(folder, spec):
            generator(spec, folder)
    elif source in SOURCES:
        fetch(source, folder)
    else:
        raise FetchError(
            f"There is no raw data source {source!r}; choose one of: "
            f"{', '.join(sorted((*SOURCES, *GENERATORS)))}."
        )
    return folder


def prepare_dataset(name: str, *, strict: bool = False, split_seed: int | None = None) -> dict:
    """Preprocess a data set of params.yaml into data/processed.

    Args:
        name: of the data set.
        strict: stop at the first malformed row.
        split_seed: params.yaml's if not given.

    Returns:
        See `preprocess`.
    """
    settings = paths.params()["preprocess"]
    raw = {source: prepare_raw(source) for source in dataset_spec(name).raw}
    seed = settings["split_seed"] if split_seed is None else split_seed
    return preprocess(name, raw, paths.processed_dir(name), strict=strict, split_seed=seed)


def open_dataset(name: str) -> MultiDomainData:
    """The processed data set, made first if it is not there."""
    folder = paths.processed_dir(name)
    if not (folder / "dataset.json").is_file():
        prepare_dataset(name)
    return load_dataset(folder)
