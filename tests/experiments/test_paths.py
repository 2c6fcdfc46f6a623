"""Where relative paths start: in a file from the file's folder, in overrides from the working directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from experiments.cli import app
from experiments.comparing.experiment_file import Experiment
from experiments.config import RunConfig, load_config
from experiments.pipeline import run, search, train
from experiments.run.folder import RunFolder
from experiments.tuning.config import load_tune_config
from search_spaces.named_layers import named_layers
from spt.architecture import PromptLayers
from spt.errors import InputError
from tests.support.tiny import make_data

TRIAL = "python3 -m experiments.trial --config"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a folder `files`; both have the same data and backbone."""
    for folder in (tmp_path, tmp_path / "files"):
        (folder / "backbone").mkdir(parents=True)
        (folder / "data").mkdir()
        (folder / "rows.csv").touch()
        (folder / "layers.json").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, tree: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


VALUES: dict[str, tuple[str, Callable[[RunConfig], Any]]] = {
    "data.train": ("rows.csv", lambda config: config.data.train),
    "data.source": ("data", lambda config: config.data.source),
    "task.source": ("data", lambda config: config.task.source),
    "backbone.name": ("backbone", lambda config: config.backbone.name),
}


@pytest.mark.parametrize("key", VALUES)
def test_a_path_starts_from_where_it_is_written(key: str, home: Path) -> None:
    name, value_of = VALUES[key]
    section, option = key.split(".")
    file = write(home / "files" / "run.yml", {section: {option: name}})
    assert str(value_of(load_config(file))) == str(home / "files" / name)
    assert str(value_of(load_config(file, {key: name}))) == str(home / name)
    assert str(value_of(load_config(None, {key: name}))) == str(home / name)
    assert str(value_of(load_config(None, {section: {option: Path(name)}}))) == str(home / name)
    assert str(value_of(load_config(Path("files/run.yml")))) == str(home / "files" / name)


def test_layers_of_another_run_start_from_the_file(home: Path) -> None:
    tree = {"search": {"strategy": "manual", "manual_layers": "layers.json"}}
    config = load_config(write(home / "files" / "run.yml", tree))
    assert config.search.manual_layers == str(home / "files" / "layers.json")


def test_names_are_no_paths(home: Path) -> None:
    for name in ("trec", "minilm-l6"):
        (home / "files" / name).mkdir()
    tree = {
        "data": {"source": "trec"},
        "backbone": {"name": "minilm-l6"},
        "search": {"strategy": "manual", "manual_layers": "middle"},
    }
    config = load_config(write(home / "files" / "run.yml", tree), {"task": "sst2"})
    assert (config.data.source, config.backbone.name) == ("trec", "minilm-l6")
    assert config.search.manual_layers == "middle"
    hub = load_config(None, {"backbone.name": "FacebookAI/roberta-base", "data.source": "SetFit/sst5"})
    assert (hub.backbone.name, hub.data.source) == ("FacebookAI/roberta-base", "SetFit/sst5")


def test_a_home_folder_and_absolute_paths_stay(home: Path) -> None:
    tree = {"data": {"train": "~/rows.csv", "test": "/data/rows.csv"}}
    data = load_config(write(home / "files" / "run.yml", tree)).data
    assert (data.train, data.test) == (Path("~/rows.csv").expanduser(), Path("/data/rows.csv"))


def test_splits_of_several_seeds_start_from_the_file(home: Path) -> None:
    file = write(home / "files" / "run.yml", {"data": {"source": "data/16-{seed}"}})
    assert load_config(file).data.source == str(home / "files" / "data" / "16-{seed}")


def test_a_link_keeps_its_name_by_whose_ending_its_format_is_known(home: Path) -> None:
    (home / "files" / "linked.csv").symlink_to(home / "rows.csv")
    file = write(home / "files" / "run.yml", {"data": {"train": "linked.csv"}})
    assert load_config(file).data.train == home / "files" / "linked.csv"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("data.train", "own/rows.csv"),
        ("data.source", "own"),
        ("data.source", "own/16-{seed}"),
        ("backbone.name", "own"),
    ],
)
def test_a_path_that_only_the_working_directory_has_is_refused_with_what_to_write(
    key: str, name: str, home: Path
) -> None:
    (home / "own").mkdir()
    (home / "own" / "rows.csv").touch()
    section, option = key.split(".")
    with pytest.raises(InputError) as error:
        load_config(write(home / "files" / "run.yml", {section: {option: name}}))
    for part in (key, str(home / "files" / name), str(home / name), f"write '../{name}'"):
        assert part in str(error.value)


SPACE = {"training.epochs": {"_type": "randint", "_value": [1, 3]}}


def test_a_study_finds_its_run_and_the_run_its_data(home: Path) -> None:
    write(home / "files" / "runs" / "run.yml", {"data": {"train": "../rows.csv"}})
    study = write(home / "files" / "tune.yml", {"run": "runs/run.yml", "searchSpace": SPACE})
    assert load_tune_config(study).run.data.train == home / "files" / "rows.csv"
    changed = load_tune_config(study, {"run": "files/runs/run.yml"})
    assert changed.run.data.train == home / "files" / "rows.csv"


def test_keys_of_a_study_follow_the_rule(home: Path) -> None:
    rows = {"_type": "choice", "_value": ["rows.csv"]}
    tree = {"run": {"data": {"train": "rows.csv"}}, "searchSpace": {**SPACE, "data.train": rows}}
    study = write(home / "files" / "tune.yml", tree)
    assert load_tune_config(study).run.data.train == home / "files" / "rows.csv"
    assert load_tune_config(study).search_space["data.train"]["_value"] == [str(home / "files" / "rows.csv")]
    assert load_tune_config(study, {"run.data.train": "rows.csv"}).run.data.train == home / "rows.csv"


def test_choices_of_an_experiment_start_where_nni_runs_the_trials(home: Path) -> None:
    write(home / "files" / "run.yml", {})
    tree = {
        "trialCommand": f"{TRIAL} files/run.yml",
        "trialCodeDirectory": "..",
        "searchSpace": {"data.train": {"_type": "choice", "_value": ["files/rows.csv", "rows.csv"]}},
    }
    experiment = Experiment.load(write(home / "files" / "compare.yml", tree))
    first, second = experiment.cells()
    assert first.config.data.train == home / "files" / "rows.csv"
    assert second.config.data.train == home / "rows.csv"
    (other,) = experiment.cells({"data.train": ["rows.csv"]})
    assert other.config.data.train == home / "rows.csv"


def test_a_run_goes_on_where_its_data_was_moved_and_only_then(home: Path) -> None:
    def run_of(data: str) -> RunConfig:
        return load_config(None, {"data.train": data, "backbone.name": "backbone"})

    folder, before = RunFolder(home / "run"), run_of("files/rows.csv")
    with folder.claimed(before):
        pass
    with pytest.raises(InputError, match=r"another config \(different: data\.train\)"):
        folder.check(run_of("rows.csv"))
    (home / "files" / "rows.csv").unlink()
    folder.check(run_of("rows.csv"))
    with pytest.raises(InputError, match=r"different: data\.train"):
        folder.check(run_of("other.csv"))


def test_a_run_of_an_older_version_goes_on_with_the_path_that_it_wrote(home: Path) -> None:
    older = RunConfig.model_validate({"data": {"train": "rows.csv"}, "backbone": {"name": "backbone"}})
    folder = RunFolder(home / "run")
    with folder.claimed(older):
        pass
    folder.check(load_config(None, {"data.train": "rows.csv", "backbone.name": "./backbone"}))
    with pytest.raises(InputError, match=r"different: backbone\.name"):
        folder.check(load_config(None, {"data.train": "rows.csv", "backbone.name": "files/backbone"}))


# --- the home folder


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the folder `files` the home folder of the user."""
    monkeypatch.setenv("HOME", str(home / "files"))
    return home / "files"


def test_a_config_and_a_run_may_be_in_the_home_folder(at_home: Path) -> None:
    write(at_home / "run.yml", {"name": "mine", "data": {"train": "~/rows.csv"}})
    config = load_config(Path("~/run.yml"), {"backbone.name": "~/backbone"})
    assert (config.data.train, config.backbone.name) == (at_home / "rows.csv", str(at_home / "backbone"))
    layers = PromptLayers.of([1], 4)
    layers.save(Path("~/own.json"))
    assert PromptLayers.load(Path("~/own.json")) == named_layers("~/own.json", 4) == layers
    # what is wrong is told of the folder at home, and none of the name `~` is made
    (at_home / "run").mkdir()
    write(at_home / "run" / "config.yml", {"no": "run"})
    for command in (run, search, train):
        with pytest.raises(InputError, match=f"'{at_home}/run' holds a config.yml that no run wrote"):
            command(config, Path("~/run"))


def test_a_study_and_an_experiment_may_name_the_home_folder(at_home: Path) -> None:
    write(at_home / "run.yml", {"name": "mine"})
    tree = {"run": "~/run.yml", "searchSpace": SPACE, "storage_path": "~/trials"}
    study = load_tune_config(write(at_home.parent / "tune.yml", tree))
    assert (study.run.name, study.storage_path) == ("mine", str(at_home / "trials"))
    choices = {"data.train": {"_type": "choice", "_value": ["rows.csv"]}}
    for config, folder in (("run.yml", "~"), ("~/run.yml", ".")):
        keys = {"trialCommand": f"{TRIAL} {config}", "trialCodeDirectory": folder, "searchSpace": choices}
        experiment = Experiment.load(write(at_home.parent / "compare.yml", keys))
        assert experiment.config == at_home / "run.yml"


def test_paths_of_commands_may_begin_with_the_home_folder(at_home: Path) -> None:
    make_data(at_home / "rows.csv", 40)
    result = CliRunner().invoke(app, ["init", "~/rows.csv", "--output=~/run.yml"])
    assert (result.exit_code, (at_home / "run.yml").is_file()) == (0, True), result.output
    assert CliRunner().invoke(app, ["config", "~/run.yml"]).exit_code == 0
    for arguments in (["predict", "model", "--ensemble=~nobody-here"], ["audit", "~nobody-here"]):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, "'~nobody-here' is no path" in result.output) == (2, True)
