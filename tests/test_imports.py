"""Which room may know which, spt <- search_spaces <- strategies <- experiments <- benchmarks, and what."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks.imports import (
    ROOMS,
    WAY_UP,
    Modules,
    all_circles,
    imported_modules,
    reached,
    read_modules,
    wrong_ways,
)

# modules that their libraries do not document
INNER = ("transformers.models.", "nni.runtime.", "nni.nas.oneshot.", "nni.nas.execution.", "nni.mutable.")
ROOT = Path(__file__).parents[1]
# where a framework may be imported: a room, a folder or a file
FRAMEWORKS = {
    "nni": [
        "search_spaces",
        "strategies",
        "experiments.nni_trials",
        "experiments.trial",
        "experiments.comparing.experiment_file",
        "experiments.run.searching",
    ],
    "ray": ["strategies.ray_engine", "experiments.cluster", "experiments.tuning", "benchmarks.tuning"],
    "optuna": ["experiments.tuning", "experiments.nni_trials.tuner", "benchmarks.tuning"],
    "typer": [
        "experiments.cli",
        "experiments.commands",
        "experiments.console",
        "benchmarks.cli",
        "benchmarks.commands",
    ],
    "rich": ["experiments", "benchmarks.demo"],
    "transformers": ["spt", "benchmarks.cost", "benchmarks.fuzz", "benchmarks.serving"],
    "datasets": ["spt.data", "benchmarks.equal_operations.setfit_worker"],
    "setfit": ["benchmarks.equal_operations.setfit_worker"],
    "sentence_transformers": ["benchmarks.equal_operations.setfit_worker"],
    "jinja2": ["spt.templates"],
    "huggingface_hub": ["spt.hub", "spt.assets", "spt.process.quiet", "experiments.checking"],
    "tqdm": ["experiments.comparing"],
    "onnxruntime": ["spt.export"],
    "matplotlib": [
        "spt.reports",
        "experiments.comparing",
        "experiments.tuning",
        "benchmarks.cost",
        "benchmarks.equal_operations",
        "benchmarks.serving",
    ],
    "pytorch_lightning": ["spt.training", "strategies"],
    "gguf": ["spt.converters"],
    "psutil": ["spt.storage.files", "experiments.nni_trials", "benchmarks.crash", "benchmarks.http_load"],
    "pebble": ["experiments.comparing"],
    "tensorboardX": ["experiments.tracking.tensorboard"],
    "mlflow": ["experiments.tracking.mlflow"],
    "wandb": ["experiments.tracking.wandb"],
    "trackio": ["experiments.tracking.trackio"],
    "peft": ["benchmarks"],
    "httpx": ["benchmarks.http_load"],
    "fastapi": ["experiments.serving", "experiments.cluster.serving"],
    "uvicorn": ["experiments.serving"],
    "prometheus_client": ["experiments.serving"],
    "playwright": ["benchmarks.pages"],
}
# the import name, where it differs from the name in pyproject.toml
PACKAGES = {
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "lightning_fabric": "pytorch-lightning",
    # of an environment apart, which mypy is told of
    "sentence_transformers": "sentence_transformers",
}


@pytest.fixture(scope="module")
def modules() -> Modules:
    return read_modules(ROOT)


def external(modules: Modules) -> set[tuple[str, str]]:
    """(module, top-level name that it imports) of all modules."""
    return {(name, imported.split(".")[0]) for name, module in modules.items() for imported in module.imports}


def test_a_room_imports_only_those_before_it(modules: Modules) -> None:
    assert wrong_ways(modules) == []


def test_the_front_door_is_the_one_way_up(modules: Modules) -> None:
    assert WAY_UP == ("spt", "experiments.estimator")
    upwards = {name for name in imported_modules(modules)["spt"] if not name.startswith("spt.")}
    assert upwards == {"experiments.estimator"}


def test_no_modules_and_no_folders_of_a_room_import_each_other_in_a_circle(modules: Modules) -> None:
    assert all_circles(modules) == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_is_imported_where_it_belongs_only(framework: str, modules: Modules) -> None:
    users = [name for name, imported in external(modules) if imported == framework]
    assert users
    places = FRAMEWORKS[framework]
    assert not [name for name in users if not any(f"{name}.".startswith(f"{place}.") for place in places)]
    # a place that does not use it any more is not in the table
    assert not [place for place in places if not any(f"{name}.".startswith(f"{place}.") for name in users)]


def test_what_is_imported_is_a_declared_dependency(modules: Modules) -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = {*ROOMS, *sys.stdlib_module_names}
    names = {imported for _, imported in external(modules)} - known
    missing = [name for name in names if f'"{PACKAGES.get(name, name.replace("_", "-"))}' not in declared]
    assert not missing


def test_what_is_used_from_inside_a_library_has_an_upper_bound(modules: Modules) -> None:
    inside = {
        imported.split(".")[0]
        for module in modules.values()
        for imported in module.imports
        if any(part.startswith("_") for part in imported.split(".")) or imported.startswith(INNER)
    } - {*ROOMS, *sys.stdlib_module_names}
    assert inside >= {"ray", "torch", "transformers", "nni"}
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = declared["project"]["dependencies"]
    bounded = {re.split(r"[\[<>=]", each)[0] for each in requirements if "<" in each or "==" in each}
    assert sorted({PACKAGES.get(name, name.replace("_", "-")) for name in inside} - bounded) == []


def test_the_tests_of_spt_know_no_later_room() -> None:
    tests = read_modules(ROOT, ["tests"])
    edges = imported_modules(tests)
    behind = {name: {name, *reached(name, edges)} for name in tests if name.startswith("tests.spt")}
    assert behind
    later = {
        (name, imported)
        for name, others in behind.items()
        for other in others
        for imported in tests[other].imports
        if imported.split(".")[0] in ROOMS[1:]
    }
    assert sorted(later) == []
