"""Tasks: the registry, refusals of inconsistent ones, and scores."""

import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from spt.errors import InputError
from spt.metrics import score
from spt.tasks import TASKS, Task, get_task


def test_the_ten_of_the_paper_and_the_rest_are_there():
    ten = {"sst2", "mpqa", "mr", "subj", "trec", "mnli", "mrpc", "qnli", "qqp", "rte"}
    assert set(TASKS) == ten | {"cr", "sst5", "cola", "agnews", "custom"}


@pytest.mark.parametrize("task", TASKS.values(), ids=str)
def test_each_task_has_a_place_for_each_text_and_a_word_for_each_class(task):
    assert task.causal_template.endswith("{mask}")
    assert ("{text_pair}" in task.template) == (task.text_pair is not None) == task.paired
    if task.name != "custom":
        assert len(task.labels) == len(task.label_words) == len(set(task.label_words))
        assert task.hub is not None


@pytest.mark.parametrize("task", TASKS.values(), ids=str)
def test_a_task_survives_json(task):
    assert Task.model_validate_json(task.model_dump_json()) == task


def test_templates_and_words_are_those_of_lpt():
    assert get_task("trec").template == "{mask} : {text}"
    assert get_task("rte").template == "{text} ? {mask} , {text_pair}"
    assert get_task("sst2").label_words == ("terrible", "great")
    cola = get_task("cola")
    assert dict(zip(cola.labels, cola.label_words, strict=True)) == {
        "unacceptable": "incorrect",
        "acceptable": "correct",
    }
    words = dict(zip(get_task("trec").labels, get_task("trec").label_words, strict=True))
    assert words["ABBR"] == "Expression"


def test_defaults_follow_the_changed_columns():
    pair = get_task("custom", text_pair="b")
    assert pair.template == "{text} ? {mask} , {text_pair}"
    assert pair.causal_template == "{text} ? {text_pair} ? {mask}"
    assert get_task("custom", template="Say {mask} : {text}").causal_template == "{text} ? {mask}"
    assert get_task("custom", template="{text} is {mask} .").causal_template == "{text} is {mask}"


def test_an_unknown_task_gets_the_closest_name():
    with pytest.raises(InputError, match=r"Unknown task 'sst-2'\. Did you mean 'sst2'\?.*'custom'"):
        get_task("sst-2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a"]}, "labels has 1 class, but a task needs at least 2"),
        ({"labels": ["a", "a"]}, "labels repeats a name: a, a"),
        ({"labels": ["a", "b"], "label_words": ["x"]}, "label_words has 1 words, but labels has 2"),
        ({"template": "{text}"}, r"\{mask\} 0 times, but it must be there 1 times"),
        ({"template": "{text} {mask} {mask}"}, r"\{mask\} 2 times"),
        ({"template": "{text} {mask} {title}"}, r"template has \{title\}, but only"),
        ({"template": "{text} {text_pair} {mask}"}, r"\{text_pair\} 1 times, but it must be there 0 times"),
        ({"causal_template": "{mask} {text}"}, r"must end with \{mask\}"),
        ({"text": "label"}, "column 'label' has two meanings"),
        ({"text_pair": "text"}, "column 'text' has two meanings"),
        ({"multi_label": True, "label_columns": ["text", "b"]}, "column 'text' has two meanings"),
        ({"metric": "bleu"}, "metric: Input should be 'accuracy'"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_an_inconsistent_task_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        get_task("custom", **changes)


LABELS, PREDICTIONS = [0, 0, 1, 1, 1], [0, 1, 1, 1, 0]


def test_accuracy_comes_with_macro_f1():
    scores = score("accuracy", LABELS, PREDICTIONS)
    macro = (0.5 + 2 / 3) / 2
    weighted = (2 * 0.5 + 3 * 2 / 3) / 5
    expected = {"accuracy": 0.6, "f1": macro, "macro_f1": macro, "weighted_f1": weighted, "metric": 0.6}
    assert scores == pytest.approx(expected)


def test_accuracy_and_f1_takes_the_mean_with_the_f1_of_class_one():
    scores = score("accuracy_and_f1", LABELS, PREDICTIONS)
    assert scores["f1"] == pytest.approx(f1_score(LABELS, PREDICTIONS))
    assert scores["metric"] == pytest.approx((0.6 + 2 / 3) / 2)


def test_matthews_selects_by_matthews():
    scores = score("matthews", LABELS, PREDICTIONS)
    assert scores["metric"] == scores["matthews"] == pytest.approx(matthews_corrcoef(LABELS, PREDICTIONS))


def test_f1_of_three_classes_is_macro():
    labels, predictions = [0, 1, 2, 2], [0, 1, 2, 1]
    assert score("f1", labels, predictions)["metric"] == pytest.approx(
        f1_score(labels, predictions, average="macro")
    )


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a", " "], "labels has the name ' ', which is empty"),
        (["a", "9" * 5000], "a name of 5,000 characters, but at most 500"),
    ],
)
def test_a_name_that_no_label_of_data_can_have_is_refused(labels: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        get_task("custom", labels=labels)
