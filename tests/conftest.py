"""What the tests share: settings of a process, a project of their own, and small data sets."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
import yaml
from hypothesis import settings

from mlorakit.data.dataset import MultiDomainData, Rows, load_dataset
from mlorakit.data.generated import GeneratedSpec, generate
from mlorakit.data.prepare import open_dataset
from mlorakit.data.preprocessing import preprocess
from mlorakit.data.routes import MIRROR
from mlorakit.data.tasks import PADDING, TaskData, TaskField, TaskRows
from mlorakit.kernels.groups import group_rows

ROOT = Path(__file__).resolve().parent.parent

SetParams = Callable[..., None]
RawFiles = Callable[..., Path]

# The same examples in every run, and no folder of earlier failures.
settings.register_profile("mlorakit", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("mlorakit")


@pytest.hookimpl(tryfirst=True)  # before the fixtures, those of a session too
def pytest_runtest_setup() -> None:
    """Undo what a fit of an earlier test has set: threads."""
    # In this order: when Numba starts its threads, it sets the number that PyTorch reads.
    numba.set_num_threads(1)
    torch.set_num_threads(1)


def make_project(folder: Path) -> Path:
    """A project without code, data or results."""
    folder.mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / "mlorakit").mkdir()
    return folder


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder that these tests lie in, for files that come with the project."""
    return ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that the test may write to; the current folder lies in it."""
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def set_params(project: Path) -> SetParams:
    """Changes sections of the project's params.yaml."""

    def change(**sections: dict[str, Any]) -> None:
        path = project / "params.yaml"
        content = yaml.safe_load(path.read_text())
        for section, values in sections.items():
            content[section].update(values)
        path.write_text(yaml.safe_dump(content))

    return change


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """The path of a real raw file in the mirror; without it the test is skipped."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get(MIRROR) or ROOT.parent / "shared" / "data")
        if not (folder / name).is_file():
            pytest.skip(f"{name} is neither in the folder {MIRROR} nor in ../shared/data.")
        return folder / name

    return find


@pytest.fixture
def raw_files(tmp_path: Path) -> RawFiles:
    """Writes a folder of raw files in MovieLens's format; rows may be added to the right ones.

    Two users (1 is a woman of age 25, 2 a man of age 56), two movies, and their four ratings.
    """

    def write(
        users: str = "", movies: str = "", ratings: str = "", folder: str = "raw", end: str = "\n"
    ) -> Path:
        content = {
            "users.dat": "1::F::25::4::55117\n2::M::56::16::02460\n" + users,
            "movies.dat": (
                "10::Am\xe9lie (2001)::Comedy|Romance\n9::Se7en (a.k.a. Seven) (1995)::Drama\n"
            )
            + movies,
            "ratings.dat": "1::10::5::100\n1::9::3::101\n2::10::4::102\n2::9::5::103\n" + ratings,
        }
        path = tmp_path / folder
        path.mkdir()
        for name, text in content.items():
            (path / name).write_bytes(text.replace("\n", end).encode("latin-1"))
        return path

    return write


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that holds the raw and processed files of the data set `generated`; read only."""
    folder = make_project(tmp_path_factory.mktemp("prepared") / "project")
    raw = folder / "data" / "raw" / "generated"
    generate(GeneratedSpec(users=40, movies=30, ratings=1000, rank=2, shift=1.0, seed=7), raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        processed = folder / "data" / "processed" / "generated"
        preprocess("generated", {"generated": raw}, processed, strict=True, split_seed=123)
    return folder


@pytest.fixture(scope="session")
def tiny_data(prepared: Path) -> MultiDomainData:
    """The data set `generated`: 1,000 rows, fields user, movie and gender, two domains."""
    return load_dataset(prepared / "data" / "processed" / "generated")


@pytest.fixture
def prepared_project(prepared: Path, project: Path) -> Path:
    """The test's project with the raw and processed files of `generated`."""
    shutil.copytree(prepared / "data", project / "data")
    return project


@pytest.fixture
def taobao(set_params: SetParams) -> MultiDomainData:
    """A small data set whose users and items have vectors."""
    set_params(datasets={"mine": {"source": "generated_taobao", "themes": 2}})
    return open_dataset("mine")


@pytest.fixture(scope="session")
def planted() -> MultiDomainData:
    """Three domains in which a movie's likes are easy to learn; they are turned round in one.

    20 users, 12 movies, 3 domains; a row is positive with probability 0.9 if its movie is liked
    (even ids in domains 0 and 1, odd ones in domain 2) and 0.1 otherwise.
    """
    generator = torch.Generator().manual_seed(11)

    def split(count: int) -> Rows:
        user = torch.randint(1, 21, (count,), generator=generator)
        movie = torch.randint(1, 13, (count,), generator=generator)
        domain = torch.randint(3, (count,), generator=generator)
        liked = (movie % 2 == 0) ^ (domain == 2)
        label = (torch.rand(count, generator=generator) < 0.1 + 0.8 * liked).float()
        ids = torch.stack((user, movie, domain + 1), 1).int()
        order, groups = group_rows(domain, 3)
        return Rows(ids[order], label[order], groups)

    return MultiDomainData(
        name="planted",
        field_sizes=(21, 13, 4),
        domains=("first", "second", "third"),
        fingerprint="0" * 64,
        train=split(600),
        validation=split(200),
        test=split(200),
    )


def two_task_rows(count: int, seed: int) -> TaskRows:
    """Rows of four fields, the last with up to three values, whose labels the ids decide."""
    generator = torch.Generator().manual_seed(seed)
    single = torch.stack(
        [torch.randint(1, size, (count,), generator=generator) for size in (20, 30, 20)], 1
    )
    several = torch.randint(1, 10, (count, 3), generator=generator)
    values = torch.randint(0, 4, (count, 1), generator=generator)
    several = torch.where(torch.arange(3) < values, several, PADDING)
    several[:, :1] = several[:, :1].clamp_min(0)  # at least one value, 0 if all are missing
    taste = torch.randn(20, generator=torch.Generator().manual_seed(9))
    score = taste[single[:, 0]] + taste[single[:, 2]]
    click = (torch.rand(count, generator=generator) < torch.sigmoid(2 * score)).float()
    converts = click > 0
    share = torch.sigmoid(taste[single[:, 0]] + torch.randn(count, generator=generator) / 4)
    return TaskRows(
        ids=torch.cat((single, several), 1).int(),
        click=click,
        conversion=share * converts,
        converts=converts,
        cluster=single[:, 0],
    )


@pytest.fixture
def two_tasks() -> TaskData:
    """A small data set of two tasks; fields `user` and `source` share a table."""
    return TaskData(
        name="small",
        fields=(
            TaskField("user", "id", 1),
            TaskField("video", "video", 1),
            TaskField("source", "id", 1),
            TaskField("tags", "tag", 3),
        ),
        tables={"id": 20, "video": 30, "tag": 10},
        binary=False,
        fingerprint="0",
        train=two_task_rows(600, 1),
        validation=two_task_rows(200, 2),
        test=two_task_rows(200, 3),
    )
