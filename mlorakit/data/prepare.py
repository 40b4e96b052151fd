"""What a notebook needs and does not find, made by the functions that the pipeline calls."""

from pathlib import Path

from mlorakit import paths
from mlorakit.data.dataset import MultiDomainData, load_dataset
from mlorakit.data.generated import generate, generated_spec
from mlorakit.data.preprocessing import dataset_spec, preprocess
from mlorakit.data.sources import GENERATED, fetch


def prepare_raw(source: str, into: Path | None = None) -> Path:
    """The folder of a source's raw files, fetched or generated if they are not there.

    Raises:
        FetchError: no route to the source works, or it is not known.
        DataError: `generated` in params.yaml is not understood.
    """
    folder = into or paths.raw_dir(source)
    if source == GENERATED:
        generate(generated_spec(), folder)
    else:
        fetch(source, folder)
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
    raw = prepare_raw(dataset_spec(name).source)
    seed = settings["split_seed"] if split_seed is None else split_seed
    return preprocess(name, raw, paths.processed_dir(name), strict=strict, split_seed=seed)


def open_dataset(name: str) -> MultiDomainData:
    """The processed data set, made first if it is not there."""
    folder = paths.processed_dir(name)
    if not (folder / "dataset.json").is_file():
        prepare_dataset(name)
    return load_dataset(folder)
