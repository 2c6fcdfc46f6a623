"""The HTTP API of saved prompts: its operations as OpenAPI has them, and what stands before them."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPBearer

import spt
from experiments.serving.auth import Guard
from experiments.serving.body import BoundedBody
from experiments.serving.engine import Engine
from experiments.serving.folders import PromptFolders
from experiments.serving.messages import REQUEST_BODY, RESPONSE_EXAMPLE, LabelResponse, State, TaskList
from experiments.serving.metrics import Counted
from experiments.serving.options import ServingOptions
from experiments.serving.problem_details import Refusal, documented, problem_response
from experiments.serving.service import Service
from spt.errors import InputError
from spt.serving.predictions import NotFinite

LABEL, TASKS, HEALTH, READY, METRICS = "/v1/label", "/v1/tasks", "/health", "/ready", "/metrics"
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.GATEWAY_TIMEOUT)
WRONG = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

log = logging.getLogger(__name__)


def make_app(engine: Engine, folders: PromptFolders, options: ServingOptions, token: str | None) -> FastAPI:
    """Make the ASGI application, which any server can run.

    Args:
        engine: that answers.
        folders: of its prompts, which are looked at again.
        options: bounds and times.
        token: that requests must bear; None lets those in that name this machine as their host.
    """
    service = Service(engine, folders, options)
    app = FastAPI(
        title="Selective prompt tuning",
        description="Labels of texts, by tasks whose prompts share one frozen transformer.",
        version=spt.__version__,
        lifespan=service.lifespan,
        # their pages load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
    )
    # for who looks after the process
    app.state.service = service
    _add_operations(app, service, token)
    _add_errors(app)
    app.add_middleware(BoundedBody, max_bytes=options.max_bytes, seconds=options.timeout)
    app.add_middleware(Guard, token=token)
    paths = frozenset((LABEL, TASKS, HEALTH, READY, METRICS))
    app.add_middleware(Counted, metrics=service.metrics, paths=paths)
    return app


def _add_operations(app: FastAPI, service: Service, token: str | None) -> None:
    stranger = HTTPStatus.MISDIRECTED_REQUEST if token is None else HTTPStatus.UNAUTHORIZED
    # the guard has looked at it; this is for OpenAPI
    guarded: dict[str, Any] = {"dependencies": [Depends(HTTPBearer(auto_error=False))]} if token else {}
    label = {"model": LabelResponse, "content": {"application/json": {"example": RESPONSE_EXAMPLE}}}
    app.post(
        LABEL,
        responses={200: label, **documented(*WRONG, *BUSY, stranger)},
        openapi_extra={"requestBody": REQUEST_BODY},
        **guarded,
    )(service.label)
    app.get(TASKS, responses={200: {"model": TaskList}, **documented(stranger)}, **guarded)(service.tasks)
    metrics: dict[int | str, Any] = {200: {"content": {"text/plain": {}}, "description": "Metrics."}}
    app.get(METRICS, response_class=Response, responses={**metrics, **documented(stranger)}, **guarded)(
        service.prometheus
    )
    state: dict[int | str, Any] = {200: {"model": State}, **documented(HTTPStatus.SERVICE_UNAVAILABLE)}
    app.get(HEALTH, responses=state)(service.health)
    app.get(READY, responses=state)(service.ready)


def _add_errors(app: FastAPI) -> None:
    """Give all errors one shape."""

    @app.exception_handler(Refusal)
    async def refuse(_request: Request, error: Refusal) -> Response:
        return problem_response(error.status, error.problems, error.headers)

    @app.exception_handler(InputError)
    async def refuse_input(_request: Request, error: InputError) -> Response:
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, error.problems or (str(error),))

    @app.exception_handler(NotFinite)
    async def fail_to_answer(_request: Request, error: NotFinite) -> Response:
        log.error("A request has no answer. %s", error)
        text = "The model gives no finite probabilities for these texts, and there is no answer without them."
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, [text])

    @app.exception_handler(HTTPStatus.NOT_FOUND)
    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def refuse_path(request: Request, error: HTTPException) -> Response:
        known = ", ".join((f"POST {LABEL}", *(f"GET {path}" for path in (TASKS, HEALTH, READY, METRICS))))
        text = f"There is no {request.method[:20]} {request.url.path[:100]!r}. Known: {known}."
        return problem_response(error.status_code, [text], error.headers)

    @app.exception_handler(Exception)
    async def fail(_request: Request, _error: Exception) -> Response:
        text = "The server failed at this request, and its log says why. Others are answered."
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, [text])
