"""The HTTP API: its resources from the ports they stand on, behind one front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from handlers.store.apikeys import Scope
from handlers.web.front import ANSWER_S, Front
from handlers.web.keys import KeyCheck
from handlers.web.ports import Keys, Switch
from handlers.web.problems import add_problems
from handlers.web.rates import Rates
from handlers.web.sending import sending

VERSION = "1"
# The framework would send traces, and exceptions with their texts, to where the process
# environment says; nobody but config/ reads that here.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the resources stand on. A new resource brings its port."""

    keys: Keys
    switch: Switch


def app(ports: Ports, *, requests_per_minute: int, answer_s: float = ANSWER_S) -> ASGIApp:
    """The whole API as an ASGI application."""
    check = KeyCheck(ports.keys, Rates(requests_per_minute))
    api = FastAPI(
        title="AnswerMX",
        version=VERSION,
        description="The state of the house, and its switches.",
        # The pages would load scripts from elsewhere, and the schema is for who has a key.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        generate_unique_id_function=lambda route: route.name,
    )
    add_problems(api)
    api.include_router(sending(ports.switch, check))

    @api.get("/openapi.json", dependencies=[Depends(check.opens(*Scope))], include_in_schema=False)
    async def schema() -> dict[str, Any]:
        """This API, described for machines."""
        return api.openapi()

    return Front(api, Rates(requests_per_minute), answer_s=answer_s)
