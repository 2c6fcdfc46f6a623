"""CITATION.cff says what its format asks for, and CHANGELOG.md has the form that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# of the Citation File Format 1.2.0: what must be there, what may be, and of a reference likewise
REQUIRED = {"cff-version", "message", "title", "authors"}
KEYS = {
    *REQUIRED,
    *(
        "abstract",
        "commit",
        "contact",
        "date-released",
        "doi",
        "identifiers",
        "keywords",
        "license",
        "license-url",
    ),
    *(
        "preferred-citation",
        "references",
        "repository",
        "repository-artifact",
        "repository-code",
        "type",
        "url",
    ),
    "version",
}
REFERENCE_REQUIRED = {"type", "title", "authors"}
PERSON = {
    "affiliation",
    "alias",
    "email",
    "family-names",
    "given-names",
    "name-particle",
    "name-suffix",
    "orcid",
}
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def declared() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def test_the_citation_has_the_keys_of_its_format(citation: dict[str, Any]) -> None:
    assert set(citation) >= REQUIRED
    assert set(citation) <= KEYS
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert all(isinstance(word, str) for word in citation["keywords"])


def test_the_citation_names_who_made_what_is_cited(citation: dict[str, Any]) -> None:
    for work in (citation, *citation["references"]):
        assert set(work) >= REFERENCE_REQUIRED
        for author in work["authors"]:
            # an entity has a name, a person parts of one
            assert set(author) == {"name"} or set(author) <= PERSON
    (paper,) = citation["references"]
    assert paper["type"] == "article" and isinstance(paper["year"], int)
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2310.20127"}]
    assert re.fullmatch(r"https://\S+", paper["url"])


def test_the_citation_is_of_what_pyproject_declares(citation: dict[str, Any]) -> None:
    project = declared()
    assert (citation["title"], str(citation["version"])) == (project["name"], project["version"])
    assert citation["license"] == project["license"]
    owner = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert citation["authors"][0]["name"] in owner


def test_the_changelog_has_the_form_that_it_names() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert kinds and set(kinds) <= set(KINDS)


def test_the_changelog_speaks_of_the_version_that_is_declared() -> None:
    assert declared()["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_commands_in_the_changelog_exist() -> None:
    # typer's application
    from experiments.cli import app  # noqa: PLC0415

    names = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    named = set(re.findall(r"`spt ([a-z]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    assert named and named <= {name.replace("_", "-") for name in names}
