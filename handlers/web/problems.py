"""What a client hears when it gets nothing else: a status and one sentence of ours.

Nothing that came in a request is repeated, and nothing of the house is shown.
"""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as PlainHttpException

from smtpd.errors import Permanent, Temporary
from smtpd.events import Event, log

_AGAIN_S = 5  # for a database that is away

SENTENCES = {
    400: "This is no request that can be understood.",
    401: "Send a key of this server: Authorization: Bearer amx_…",
    403: "This key does not open that.",
    404: "There is nothing here.",
    405: "That cannot be done here.",
    409: "That cannot be done now.",
    413: "The request is too large.",
    422: "The request is not as /openapi.json describes it.",
    429: "Too many requests: wait, and try again.",
    500: "Something went wrong here.",
    503: "The database does not answer: try again in a moment.",
}
CLOSING = "This server is closing: nobody knows whether it was done."


class Problem(BaseModel):
    """Why something was not done."""

    detail: str = Field(description="One sentence.")


def _declared(status: int) -> dict[str, Any]:
    headers = {
        401: {"WWW-Authenticate": "Bearer, as RFC 6750 has it."},
        429: {"Retry-After": "Seconds to wait."},
        503: {"Retry-After": "Seconds to wait."},
    }.get(status, {})
    described = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }
    plain = {"model": Problem, "description": SENTENCES[status]}
    return {**plain, "headers": described} if described else plain


def declared(*more: int) -> dict[int | str, dict[str, Any]]:
    """For the schema: what any resource may answer, and what this one does."""
    return {status: _declared(status) for status in sorted({400, 401, 403, 413, 429, 503, *more})}


def problem(status: int, detail: str = "", **headers: str) -> JSONResponse:
    """The response; a header's name is written with _ for -."""
    return JSONResponse(
        {"detail": detail or SENTENCES.get(status, SENTENCES[500])},
        status_code=status,
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


def too_many(wait_s: float) -> HTTPException:
    return HTTPException(429, SENTENCES[429], {"Retry-After": str(math.ceil(wait_s))})


def add_problems(app: FastAPI) -> None:
    """Have the app answer so, whatever goes wrong in it."""
    app.add_exception_handler(PlainHttpException, _http)
    app.add_exception_handler(RequestValidationError, _not_as_described)
    app.add_exception_handler(Temporary, _away)
    app.add_exception_handler(TimeoutError, _away)
    app.add_exception_handler(Permanent, _refused)
    app.add_exception_handler(Exception, _unforeseen)


def response_to(error: PlainHttpException) -> JSONResponse:
    """The error as a response; where it has no sentence of ours, the status has one."""
    # The framework's own details are bare titles, as "Not Found".
    ours = error.detail if isinstance(error, HTTPException) and error.detail else ""
    return JSONResponse(
        {"detail": ours or SENTENCES.get(error.status_code, SENTENCES[400])},
        status_code=error.status_code,
        headers=error.headers,
    )


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlainHttpException)  # noqa: S101 (registered for it)
    return response_to(error)


async def _not_as_described(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it)
    where = _place(error.errors()[0]) if error.errors() else ""
    return problem(422, f"{where} is not as /openapi.json describes it." if where else "")


def _place(fault: Any) -> str:
    """Which declared part of the request it is; a name that the client chose is not said."""
    kind, *names = fault["loc"]
    if names and isinstance(names[0], str) and fault["type"] != "extra_forbidden":
        return f"{names[0]} in the {kind}"
    return f"The {kind}"


async def _away(_request: Request, _error: Exception) -> JSONResponse:
    return problem(503, Retry_After=str(_AGAIN_S))


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Permanent)  # noqa: S101 (registered for it)
    return problem(409, f"{error.because[:1].upper()}{error.because[1:].rstrip('.')}.")


async def _unforeseen(_request: Request, error: Exception) -> JSONResponse:
    log(Event.TROUBLE, exc_info=error)
    return problem(500)
