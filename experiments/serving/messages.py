"""What is asked and answered as JSON, with examples: the contract of the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from experiments.keys import explain
from experiments.serving.problem_details import Refusal
from spt.sections import ConfigSection, problems_of
from spt.storage.json_files import unique_keys

# each is checked by the rule that all models have, which names the rows, so here it may be anything
_STRINGS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1}
Strings = Annotated[list[Any], WithJsonSchema(dict(_STRINGS))]


class LabelRequest(ConfigSection):
    """Ask for the answers of tasks to texts."""

    texts: Strings = Field(description="Texts to label.")
    pairs: Strings | None = Field(
        None, description="The second text of each, for tasks that compare two texts; null for all others."
    )
    tasks: Strings | None = Field(
        None,
        description="Names of tasks, as GET /v1/tasks lists them; all that read as many texts by default.",
    )
    probabilities: Literal["best", "all"] = Field(
        "best", description="Give the probability of the answer alone, or of every class."
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        strict=True,
        description="Least probability of a label; that of the prompt by default, and 0 answers every text.",
    )


class TaskAnswer(BaseModel):
    """Answer a text by a task: one label or none, or a set of labels."""

    label: str | None = Field(
        None, description="The likeliest class; null where its probability is below the threshold."
    )
    probability: float | None = Field(None, description="Of the likeliest class, in [0, 1].")
    labels: list[str] | None = Field(None, description="All that hold, where a text may have several labels.")
    probabilities: dict[str, float] | None = Field(
        None, description="Of every class, or, of several labels, of those that hold."
    )


class LabelResponse(BaseModel):
    """Answer texts, in order, and say which prompts did."""

    answers: list[dict[str, TaskAnswer]] = Field(description="Of each text, by task.")
    versions: dict[str, str] = Field(description="SHA-256 of the prompt.json of each task that answered.")


class TaskDescription(BaseModel):
    """Describe a task that is served."""

    name: str = Field(description="What requests call it.")
    labels: list[str] = Field(description="The classes.")
    pairs: bool = Field(description="Whether it reads two texts.")
    multi_label: bool = Field(description="Whether a text may have several labels.")
    threshold: float | None = Field(
        description="Least probability of a label, unless a request says another."
    )
    layers: list[int] = Field(
        description="Where its prompts begin or are renewed; below, tasks share the work."
    )
    max_length: int = Field(description="Tokens that are read of a text.")
    version: str = Field(description="SHA-256 of its prompt.json.")


class RefusedDescription(BaseModel):
    """Describe a folder that is not served as it is on the disk."""

    name: str = Field(description="Of the task that it would be, or is in the version before.")
    folder: str = Field(description="Its name, after that of the folder that holds it.")
    reason: str = Field(description="Why.")


class TaskList(BaseModel):
    """List the tasks that are served, and what is not."""

    tasks: list[TaskDescription]
    refused: list[RefusedDescription] = Field(
        description="Folders that the last look found and left as they are."
    )


class State(BaseModel):
    """Say that the server works."""

    status: Literal["ok"]


REQUEST_EXAMPLES: Mapping[str, Any] = {
    "all_tasks": {"summary": "One text, all tasks", "value": {"texts": ["Who wrote Faust ?"]}},
    "all_classes": {
        "summary": "Two texts, one task, the probability of every class",
        "value": {
            "texts": ["Who wrote Faust ?", "How far is it to the moon ?"],
            "tasks": ["trec"],
            "probabilities": "all",
        },
    },
    "pairs": {
        "summary": "A task that compares two texts, and no label that is not sure",
        "value": {
            "texts": ["A man plays a guitar."],
            "pairs": ["A person makes music."],
            "tasks": ["rte"],
            "threshold": 0.8,
        },
    },
}
RESPONSE_EXAMPLE: Mapping[str, Any] = {
    "answers": [
        {
            "trec": {"label": "HUM", "probability": 0.97},
            "topics": {"labels": ["art", "people"], "probabilities": {"art": 0.81, "people": 0.77}},
        }
    ],
    "versions": {"trec": "5f70bf18a086007016e948b04aed3b82103a36be", "topics": "1f2d0c4a"},
}
REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": LabelRequest.model_json_schema(), "examples": REQUEST_EXAMPLES}
    },
}


def read_request(body: bytes, content_type: str) -> LabelRequest:
    """Read the body of a request.

    Args:
        body: as it came.
        content_type: as its header says.

    Raises:
        Refusal: with 415 for another type, 400 for what is no JSON, 422 with all keys that are wrong.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body is of the type '{kind:.100}', but must be JSON. Send Content-Type: application/json.",
        )
    content = _read_json(body)
    try:
        return LabelRequest.model_validate(content)
    except ValidationError as error:
        problems = [explain(each, LabelRequest) for each in problems_of(error)]
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, *problems) from error


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=unique_keys, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The body is no JSON in UTF-8: {reason}.") from error


def _refused(constant: str) -> Callable[..., Any]:
    raise ValueError(f"{constant} is no number")
