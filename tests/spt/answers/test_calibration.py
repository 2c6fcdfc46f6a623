"""Calibration: temperatures that are known, scores by hand, and answers that stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from spt.answers.calibration import HIGHEST, LOWEST, bins_of, calibration_scores, fit_temperature, tempered


def drawn(temperature: float, rows: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of logits, and labels as often as the logits over a temperature say."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(rows, classes)) * 3
    true = softmax(logits / temperature)
    labels = np.array([generator.choice(classes, p=row) for row in true])
    return softmax(logits), labels


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    probabilities, labels = drawn(temperature, 4000)
    assert fit_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.08)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_tempered_probabilities_are_the_softmax_of_divided_logits(temperature: float) -> None:
    logits = np.random.default_rng(1).normal(size=(5, 2, 4)) * 4
    np.testing.assert_allclose(
        tempered(softmax(logits), temperature), softmax(logits / temperature), rtol=1e-9
    )


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def drawn_sets(temperature: float, rows: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of each class for itself, and labels as often as the logits over a temperature say."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(rows, classes)) * 3 - 1
    return sigmoid(logits), (generator.random(logits.shape) < sigmoid(logits / temperature)).astype(int)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_of_several_labels_the_temperature_that_made_them_is_found(temperature: float) -> None:
    probabilities, labels = drawn_sets(temperature, 2000)
    assert fit_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.08)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_of_several_labels_it_is_the_sigmoid_of_divided_logits(temperature: float) -> None:
    logits = np.random.default_rng(1).normal(size=(5, 2, 4)) * 4
    cooled = tempered(sigmoid(logits), temperature, several=True)
    np.testing.assert_allclose(cooled, sigmoid(logits / temperature), rtol=1e-9)
    # what rounds to 0 or 1 is as sure as the type can say of both
    edges = tempered(np.array([[0.0, 0.5, 1.0]]), temperature, several=True)[0]
    assert edges[1] == 0.5 and 0 <= edges[0] < 2e-4 and edges[2] == pytest.approx(1 - edges[0])


@pytest.mark.parametrize("bits", [np.float32, np.float64])
@pytest.mark.parametrize("logit", [12.0, 17.5, 30.0])
def test_of_several_labels_a_class_and_its_absence_are_alike(logit: float, bits: type) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 6, (60, 2))
    labels = (logits + generator.normal(0, 2, logits.shape) > 0).astype(int)
    logits[:2, 0], labels[:2, 0] = logit, 0
    held, mirrored = (sigmoid(sign * logits).astype(bits) for sign in (1, -1))
    assert fit_temperature(held, labels) == pytest.approx(fit_temperature(mirrored, 1 - labels), rel=0.01)
    if bits is np.float64:
        assert tempered(held, 2.0, several=True) == pytest.approx(sigmoid(logits / 2), abs=1e-9)


def test_of_several_labels_scores_are_by_hand_and_lower_when_calibrated() -> None:
    scores = calibration_scores(np.array([[0.9, 0.2], [0.6, 0.1]]), np.array([[1, 0], [0, 1]]))
    assert scores.brier == pytest.approx((0.01 + 0.04 + 0.36 + 0.81) / 2)
    assert scores.nll == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.1]).sum() / 2)
    # a bin each
    assert scores.ece == pytest.approx((0.1 + 0.2 + 0.6 + 0.9) / 4)
    (fitted, fitted_labels), (held, labels) = drawn_sets(2.5, 1000), drawn_sets(2.5, 4000)
    cooled = tempered(held, fit_temperature(fitted, fitted_labels), several=True)
    before, after = calibration_scores(held, labels), calibration_scores(cooled, labels)
    assert after.ece < before.ece / 3 and after.nll < before.nll and after.brier < before.brier


@given(
    st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=5),
    st.floats(LOWEST, HIGHEST),
)
def test_the_likeliest_class_stays(logits: list[float], temperature: float) -> None:
    probabilities = softmax(np.array([logits])).astype(np.float32)
    calibrated = tempered(probabilities, temperature)
    assert calibrated.argmax(-1) == probabilities.argmax(-1)
    assert calibrated.sum() == pytest.approx(1)


def test_a_small_dev_that_is_all_right_does_not_make_every_answer_sure() -> None:
    probabilities, labels = np.array([[0.9, 0.1]] * 10), np.zeros(10, dtype=int)
    temperature = fit_temperature(probabilities, labels)
    assert 0.4 < temperature < 1
    assert tempered(probabilities, temperature).max() < 0.995


def test_calibration_lowers_the_error_of_rows_that_were_not_fitted() -> None:
    probabilities, labels = drawn(2.5, 2000)
    temperature = fit_temperature(probabilities[:1000], labels[:1000])
    before = calibration_scores(probabilities[1000:], labels[1000:])
    after = calibration_scores(tempered(probabilities[1000:], temperature), labels[1000:])
    assert after.ece < before.ece / 2
    assert after.brier < before.brier
    assert after.nll < before.nll


def test_scores_are_those_of_scikit_learn() -> None:
    probabilities, labels = drawn(1.0, 200, classes=2)
    scores = calibration_scores(probabilities, labels)
    assert scores.nll == pytest.approx(log_loss(labels, probabilities))
    # summed over both classes
    assert scores.brier == pytest.approx(2 * brier_score_loss(labels, probabilities[:, 1]))


@pytest.mark.parametrize("bins", [10, 15])
def test_bins_are_of_equal_width_and_the_last_holds_its_upper_end(bins: int) -> None:
    edges = np.arange(bins) / bins
    assert bins_of(edges + 0.5 / bins, bins).tolist() == list(range(bins))
    assert bins_of(np.array([0.0, 1.0]), bins).tolist() == [0, bins - 1]


def test_the_error_of_bins_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.0, 1.0]])
    labels = np.array([0, 1, 1, 1])
    # a bin of two rows, sure of 0.9 and right in a half, and one each of 0.6 and 1.0, which are right
    assert calibration_scores(probabilities, labels).ece == pytest.approx((2 * 0.4 + 0.4 + 0.0) / 4)


def test_a_confidence_of_one_is_in_the_last_bin() -> None:
    # right once of two: what the surer row has too much, the other has too little
    probabilities = np.array([[1.0, 0.0], [0.95, 0.05]])
    assert calibration_scores(probabilities, np.array([1, 0])).ece == pytest.approx((1.95 - 1) / 2)


def test_the_label_of_a_probability_of_zero_costs_much_and_not_infinitely_much() -> None:
    scores = calibration_scores(np.array([[1.0, 0.0]]), np.array([1]))
    assert 50 < scores.nll < 100
