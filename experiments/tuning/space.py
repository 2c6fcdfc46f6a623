"""NNI's search spaces in Optuna's terms: what our NNI tuner and Ray Tune both ask Optuna for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spt.errors import InputError, unknown

TYPES = ("choice", "loguniform", "quniform", "randint", "uniform")
# NNI knows these too; Optuna has nothing of the kind
INSTEAD = {
    "lognormal": "loguniform",
    "normal": "uniform",
    "qlognormal": "loguniform",
    "qloguniform": "loguniform",
    "qnormal": "quniform",
}


def distributions(space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Make Optuna's distribution for each parameter of an NNI search space.

    Args:
        space: name -> {"_type": ..., "_value": [...]}, where the type and value are one of
            choice [option, ...] with plain options (text, number, boolean, None),
            uniform [low, high], loguniform [low > 0, high], quniform [low, high, q] with low and high
            multiples of q, randint [low, high] with whole numbers from low to high - 1.

    Raises:
        InputError: all parameters that cannot be mapped, each with the reason.
    """
    if not isinstance(space, Mapping) or not space:
        raise InputError(f"The search space is {space!r}, but must name at least one parameter.")
    by_name, problems = {}, []
    for name, description in space.items():
        try:
            by_name[name] = _distribution(description)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise InputError(f"Cannot use the search space: {'; '.join(problems)}")
    return by_name


def _distribution(description: Any) -> BaseDistribution:
    if not isinstance(description, Mapping) or set(description) != {"_type", "_value"}:
        raise InputError(f"{description!r} must have exactly the keys '_type' and '_value'.")
    kind, values = description["_type"], description["_value"]
    if not isinstance(kind, str):
        raise InputError(f"'_type' is {kind!r:.80}, but must be one of: {', '.join(TYPES)}.")
    if kind in INSTEAD:
        raise InputError(f"Optuna cannot sample '{kind}'. Use '{INSTEAD[kind]}' with a range.")
    if kind not in TYPES:
        raise unknown("type", kind, TYPES)
    if not isinstance(values, list | tuple):
        raise InputError(f"'_value' is {values!r}, but must be a list.")
    if kind == "choice":
        return _choice(values)
    return _range(kind, values)


def _choice(options: Sequence[Any]) -> CategoricalDistribution:
    for option in options:
        if not isinstance(option, str | int | float | bool | None):
            raise InputError(
                f"the option {option!r} is not text, a number, a boolean or None. "
                "Nested choices are not supported: give each parameter a name of its own."
            )
    return CategoricalDistribution(options)


def _range(kind: str, values: Sequence[Any]) -> BaseDistribution:
    names = ("low", "high", "q") if kind == "quniform" else ("low", "high")
    if len(values) != len(names):
        raise InputError(f"{kind} has {len(values)} values, but needs {len(names)}: {', '.join(names)}.")
    for value in values:
        # YAML reads 1e-5 as text
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{value!r} in {kind} is not a finite number. In YAML write 1.0e-5, not 1e-5.")
    low, high = values[:2]
    if kind == "uniform":
        return FloatDistribution(low, high)
    if kind == "loguniform":
        return FloatDistribution(low, high, log=True)
    if kind == "quniform":
        return _steps(low, high, values[2])
    if not isinstance(low, int) or not isinstance(high, int):
        raise InputError(f"randint [{low}, {high}] must hold whole numbers.")
    return IntDistribution(low, high - 1)


def _steps(low: float, high: float, step: float) -> FloatDistribution:
    # elsewhere NNI's grid of rounded multiples and Optuna's low + i * step differ
    if step <= 0 or any(abs(edge / step - round(edge / step)) > 1e-6 for edge in (low, high)):
        raise InputError(f"quniform [{low}, {high}, {step}]: q must be > 0, low and high multiples of it.")
    return FloatDistribution(low, high, step=step)


def short(value: Any) -> str:
    """Write a parameter's value, a fraction with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
