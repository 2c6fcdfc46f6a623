"""What is installed: Python, the packages that this one asks for, and those of its extras."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from experiments.doctor.finding import Finding
from spt.process.extras import EXTRAS, install_command, is_installed

PROJECT = "spt-nas"
REINSTALL = "Install spt-nas again into a virtual environment of its own: `pip install spt-nas`."
# without these no command that trains works; the others are told if they are wrong
SHOWN = ("torch", "transformers", "datasets", "nni", "ray", "optuna", "pytorch-lightning")


def look_at_packages() -> Iterator[Finding]:
    """Yield the versions of Python and of the main packages, and every package that is missing or too old."""
    yield Finding("Python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    try:
        needed = [Requirement(text) for text in requires(PROJECT) or ()]
        yield Finding(PROJECT, version(PROJECT))
    except PackageNotFoundError:
        yield Finding(PROJECT, "is not installed as a package", "broken", REINSTALL)
        return
    for requirement in needed:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from _requirement(requirement)


def look_at_extras() -> Iterator[Finding]:
    """Yield each package that only some users need, and the command that installs it."""
    for package in EXTRAS:
        if is_installed(package):
            yield Finding(package, version(package))
        else:
            yield Finding(package, "not installed", "note", f"If you need it: {install_command(package)}")


def _requirement(requirement: Requirement) -> Iterator[Finding]:
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        yield Finding(requirement.name, "is not installed", "broken", REINSTALL)
        return
    if not requirement.specifier.contains(installed, prereleases=True):
        wanted = f"{installed}, but {requirement.specifier} is needed"
        yield Finding(requirement.name, wanted, "broken", REINSTALL)
    elif requirement.name in SHOWN:
        yield Finding(requirement.name, installed)
