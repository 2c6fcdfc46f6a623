"""The schema: a configuration of the defaults, in which every option is explained."""

from __future__ import annotations

import yaml
from pydantic import BaseModel

from experiments.config import RunConfig, checked
from experiments.schema import schema_lines
from spt.tasks import TASKS
from strategies.options import (
    OPTIONS,
)


def test_the_schema_shows_the_options_of_other_strategies_as_comments() -> None:
    lines = list(schema_lines(RunConfig))
    start = lines.index("  # read by random, evolution, exhaustive:")
    assert lines[start + 1].startswith("  # evaluations: 16  # ")
    assert lines[start + 2 : start + 4][0] == "  # engine:"
    assert lines[start + 3].startswith("  #   kind: sequential  # ")
    start = lines.index("  # read by spt_darts, darts, gumbel_darts:")
    assert lines[start + 1].startswith("  # gate_learning_rate: 0.05  # ")
    assert [line[:6] for line in lines if line.startswith("  k: ")] == ["  k: 2"]
    assert sum(line.lstrip(" #").startswith("strategy: ") for line in lines) == 1


def leaves(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Dotted keys of a config with their descriptions, the task as one."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "search":
            for options in OPTIONS.values():
                found |= leaves(options, "search.")
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and name != "task":
            found |= leaves(kind, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = field.description or ""
    return found


def test_the_schema_is_a_config_of_the_defaults_with_every_key_explained() -> None:
    lines = list(schema_lines(RunConfig))
    text = "\n".join(lines)
    assert checked(yaml.safe_load(text), "schema") == RunConfig()
    for key, description in leaves(RunConfig).items():
        name = key.rpartition(".")[2]
        assert description, key
        assert any(line.lstrip(" #").startswith(f"{name}: ") and description in line for line in lines), key
    for name in TASKS:
        assert name in text


def test_no_option_is_in_the_config_without_a_doc_or_of_two_minds() -> None:
    """A dumped config is read back as the same one."""
    config = RunConfig()
    assert checked(config.model_dump(mode="json"), "x") == config
    assert all(leaves(RunConfig).values())
