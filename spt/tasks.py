"""The tasks: columns, class names, label words, templates, metric, and where the rows come from.

Templates and label words follow Late Prompt Tuning's code (xyltt/LPT); where it has none (CR, SST-5, CoLA,
AG News, `custom`, and every causal template) they are ours.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field, ValidationError, model_validator

from spt.errors import InputError, unknown
from spt.metrics import OF_LABEL_SETS, OF_LABELS, OF_TWO_CLASSES, Metric
from spt.sections import ConfigSection, problems_of

PLACEHOLDERS = ("text", "text_pair", "mask")
# longer labels are texts from a wrong column, and Python may refuse to read longer numbers
LONGEST_LABEL = 500
PROMPT = "{prompt}"


def _default_template(task: dict[str, Any]) -> str:
    return "{text} ? {mask} , {text_pair}" if task.get("text_pair") else "{text} . It was {mask} ."


def _default_causal_template(task: dict[str, Any]) -> str:
    texts = ["{text}", "{text_pair}"] if task.get("text_pair") else ["{text}"]
    words = " ".join(task.get("template", "").replace(PROMPT, "").split())
    before, mask, _ = words.partition("{mask}")
    return before + mask if all(text in before for text in texts) else " ? ".join([*texts, "{mask}"])


def _default_metric(task: dict[str, Any]) -> Metric:
    return "macro_f1" if task.get("multi_label") else "accuracy"


class HubData(ConfigSection):
    """Say where a task's data set is on the hub, and what its splits are used for here."""

    name: str = Field(description="name of the data set on the hub")
    config: str | None = Field(default=None, description="configuration of the data set, as in glue's 'sst2'")
    train: str = Field(default="train", description="hub split that is trained on")
    dev: str | None = Field(default=None, description="hub split that selects; None: held out of train")
    test: str | None = Field(default=None, description="hub split that is reported; None: held out of train")
    columns: dict[str, str] = Field(
        default_factory=dict, description="hub columns to rename to the task's columns, hub name first"
    )


class Task(ConfigSection):
    """Describe a classification task."""

    name: str = Field(description="name of the task")
    text: str = Field(default="text", description="column of the text")
    text_pair: str | None = Field(default=None, description="column of the second text; None: one text a row")
    label: str = Field(default="label", description="column of the label")
    labels: tuple[str, ...] | None = Field(
        default=None, description="class names in class order; None: those of the training data, sorted"
    )
    multi_label: bool = Field(
        default=False,
        description="a text has any number of the labels: its label is a JSON list, or as the next two say",
    )
    label_columns: tuple[str, ...] | None = Field(
        default=None,
        description="for multi_label: a column of 0 and 1 for each class, in the place of the label's",
    )
    label_delimiter: str | None = Field(
        default=None,
        min_length=1,
        description="for multi_label: what stands between the labels of a text cell; an empty cell has none",
    )
    label_words: tuple[str, ...] | None = Field(
        default=None, description="one word a class, in class order, for the verbalizer head"
    )
    template: str = Field(
        default_factory=_default_template,
        description="what a masked language model reads, with {text}, {mask} and, for pairs, {text_pair}; "
        "{prompt} is the place of a vector of prompt.place=template",
    )
    causal_template: str = Field(
        default_factory=_default_causal_template,
        description="what a causal language model reads, ending in {mask}; default: the template up to it",
    )
    metric: Metric = Field(
        default_factory=_default_metric,
        description="the score by which the dev split selects; default: accuracy, with multi_label macro_f1",
    )
    hub: HubData | None = Field(default=None, description="the task's data set on the hub")
    source: str | None = Field(
        default=None, description="where rows come from by default; None: the hub data set"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Task":
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels repeats a name: {', '.join(self.labels)}")
        if self.labels is not None and len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} class, but a task needs at least 2")
        for label in self.labels or ():
            _check_label(label)
        if self.labels and self.label_words and len(self.labels) != len(self.label_words):
            raise ValueError(
                f"label_words has {len(self.label_words)} words, but labels has {len(self.labels)}"
            )
        self._check_multi_label()
        self._check_columns()
        _check_template("template", self.template, self.paired)
        _check_template("causal_template", self.causal_template, self.paired)
        if not self.causal_template.endswith("{mask}"):
            raise ValueError(f"causal_template '{self.causal_template}' must end with {{mask}}")
        return self

    @property
    def paired(self) -> bool:
        """Say whether a row has two texts."""
        return self.text_pair is not None

    @property
    def text_fields(self) -> tuple[str, ...]:
        """Return the columns of a row's text, or texts."""
        return (self.text, *([self.text_pair] if self.text_pair else []))

    @property
    def label_fields(self) -> tuple[str, ...]:
        """Return the columns that say a row's label, or labels."""
        return self.label_columns or (self.label,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that a row with its label has."""
        return (*self.text_fields, *self.label_fields)

    def _check_columns(self) -> None:
        """Refuse one column for two things: what is read last would take the place of the other."""
        if repeated := [name for name in self.columns if self.columns.count(name) > 1]:
            fields = {"text": self.text, "text_pair": self.text_pair, "label": self.label}
            shown = ", ".join(f"{field} = {name!r}" for field, name in fields.items() if name in repeated)
            raise ValueError(
                f"the column '{repeated[0]}' has two meanings ({shown}); texts and labels need a column each"
            )

    def _check_multi_label(self) -> None:
        """Refuse what does not fit one label a row, or several."""
        if self.multi_label and self.metric not in OF_LABEL_SETS:
            raise ValueError(
                f"metric {self.metric} is of one label a row, but multi_label is true; set metric to "
                f"{'subset_accuracy' if self.metric == 'accuracy' else 'macro_f1'}, or another of "
                f"{', '.join(OF_LABEL_SETS)}"
            )
        if not self.multi_label and self.metric not in OF_LABELS:
            raise ValueError(
                f"metric {self.metric} is of several labels a row, but multi_label is false; set metric to "
                f"{'accuracy' if self.metric == 'subset_accuracy' else 'macro_f1'}, or multi_label to true"
            )
        ways = [name for name in ("label_columns", "label_delimiter") if getattr(self, name) is not None]
        if ways and not self.multi_label:
            raise ValueError(f"{ways[0]} is set, but multi_label is false; set multi_label to true")
        if len(ways) > 1:
            raise ValueError(
                "label_columns and label_delimiter are both set; keep the one that the data have"
            )
        columns = self.label_columns
        if columns is None:
            return
        if len(set(columns)) != len(columns) or len(columns) < 2:
            raise ValueError(
                f"label_columns must name two columns or more, each once, not {', '.join(columns)}"
            )
        if self.labels is not None and len(self.labels) != len(columns):
            raise ValueError(
                f"labels has {len(self.labels)} names, but label_columns has {len(columns)} columns; remove "
                "labels to call the classes as the columns are called"
            )


def check_metric(task: Task, classes: int) -> None:
    """Refuse a metric of two classes for a task of more.

    Raises:
        InputError: naming the closest metric that fits.
    """
    if task.metric in OF_TWO_CLASSES and classes > 2:
        fitting = [metric for metric in OF_LABELS if metric not in OF_TWO_CLASSES]
        raise InputError(
            f"task.metric is {task.metric}, which is about the second of two classes, but task '{task.name}' "
            f"has {classes} classes. Set task.metric to macro_f1, or another of {', '.join(fitting)}."
        )


def get_task(name: str, **changes: Any) -> Task:
    """Return the task of that name, with some of its fields changed.

    Raises:
        InputError: no task has that name, or the changed task is not consistent.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS, "Use 'custom' and set its columns for other data.")
    if not changes:
        return TASKS[name]
    try:
        return Task.model_validate({**TASKS[name].model_dump(exclude_unset=True), **changes})
    except ValidationError as error:
        told = (f"{'.'.join(map(str, e['loc'])) or 'task'}: {e['msg']}" for e in problems_of(error))
        problems = "; ".join(told)
        raise InputError(f"Task '{name}' with these changes is not valid. {problems}") from error


def _check_label(label: str) -> None:
    """Refuse a class name that no label of data can have."""
    if not label.strip():
        raise ValueError(f"labels has the name {label[:40]!r}, which is empty; give each class a name")
    if len(label) > LONGEST_LABEL:
        raise ValueError(
            f"labels has a name of {len(label):,} characters, but at most {LONGEST_LABEL} are allowed"
        )


def _check_template(field: str, template: str, pair: bool) -> None:
    placeholders = re.findall(r"{(.*?)}", template.replace(PROMPT, "") if field == "template" else template)
    if other := [name for name in placeholders if name not in PLACEHOLDERS]:
        raise ValueError(
            f"{field} has {{{other[0]}}}, but only {{text}}, {{text_pair}} and {{mask}} can be filled"
        )
    needed = ["text", "mask", *(["text_pair"] if pair else [])]
    for name in PLACEHOLDERS:
        if placeholders.count(name) != needed.count(name):
            raise ValueError(
                f"{field} '{template}' has {{{name}}} {placeholders.count(name)} times, "
                f"but it must be there {needed.count(name)} times"
            )


def _glue(config: str, test: str = "validation") -> HubData:
    """Return a GLUE data set: its test labels are hidden, so dev is the test, and train lends a dev split."""
    return HubData(name="nyu-mll/glue", config=config, test=test)


_POLARITY = {"labels": ("negative", "positive"), "label_words": ("terrible", "great")}
_ENTAILMENT = {"labels": ("entailment", "not_entailment"), "label_words": ("Yes", "No")}

_ALL = (
    Task(name="sst2", text="sentence", hub=_glue("sst2"), **_POLARITY),
    Task(
        name="mpqa",
        hub=HubData(name="jxm/mpqa", test="test", columns={"sentence": "text"}),
        **_POLARITY,
    ),
    Task(
        name="mr",
        labels=("neg", "pos"),
        label_words=("terrible", "great"),
        hub=HubData(name="cornell-movie-review-data/rotten_tomatoes", dev="validation", test="test"),
    ),
    Task(
        name="subj",
        labels=("subjective", "objective"),
        label_words=("subjective", "objective"),
        hub=HubData(name="SetFit/subj", test="test", columns={"label_text": "label"}),
    ),
    Task(
        name="trec",
        labels=("DESC", "ENTY", "ABBR", "HUM", "LOC", "NUM"),
        label_words=("Description", "Entity", "Expression", "Human", "Location", "Number"),
        template="{mask} : {text}",
        causal_template="{text} Type : {mask}",
        hub=HubData(name="SetFit/TREC-QC", test="test", columns={"label_coarse_original": "label"}),
        source="trec",
    ),
    Task(
        name="mnli",
        text="premise",
        text_pair="hypothesis",
        labels=("entailment", "neutral", "contradiction"),
        label_words=("Yes", "Maybe", "No"),
        template="{text} ? {mask} , {text_pair}",
        causal_template="{text} Therefore , {text_pair} ? {mask}",
        hub=_glue("mnli", test="validation_matched"),
    ),
    Task(
        name="mrpc",
        text="sentence1",
        text_pair="sentence2",
        labels=("not_equivalent", "equivalent"),
        label_words=("No", "Yes"),
        template="{text} ? {mask} , {text_pair}",
        causal_template="{text} In other words , {text_pair} ? {mask}",
        metric="accuracy_and_f1",
        hub=_glue("mrpc"),
    ),
    Task(
        name="qnli",
        text="question",
        text_pair="sentence",
        template="{text} ? {mask} , {text_pair}",
        causal_template="{text_pair} Does this answer : {text} ? {mask}",
        hub=_glue("qnli"),
        **_ENTAILMENT,
    ),
    Task(
        name="qqp",
        text="question1",
        text_pair="question2",
        labels=("not_duplicate", "duplicate"),
        label_words=("No", "Yes"),
        template="{text} {mask} , {text_pair}",
        causal_template="{text} In other words , {text_pair} ? {mask}",
        metric="accuracy_and_f1",
        hub=_glue("qqp"),
    ),
    Task(
        name="rte",
        text="sentence1",
        text_pair="sentence2",
        template="{text} ? {mask} , {text_pair}",
        causal_template="{text} Therefore , {text_pair} ? {mask}",
        hub=_glue("rte"),
        **_ENTAILMENT,
    ),
    Task(name="cr", hub=HubData(name="SetFit/CR", test="test"), **_POLARITY),
    Task(
        name="sst5",
        labels=("very negative", "negative", "neutral", "positive", "very positive"),
        label_words=("terrible", "bad", "okay", "good", "great"),
        hub=HubData(name="SetFit/sst5", dev="validation", test="test"),
    ),
    Task(
        name="cola",
        text="sentence",
        labels=("unacceptable", "acceptable"),
        label_words=("incorrect", "correct"),
        template="{text} This is {mask} .",
        metric="matthews",
        hub=_glue("cola"),
    ),
    Task(
        name="agnews",
        labels=("World", "Sports", "Business", "Sci/Tech"),
        label_words=("World", "Sports", "Business", "Technology"),
        template="{mask} News : {text}",
        causal_template="{text} Topic : {mask}",
        hub=HubData(name="fancyzhx/ag_news", test="test"),
    ),
    Task(name="custom"),
)

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ALL})
