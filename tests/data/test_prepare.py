"""What a notebook needs and does not find is made."""

from pathlib import Path

import pytest

from mlorakit.data import prepare
from mlorakit.data.__main__ import main
from mlorakit.data.dataset import MultiDomainData, load_dataset
from mlorakit.data.prepare import open_dataset, prepare_dataset, prepare_raw
from mlorakit.data.rows import DataError
from mlorakit.data.sources import FetchError

from ..conftest import SetParams

SMALL = {"users": 20, "movies": 15, "ratings": 200, "rank": 1, "shift": 1.0, "seed": 3}


@pytest.fixture
def small(project: Path, set_params: SetParams) -> Path:
    """The project, with few generated ratings."""
    set_params(generated=SMALL)
    return project


def rows(data: MultiDomainData) -> int:
    return len(data.train) + len(data.validation) + len(data.test)


def test_a_data_set_that_is_not_there_is_made(small: Path) -> None:
    assert rows(open_dataset("generated")) == 200
    assert (small / "data" / "raw" / "generated" / "ratings.dat").is_file()
    assert (small / "data" / "processed" / "generated" / "dataset.json").is_file()


def test_a_data_set_that_is_there_is_left_alone(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_dataset("generated")
    monkeypatch.delattr(prepare, "prepare_dataset")
    assert open_dataset("generated").fingerprint == first.fingerprint


@pytest.mark.usefixtures("small")
def test_the_split_seed_is_that_of_the_parameters_unless_given(set_params: SetParams) -> None:
    set_params(preprocess={"split_seed": 5})
    assert prepare_dataset("generated")["split_seed"] == 5
    assert prepare_dataset("generated", split_seed=0)["split_seed"] == 0


@pytest.mark.usefixtures("small")
def test_raw_files_may_go_elsewhere(tmp_path: Path) -> None:
    assert prepare_raw("generated", tmp_path / "elsewhere") == tmp_path / "elsewhere"
    assert (tmp_path / "elsewhere" / "users.dat").is_file()


@pytest.mark.parametrize(
    "source",
    ["generated", "generated_amazon", "generated_taobao", "generated_log", "video_logs"],
)
def test_generated_files_are_written_anew_only_if_something_changed(
    small: Path, set_params: SetParams, source: str
) -> None:
    few = {"domains": 2, "users": 10, "items": 30, "positives": 6}
    set_params(
        video_logs={"sessions": 20, "users": 5, "videos": 20, "parts": 1},
        generated_amazon=few,
        generated_taobao=few,
        generated_log={"rows": 100},
    )
    folder = prepare_raw(source)

    def written() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    first, content = written(), {path.name: path.read_bytes() for path in folder.iterdir()}
    prepare_raw(source)
    assert written() == first
    for damaged in content:
        (folder / damaged).write_bytes(b"other")
        prepare_raw(source)
        assert (folder / damaged).read_bytes() == content[damaged]
        (folder / damaged).unlink()
        prepare_raw(source)
        assert (folder / damaged).read_bytes() == content[damaged]
    set_params(**{source: {"seed": 99}})
    prepare_raw(source)
    changed = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert changed.keys() == content.keys()
    assert changed != content


@pytest.mark.usefixtures("small")
def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(DataError, match="no data set 'movielenz'"):
        open_dataset("movielenz")
    with pytest.raises(FetchError, match="no raw data source 'netflix'"):
        prepare_raw("netflix")


def test_the_command_line_generates(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "generated"]) == 0
    assert (small / "data" / "raw" / "generated" / "truth.json").is_file()
    assert "ratings.dat" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_the_command_line_says_what_is_wrong(
    set_params: SetParams, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(generated=SMALL | {"users": 0})
    assert main(["fetch", "generated"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("params.yaml, generated.users: ")
    assert err.count("\n") == 1


def test_what_was_made_can_be_loaded(small: Path) -> None:
    prepare_dataset("generated", strict=True)
    assert load_dataset(small / "data" / "processed" / "generated").n_domains == 2
