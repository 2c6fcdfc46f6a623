"""The options of the strategies: ranges, what is shared, and that they are light."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from strategies.consistency import DISTANCES
from strategies.derivation import DERIVATIONS, DerivationOptions
from strategies.options import (
    OPTIONS,
    EvolutionOptions,
    GateOptions,
    GradientOptions,
    GumbelDartsOptions,
    ManualOptions,
    Options,
    SptDartsOptions,
    StrategyOptions,
    chosen_strategy,
    only_for,
    readers,
    search_as_written,
    stored_options,
)


def test_importing_them_loads_no_framework() -> None:
    program = (
        "import strategies.options, sys; "
        "print([name for name in ('torch', 'nni', 'pytorch_lightning', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_union_is_of_all_of_them() -> None:
    union = get_args(get_args(Options)[0])
    assert {mark.tag: options for options, mark in map(get_args, union)} == OPTIONS
    assert {name: chosen_strategy(options()) for name, options in OPTIONS.items()} == {n: n for n in OPTIONS}


@pytest.mark.parametrize("options", OPTIONS.values())
def test_each_option_has_a_text_and_a_default_and_is_frozen(options: type[StrategyOptions]) -> None:
    for name, field in options.model_fields.items():
        assert not field.is_required(), name
        assert field.description or name == "engine", name
    with pytest.raises(ValidationError, match="frozen"):
        options().budget_flops = 1.0  # type: ignore[misc]


def test_the_choices_are_those_that_are_implemented() -> None:
    assert set(get_args(SptDartsOptions.model_fields["distance"].annotation)) == set(DISTANCES)
    assert set(get_args(GateOptions.model_fields["derivation"].annotation)) == set(DERIVATIONS)


def test_derivations_have_the_defaults_of_the_options() -> None:
    options = SptDartsOptions()
    assert DerivationOptions(options.derivation_evaluations, 0, options.threshold) == DerivationOptions()


@pytest.mark.parametrize(
    ("given", "concurrent"),
    [
        ({}, 1),
        ({"population": 4}, 1),
        ({"engine": {"kind": "ray"}}, 6),
        ({"engine": {"kind": "ray"}, "population": 4}, 4),
        ({"engine": {"kind": "ray"}, "concurrent": 2}, 2),
    ],
)
def test_an_evolution_on_ray_trains_its_population_at_a_time(given: dict[str, Any], concurrent: int) -> None:
    assert EvolutionOptions(**given).concurrent == concurrent


def test_what_a_program_wrote_before_there_was_a_distance_has_none() -> None:
    written = GradientOptions().model_dump(exclude={"least_distance"})
    assert search_as_written(written)["least_distance"] == 1
    assert search_as_written({**written, "least_distance": 4})["least_distance"] == 4
    assert search_as_written({"k": 3}) == {"k": 3}
    others = SptDartsOptions().model_dump()
    assert search_as_written(others) == others
    # what a user writes out has the default of today
    assert GradientOptions(**written).least_distance is None


@pytest.mark.parametrize(
    ("strategy", "option", "message"),
    [
        ("spt_darts", {"k": 0}, "k\n.*greater than or equal to 1"),
        ("spt_darts", {"distance": "mae"}, "'mse' or 'kl'"),
        ("spt_darts", {"derivation": "topk"}, "'top_k'"),
        ("spt_darts", {"gate_learning_rate": 0.0}, "greater than 0"),
        ("spt_darts", {"gate_weight_decay": -1.0}, "greater than or equal to 0"),
        ("spt_darts", {"consistency": -1.0}, "greater than or equal to 0"),
        ("spt_darts", {"mask_probability": 1.0}, "less than 1"),
        ("spt_darts", {"shrink": -1}, "greater than or equal to 0"),
        ("spt_darts", {"patience": -1}, "greater than or equal to 0"),
        ("spt_darts", {"derivation": "threshold"}, "may find fewer than k layers, but exactly is true; set"),
        ("darts", {"gate_every": 0}, "greater than or equal to 1"),
        ("darts", {"warmup_epochs": 4}, r"warmup_epochs is 4, but must be less than epochs \(4\)"),
        ("gumbel_darts", {"temperature": 0.0}, "greater than 0"),
        ("gumbel_darts", {"least_temperature": 0.0}, "greater than 0"),
        (
            "gumbel_darts",
            {"temperature": 0.5, "least_temperature": 0.6},
            r"least_temperature is 0\.6, but must be at most temperature \(0\.5\)",
        ),
        ("one_shot_random", {"derivation_evaluations": 0}, "greater than or equal to 1"),
        ("random", {"evaluations": 0}, "greater than or equal to 1"),
        ("evolution", {"population": 1}, "greater than or equal to 2"),
        (
            "evolution",
            {"population": 4, "tournament": 5},
            r"tournament is 5, but must be at most population \(4\)",
        ),
        ("evolution", {"concurrent": 0}, "concurrent\n.*greater than or equal to 1"),
        ("exhaustive", {"engine": {"cpus": 0}}, "greater than or equal to 1"),
        ("manual", {"manual_layers": 3}, "manual_layers"),
        (
            "manual",
            {"manual_layers": {1: "generatd"}},
            "'generatd' is no kind of what a layer gets: name one of",
        ),
        ("manual", {"manual_layers": {1: "free_513"}}, "'free_513' is no kind"),
        ("manual", {"manual_layers": {1: "scaling_5"}}, "'scaling_5' is no kind"),
        ("darts", {"kinds": ["free", "none"]}, "kinds.1"),
        ("darts", {"kinds": ["free", "free"]}, r"\['free'\] are named twice"),
        ("darts", {"lengths": [0]}, "greater than or equal to 1"),
        ("darts", {"lengths": [5, 5]}, r"\[5\] are named twice"),
        ("gradient", {"least_distance": 0}, "greater than or equal to 1"),
        ("spt_darts", {"least_distance": 2}, "Extra inputs are not permitted"),
        ("probe", {"kinds": ["free"]}, "Extra inputs are not permitted"),
        ("manual", {"k": 2}, "Extra inputs are not permitted"),
        ("random", {"strategy": "darts"}, "Input should be 'random'"),
    ],
    ids=str,
)
def test_what_is_out_of_its_range_is_refused(strategy: str, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=rf"(?s){message}"):
        OPTIONS[strategy](**option)


def test_who_reads_an_option() -> None:
    assert readers("budget_flops") == list(OPTIONS)
    assert readers("temperature") == ["gumbel_darts"]
    assert readers("layers") == readers("k") == [name for name in OPTIONS if name != "manual"]
    assert readers("zzz") == []


def test_only_the_options_of_others_are_left_out() -> None:
    options = {"k": 1, "epochs": 3, "temperature": 2.0, "population": 3, "zzz": 1}
    assert only_for("gumbel_darts", options) == {"k": 1, "epochs": 3, "temperature": 2.0, "zzz": 1}
    assert only_for("manual", options) == {"zzz": 1}
    # the default strategy where none is named
    assert stored_options({**options, "compare_derivations": True}) == {"k": 1, "zzz": 1}


def test_options_given_as_an_object_stay_as_they_are() -> None:
    assert chosen_strategy(GumbelDartsOptions()) == "gumbel_darts"
    assert ManualOptions(manual_layers="every_2").model_dump() == {
        "strategy": "manual",
        "budget_flops": None,
        "manual_layers": "every_2",
    }
