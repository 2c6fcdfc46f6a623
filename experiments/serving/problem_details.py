"""What a request that cannot be answered gets: one JSON shape, with every problem at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"
# what a client would get that did not wait for its answer, as nginx logs it
CLIENT_CLOSED_REQUEST = 499


class Problem(BaseModel):
    """Say why a request was not answered. Source: RFC 9457, whose `type` is about:blank here."""

    title: str = Field(description="The status in words.")
    status: int = Field(description="The status of the response.")
    detail: str = Field(description="What was wrong, what is allowed, and what to do.")
    problems: list[str] = Field(description="Each problem by itself.")


class Refusal(Exception):
    """End a request with a status other than 200.

    Args:
        status: of HTTP.
        problems: at least one, as sentences.
        headers: of the response.
    """

    def __init__(self, status: int, *problems: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(*problems)
        self.status = status
        self.problems = problems
        self.headers = headers


class Overloaded(Refusal):
    """Report that too much is waiting already.

    Args:
        seconds: after which it is worth trying again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Too many texts are waiting for their answers. Ask again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


def problem_response(
    status: int, problems: Sequence[str], headers: Mapping[str, str] | None = None
) -> Response:
    """Make the response of a request that is not answered."""
    first, *others = problems
    detail = first if not others else f"{len(problems)} problems in the request:\n" + "\n".join(problems)
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, problems=list(problems))
    # escaped, because half of a surrogate pair has no UTF-8
    content = json.dumps(problem.model_dump())
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Describe statuses of an operation for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}
