"""The files that describe the project agree with one another and with the code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mlorakit import (
    ablation_config,
    baseline_config,
    config,
    new_domain_config,
    paths,
    task_config,
)
from mlorakit.data.preprocessing import dataset_spec
from mlorakit.models.baselines import BASELINES
from mlorakit.profile import apply_profile
from mlorakit.report.readme import updated, with_results
from mlorakit.repro import unprepared
from mlorakit.used_code import imports_of

PROJECT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
IMPORT_NAMES = {"pyyaml": "yaml", "ruamel.yaml": "ruamel", "scikit-learn": "sklearn"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    pins = {}
    for line in (PROJECT / "requirements.lock").read_text().splitlines():
        name, _, version = line.partition("==")
        assert re.fullmatch(r"[\w.!-]+", version), f"requirements.lock pins no version: {line!r}"
        pins[normal(name)] = version
    return pins


def test_the_lock_satisfies_every_requirement() -> None:
    pins = locked()
    wanted = [*PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"]["dev"]]
    for text in wanted:
        requirement = Requirement(text)
        pin = pins.get(normal(requirement.name))
        assert pin is not None, f"{text} is not in requirements.lock; run `make lock`"
        assert requirement.specifier.contains(pin), f"{text} but locked {pin}; run `make lock`"


def test_environment_yml_installs_the_lock_and_nothing_else() -> None:
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    *tools, pip = environment["dependencies"]
    # Lines of a requirements file, which conda hands to pip: other options than these end it.
    assert pip["pip"] == ["-r requirements.lock", "-e ."]
    python = next(tool for tool in tools if tool.startswith("python="))
    assert SpecifierSet(PYPROJECT["requires-python"]).contains(python.removeprefix("python="))
    assert {tool.split("=")[0] for tool in tools} == {"python", "pip", "git", "make"}


def test_the_package_imports_only_what_it_requires() -> None:
    names = [Requirement(text).name for text in PYPROJECT["dependencies"]]
    allowed = {IMPORT_NAMES.get(name, normal(name).replace("-", "_")) for name in names}
    allowed |= {"triton"}  # PyTorch brings it where it has CUDA, and only there is it imported
    for path in (PROJECT / "mlorakit").rglob("*.py"):
        for module in imports_of(path):
            top = module.split(".")[0]
            assert top in allowed | sys.stdlib_module_names | {"mlorakit"}, f"{path}: {module}"


@pytest.mark.parametrize(
    ("stage", "notebook"),
    [
        ("train", "train"),
        ("two_stage", "train"),
        ("baselines", "baselines"),
        ("prune", "prune"),
        ("multitask", "multitask"),
        ("ablate_alpha", "ablate"),
        ("ablate_domains", "ablate"),
        ("ablate_widths", "ablate"),
        ("new_domain", "new_domain"),
    ],
)
def test_a_stage_of_cells_depends_on_its_notebook_and_on_what_that_uses(
    stage: str, notebook: str
) -> None:
    deps = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    ours = [dep for dep in deps if dep.startswith(("mlorakit", "build"))]
    assert ours == [f"build/notebooks/{notebook}.ipynb", f"build/code/{notebook}.json"]


@pytest.mark.parametrize(
    ("notebook", "cls"),
    [
        ("preprocess", config.PreprocessConfig),
        ("train", config.TrainConfig),
        ("baselines", baseline_config.BaselineConfig),
        ("tables", config.TablesConfig),
        ("claims", config.ClaimsConfig),
        ("figures", config.FiguresConfig),
        ("preprocess_tasks", task_config.PreprocessTasksConfig),
        ("prune", task_config.PruneConfig),
        ("select", task_config.SelectConfig),
        ("multitask", task_config.MultitaskConfig),
        ("ablate", ablation_config.AblationConfig),
        ("ablations", ablation_config.AblationsConfig),
        ("new_domain", new_domain_config.NewDomainConfig),
    ],
)
def test_a_notebooks_defaults_are_its_configs(notebook: str, cls: type) -> None:
    cells = nbformat.read(PROJECT / f"notebooks/{notebook}.ipynb", as_version=4).cells
    source = next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    namespace: dict = {}
    exec(source, namespace)
    namespace.pop("__builtins__")
    # These may take the others from a file, see released_notebook.
    if notebook in ("preprocess", "train", "baselines"):
        assert namespace.pop("config") == ""
    assert set(namespace) == set(cls.__dataclass_fields__)
    assert cls.of(**namespace) == cls()


@pytest.mark.parametrize("name", ["train", "two_stage"])
def test_params_yaml_holds_the_defaults_of_training_and_its_stages_pass_all(name: str) -> None:
    train = yaml.safe_load((PROJECT / "params.yaml").read_text())["train"]
    assert config.TrainConfig.of(**train) == config.TrainConfig()
    stage = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"][name]
    passed = dict(re.findall(r"(\w+): ([^,\n]+)", stage["cmd"].split("-y '{")[1]))
    assert set(passed) == set(config.TrainConfig.__dataclass_fields__)
    assert {name for name in train if f"${{train.{name}}}" not in stage["cmd"]} == set()
    assert passed["two_stage"] == ("true" if name == "two_stage" else "false")


def test_the_baselines_stage_passes_all_and_shares_what_the_backbones_have() -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    own = {name: value for name, value in params["baselines"].items() if name != "models"}
    assert baseline_config.BaselineConfig.of(**own) == baseline_config.BaselineConfig()
    assert set(params["baselines"]["models"]) < set(BASELINES)
    command = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["baselines"]["cmd"]
    passed = re.findall(r"""(\w+): "?\$\{(\w+)\.""", command.split("-y '{")[1])
    fields = set(baseline_config.BaselineConfig.__dataclass_fields__)
    assert {name for name, _ in passed} == fields - {"into"}
    sections = {name: section for name, section in passed if section != "item"}
    shared = {"seeds", "vectors", "embedding_size", "batch_size", "l2", "patience", "max_epochs"}
    shared |= {"device", "threads"}
    assert sections == dict.fromkeys(shared, "train") | dict.fromkeys(own, "baselines")


@pytest.mark.parametrize(
    ("stage", "cls"),
    [("prune", task_config.PruneConfig), ("multitask", task_config.MultitaskConfig)],
)
def test_params_yaml_holds_the_defaults_of_lt4rec_and_its_stages_pass_all(
    stage: str, cls: type
) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())["lt4rec"]
    fields = set(cls.__dataclass_fields__)
    assert cls.of(**{k: v for k, v in params.items() if k in fields}) == cls()
    command = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"][stage]["cmd"]
    assert set(re.findall(r"(\w+): ", command.split("-y '{")[1])) == fields
    passed = {name for name in params if f"${{lt4rec.{name}}}" in command}
    assert passed == (fields & set(params)) - {"dataset", "method", "task"}


@pytest.mark.parametrize(
    ("stage", "section", "cls"),
    [
        *(
            (f"ablate_{sweep}", "ablations", ablation_config.AblationConfig)
            for sweep in ablation_config.SWEEPS
        ),
        ("new_domain", "new_domain", new_domain_config.NewDomainConfig),
    ],
)
def test_ablations_and_new_domains_take_the_settings_of_training(
    stage: str, section: str, cls: type
) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    fields = set(cls.__dataclass_fields__)
    train = {k: v for k, v in params["train"].items() if k in fields}
    own = {
        k: v for k, v in params[section].items() if k in fields and not isinstance(v, dict)
    }  # a sweep
    assert cls.of(**train | own) == cls()
    command = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"][stage]["cmd"]
    assert set(re.findall(r"(\w+): ", command.split("-y '{")[1])) == fields
    of_train = {name for name in train if f"${{train.{name}}}" in command}
    of_section = {name for name in own if f"${{{section}.{name}}}" in command}
    by_the_sweep = {"ablate_alpha": {"alpha"}, "ablate_domains": {"alpha"}}
    by_the_sweep["ablate_widths"] = {"alpha", "hidden"}
    assert of_section == set(own)
    assert of_train == set(train) - of_section - by_the_sweep.get(stage, set())


@pytest.mark.parametrize("profiles", ["", "demo", "paper", "paper amazon taobao", "paper short"])
def test_every_data_set_that_is_asked_for_is_fetched_and_preprocessed_once(
    profiles: str, project: Path
) -> None:
    for profile in profiles.split():
        apply_profile(PROJECT / f"profiles/{profile}.yaml", project / "params.yaml")
    params = paths.params()
    prepared = params["preprocess"]["datasets"]
    assert len(set(prepared)) == len(prepared)
    assert unprepared(params) == []
    for name in prepared:
        spec = dataset_spec(name)
        assert set(spec.raw) <= set(params["sources"])
        if spec.source == "generated_taobao":
            assert spec.themes <= params["generated_taobao"]["domains"]


def test_the_readme_shows_the_committed_results() -> None:
    readme = (PROJECT / "README.md").read_text()
    assert updated(readme, PROJECT / "reports") == readme, "run `make readme`"


def test_a_block_of_the_readme_takes_its_own_table(tmp_path: Path) -> None:
    readme = (PROJECT / "README.md").read_text()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "lt4rec_tasks.md").write_text("| a table |\n")
    text = updated(readme, tmp_path)
    assert "<!-- lt4rec-results -->\n| a table |\n<!-- /lt4rec-results -->" in text
    assert with_results(text, "", "lt4rec-results") == with_results(readme, "", "lt4rec-results")
    (tmp_path / "ablations/tables").mkdir(parents=True)
    (tmp_path / "ablations/tables/mlora_alpha.md").write_text("| alpha |\n")
    text = updated(readme, tmp_path)
    assert "<!-- alpha-results -->\n| alpha |\n<!-- /alpha-results -->" in text
    assert "<!-- lt4rec-results -->\n| a table |\n" in text
    with pytest.raises(ValueError, match="lacks the lines <!-- other -->"):
        with_results(readme, "", "other")


def test_no_large_or_raw_file_is_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split("\0"):
        path = PROJECT / name
        if name and path.is_file():
            assert path.stat().st_size < 500_000, name
            assert path.suffix not in {".dat", ".parquet", ".safetensors", ".pkl", ".gz"}, name
