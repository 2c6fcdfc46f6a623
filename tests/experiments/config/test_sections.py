"""No section of a configuration takes true for 1, or a number without a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from experiments.config import RunConfig
from experiments.tuning.config import TuneConfig
from spt.sections import ConfigSection
from spt.spec import ModelSpec
from strategies.options import OPTIONS


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            annotation: Any = waiting.pop()
            waiting.extend(get_args(annotation))
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from sections(annotation)


SECTIONS = dict.fromkeys(
    each for root in (RunConfig, TuneConfig, ModelSpec, *OPTIONS.values()) for each in sections(root)
)


def takes(annotation: Any, kinds: tuple[type, ...]) -> bool:
    return annotation in kinds or any(takes(inner, kinds) for inner in get_args(annotation))


FIELDS = [(section, name) for section in SECTIONS for name in section.model_fields]
NUMBERS = [(s, n) for s, n in FIELDS if takes(s.model_fields[n].annotation, (int, float))]
# windows: true asks for the usual number; class_weights is a word or a mapping, which has its own tests
OTHER_RULES = ("windows", "class_weights")
PLAIN = [(s, n) for s, n in NUMBERS if n not in OTHER_RULES]
SWITCHES = [(s, n) for s, n in FIELDS if takes(s.model_fields[n].annotation, (bool,))]


def problem(section: type[BaseModel], name: str, value: Any) -> str:
    with pytest.raises(ValidationError) as error:
        section.model_validate({name: value})
    return "; ".join(each["msg"] for each in error.value.errors() if each["loc"][:1] == (name,))


def test_every_section_is_of_the_one_kind() -> None:
    assert len(NUMBERS) > 30 and all(issubclass(section, ConfigSection) for section in SECTIONS)


@pytest.mark.parametrize(("section", "name"), PLAIN, ids=[f"{s.__name__}.{n}" for s, n in PLAIN])
def test_numbers_are_neither_switches_nor_endless(section: type[BaseModel], name: str) -> None:
    for value in (True, [True, 1]):
        assert problem(section, name, value)
    assert "put it in quotes" in problem(section, name, True)
    for value in (float("inf"), float("nan"), -float("inf")):
        assert problem(section, name, value)


@pytest.mark.parametrize(("section", "name"), SWITCHES, ids=[f"{s.__name__}.{n}" for s, n in SWITCHES])
def test_switches_are_taken(section: type[BaseModel], name: str) -> None:
    try:
        section.model_validate({name: False})
    except ValidationError as error:
        assert all(each["loc"] != (name,) for each in error.errors())


@pytest.mark.parametrize(("section", "name"), NUMBERS, ids=[f"{s.__name__}.{n}" for s, n in NUMBERS])
def test_whole_numbers_that_nothing_has_are_refused(section: type[BaseModel], name: str) -> None:
    if section.model_fields[name].annotation is int:
        assert problem(section, name, 10**20)
