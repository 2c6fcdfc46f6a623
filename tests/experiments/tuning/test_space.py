import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from experiments.tuning.space import INSTEAD, distributions
from spt.errors import InputError


def test_each_type_maps_to_its_distribution() -> None:
    space = {
        "a.b": {"_type": "uniform", "_value": [0, 1]},
        "c": {"_type": "loguniform", "_value": [0.001, 1]},
        "d": {"_type": "quniform", "_value": [0.0, 0.3, 0.1]},
        "e": {"_type": "randint", "_value": [2, 6]},
        "f": {"_type": "choice", "_value": ["x", 2, None]},
    }
    assert distributions(space) == {
        "a.b": FloatDistribution(0, 1),
        "c": FloatDistribution(0.001, 1, log=True),
        "d": FloatDistribution(0, 0.3, step=0.1),
        "e": IntDistribution(2, 5),
        "f": CategoricalDistribution(["x", 2, None]),
    }


@pytest.mark.parametrize("kind", sorted(INSTEAD))
def test_types_that_optuna_lacks_are_refused_with_another(kind: str) -> None:
    with pytest.raises(InputError, match=f"cannot sample '{kind}'. Use '{INSTEAD[kind]}'"):
        distributions({"x": {"_type": kind, "_value": [0, 1]}})


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (0.5, "exactly the keys"),
        ({"_type": "uniform"}, "exactly the keys"),
        ({"_type": "unifrom", "_value": [0, 1]}, "Did you mean 'uniform'"),
        ({"_type": "uniform", "_value": 1}, "must be a list"),
        ({"_type": "uniform", "_value": [0, 1, 2]}, "has 3 values, but needs 2"),
        ({"_type": "uniform", "_value": [1, 0]}, "low"),
        ({"_type": "uniform", "_value": [0, "1e-5"]}, "In YAML write 1.0e-5"),
        ({"_type": "uniform", "_value": [0, float("inf")]}, "not a finite number"),
        ({"_type": "loguniform", "_value": [0, 1]}, "low"),
        ({"_type": "quniform", "_value": [0.05, 1, 0.1]}, "multiples"),
        ({"_type": "quniform", "_value": [0, 1, 0]}, "multiples"),
        ({"_type": "randint", "_value": [0, 1.5]}, "whole numbers"),
        ({"_type": "randint", "_value": [3, 3]}, "low"),
        ({"_type": "choice", "_value": []}, "choices"),
        ({"_type": "choice", "_value": [{"_name": "conv", "size": {}}]}, "Nested choices"),
    ],
)
def test_what_cannot_be_mapped_is_refused(description: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        distributions({"x": description})


def test_all_problems_come_at_once() -> None:
    with pytest.raises(InputError, match=r"space: a: .*; b: "):
        distributions({"a": 1, "b": 2, "c": {"_type": "uniform", "_value": [0, 1]}})


@pytest.mark.parametrize("space", [{}, [], None])
def test_an_empty_space_is_refused(space: object) -> None:
    with pytest.raises(InputError, match="at least one parameter"):
        distributions(space)  # type: ignore[arg-type]
