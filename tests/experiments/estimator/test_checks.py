"""scikit-learn's own checks of an estimator, on texts that spell its rows of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from experiments.estimator import SPTClassifier
from tests.support.tiny import BAD, FILLER, GOOD, make_backbone

WORDS = [*BAD, *GOOD, *FILLER]
SETTINGS: dict[str, Any] = {
    "layers": [3],
    "epochs": 1,
    "max_length": 32,
    "prompt": {"length": 1, "bottleneck": 4, "phm_order": 1},
    "threads": 1,
    "cache": "off",
    "verbose": False,
}
# checks that do not apply, and why
NOT_FOR_TEXTS = {
    "check_do_not_raise_errors_in_init_or_set_params": "it takes the catch-all of misspelt names, which are "
    "refused with the closest as soon as Python would refuse them, for a parameter",
    "check_n_features_in": "a row is one text or two, whatever the numbers that it spells",
    "check_n_features_in_after_fitting": "a row is one text or two, whatever the numbers that it spells",
    "check_complex_data": "numbers are no texts",
    "check_dtype_object": "numbers are no texts",
    "check_estimators_empty_data_messages": "texts have no columns that could be missing",
    "check_estimators_nan_inf": "numbers are no texts; None and NaN are refused in tests of rows",
    "check_estimator_sparse_tag": "texts are never sparse",
    "check_estimator_sparse_array": "texts are never sparse",
    "check_estimator_sparse_matrix": "texts are never sparse",
    "check_classifier_data_not_an_array": "labels are a list, an array or a Series, nothing that only turns "
    "into one",
    "check_classifiers_train": "nobody learns the coordinates of blobs from words of a random backbone",
    "check_supervised_y_2d": "one column of labels is taken without a warning, as a DataFrame has it",
    "check_fit1d": "one dimension is what texts have",
    "check_fit2d_predict1d": "one dimension is what texts have",
}


class SpelledNumbers(SPTClassifier):
    """Spell rows of numbers as words, since the checks know no texts."""

    def fit(self, X: Any, y: Any = None) -> SpelledNumbers:  # type: ignore[override]
        super().fit(spelled(X), y)
        return self

    def predict(self, X: Any) -> Any:  # type: ignore[override]
        return super().predict(spelled(X))

    def predict_proba(self, X: Any) -> Any:  # type: ignore[override]
        return super().predict_proba(spelled(X))

    def score(self, X: Any, y: Any = None) -> float:  # type: ignore[override]
        return super().score(spelled(X), y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags


def spelled(rows: Any) -> list[str]:
    """Return a word for each of a row's first numbers."""
    places = [[int(7 * abs(value)) + 3 * int(value > 0) for value in row[:12]] for row in np.asarray(rows)]
    return [" ".join(WORDS[place % len(WORDS)] for place in row) for row in places]


def check_name(value: Any) -> str:
    check = value.func if isinstance(value, partial) else value
    return getattr(check, "__name__", "")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_backbone(tmp_path_factory.mktemp("checks") / "backbone"))


def test_the_table_names_checks_that_there_are_and_the_page_names_them_too() -> None:
    names = {check_name(check) for _, check in estimator_checks_generator(SpelledNumbers())}
    assert names >= NOT_FOR_TEXTS.keys()
    page = (Path(__file__).parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(check_\w+)`", page)) - {"check_estimator"} == NOT_FOR_TEXTS.keys()
    tags = SPTClassifier().__sklearn_tags__().input_tags
    assert (tags.string, tags.one_d_array, tags.two_d_array) == (True, True, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "check"),
    list(
        estimator_checks_generator(
            SpelledNumbers(**SETTINGS), expected_failed_checks=NOT_FOR_TEXTS, mark="xfail", xfail_strict=True
        )
    ),
    ids=check_name,
)
@pytest.mark.filterwarnings("ignore")
def test_the_checks_that_apply_pass(
    estimator: SPTClassifier, check: Callable[[SPTClassifier], None], backbone: str
) -> None:
    check(estimator.set_params(backbone=backbone))
