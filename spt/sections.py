"""What all sections of a configuration have in common: known keys alone, and numbers that are numbers."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo, field_validator


class ConfigSection(BaseModel):
    """Refuse unknown keys, true and false in the place of numbers and texts, and numbers without a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: Any, info: ValidationInfo) -> Any:
        # Python takes true for 1
        inside = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(item, bool) for item in inside) and not _may_be_switch(cls, str(info.field_name)):
            raise ValueError(
                "true and false are no number and no text; YAML reads yes, no, on and off so, too: put it in "
                "quotes"
            )
        return value


def as_written(options: Mapping[str, Any], together: Set[str], meant: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a section that a program wrote as it meant it: what it did not know yet has not today's default.

    Args:
        options: of the section, by name.
        together: what every version has written; options without some of it are as a user gave them.
        meant: what the lack of later options stood for.
    """
    return {**meant, **options} if options.keys() >= together else options


def problems_of(error: ValidationError) -> list[dict[str, Any]]:
    """Return the problems that a reader can mend: no defaults that were to follow from a wrong field."""
    return [
        {**each, "msg": each["msg"].removeprefix("Value error, ")}
        for each in error.errors()
        if each["type"] != "default_factory_not_called"
    ]


@cache
def _may_be_switch(section: type[BaseModel], field: str) -> bool:
    """Say whether a field may be true or false, or anything, or judges itself what it is given."""
    info = section.model_fields[field]
    if any(isinstance(each, BeforeValidator) for each in info.metadata):
        return True
    waiting = [info.annotation]
    while waiting:
        annotation = waiting.pop()
        if annotation in (bool, Any):
            return True
        waiting.extend(get_args(annotation))
    return False
