"""Jinja templates that stand in the `templates` folder of a package."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def templates_of(package: str, **filters: Callable[[Any], str]) -> Environment:
    """Load a package's templates: HTML escapes what it shows, and Markdown leaves that to its filters.

    A name that a template has and its caller does not give is an error.

    Args:
        package: whose folder it is.
        filters: by the names that the templates use.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    return environment
