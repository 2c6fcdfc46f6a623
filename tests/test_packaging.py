"""The wheel holds what it needs and works away from the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.support.ray_processes import private_ray
from tests.support.tiny import tiny_tree

ROOT = Path(__file__).parents[1]
PACKAGES = ("spt", "search_spaces", "strategies", "experiments")
SOURCES = ("pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.slow


def output(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel and source distribution of a copy of the checkout."""
    source = tmp_path_factory.mktemp("source")
    for room in (*PACKAGES, "benchmarks", "tests"):
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    output(sys.executable, "-m", "build", "--wheel", "--sdist", "--no-isolation", source, cwd=source)
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel, whose dependencies are the running one's."""
    folder = tmp_path_factory.mktemp("environment")
    output(sys.executable, "-m", "venv", folder, cwd=folder)
    output(folder / "bin" / "pip", "install", "--no-deps", "--no-index", wheel, cwd=folder)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


def test_the_wheel_holds_every_module_and_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = (".py", ".yml", ".yaml", ".html", ".md", ".json", "py.typed")
    here = {
        str(path.relative_to(ROOT))
        for room in PACKAGES
        for path in (ROOT / room).rglob("*")
        if path.name.endswith(kept)
    }
    assert here <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_benchmarks_are_in_the_checkout_only(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        assert not [name for name in files.getnames() if "/benchmarks" in name]


def test_the_command_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    spt = installed / "spt"
    assert output(spt, "--version", cwd=tmp_path).strip() == "spt 0.1.0"
    assert "Usage" in output(spt, "--help", cwd=tmp_path)
    where = output(installed / "python", "-c", "import spt; print(spt.__file__)", cwd=tmp_path)
    assert str(installed.parent) in where

    (tmp_path / "config.yml").write_text(yaml.safe_dump(tiny_tree(tmp_path)), encoding="utf-8")
    (tmp_path / "all.yml").write_text(output(spt, "config", cwd=tmp_path), encoding="utf-8")
    said = output(spt, "run", "config.yml", cwd=tmp_path)
    assert "test accuracy" in said
    for chatter in ("GPU available", "Tip:", "Warning", "it/s", "LOAD REPORT"):
        assert chatter not in said
    (tmp_path / "texts.txt").write_text("it was fine\n", encoding="utf-8")
    assert '"label"' in output(spt, "predict", "runs/tiny/model", "texts.txt", cwd=tmp_path)
    read = output(spt, "neighbours", "model", "--text", "it was fine", cwd=tmp_path / "runs" / "tiny")
    assert "random vector" in read


@pytest.mark.ray
def test_a_comparison_and_a_study_work_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    spt, files, elsewhere = installed / "spt", tmp_path / "files", tmp_path / "elsewhere"
    files.mkdir()
    elsewhere.mkdir()
    quick = tiny_tree(tmp_path, search={"strategy": "manual", "manual_layers": [1]}, training={"epochs": 1})
    quick["data"]["train"], quick["backbone"]["name"] = "../data.csv", "../backbone"
    (files / "run.yml").write_text(yaml.safe_dump(quick), encoding="utf-8")
    experiment = {
        "experimentName": "lengths",
        "trialCommand": "python3 -m experiments.trial --config run.yml",
        "searchSpace": {"prompt.length": {"_type": "choice", "_value": [2]}},
    }
    (files / "compare.yml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    assert "2" in output(spt, "compare", "../files/compare.yml", "--workers", 1, cwd=elsewhere)
    assert (elsewhere / "runs" / "lengths" / "report.html").exists()
    study = {
        "run": "run.yml",
        "trials": 1,
        "asha": None,
        "searchSpace": {"training.learning_rate": {"_type": "uniform", "_value": [0.01, 0.02]}},
    }
    (files / "tune.yml").write_text(yaml.safe_dump(study), encoding="utf-8")
    with private_ray():
        output(spt, "tune", "../files/tune.yml", "--quiet", cwd=elsewhere)
    assert "again" in output(spt, "run", "runs/tune/best.yml", "name=again", cwd=elsewhere)
    assert {path.name for path in elsewhere.iterdir()} == {"runs"}
