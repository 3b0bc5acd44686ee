"""/api/v1/sending: the stop switch. Mail is taken and kept whatever it says."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from handlers.store.apikeys import Scope
from handlers.web.keys import KeyCheck
from handlers.web.ports import Switch
from handlers.web.problems import declared


class Sending(BaseModel):
    """Whether replies leave, and how many are on their way."""

    stopped: bool = Field(description="Whether nothing is sent.")
    since: datetime | None = Field(
        description="When it was stopped; null where it was not, or where a file alone does it."
    )
    waiting: int = Field(ge=0, description="Mails that are owed an answer.")
    leaving: int = Field(ge=0, description="Mails whose reply the relay may be taking just now.")


class SwitchedSending(Sending):
    """The same after a request to change it."""

    changed: bool = Field(description="Whether this request changed anything.")


async def _fields(switch: Switch) -> dict[str, object]:
    found = await switch.traffic()
    return {
        "stopped": found.stopped,
        "since": found.stopped_since,
        "waiting": found.waiting,
        "leaving": found.leaving,
    }


def sending(switch: Switch, keys: KeyCheck) -> APIRouter:
    """The resource."""
    router = APIRouter(prefix="/api/v1/sending", tags=["sending"])
    reads, operates = [Depends(keys.opens(Scope.READ))], [Depends(keys.opens(Scope.OPERATE))]

    @router.get("", dependencies=reads, responses=declared())
    async def look_at_sending() -> Sending:
        """Whether replies leave, and how many are on their way."""
        return Sending.model_validate(await _fields(switch))

    @router.post("/stop", dependencies=operates, responses=declared())
    async def stop_sending() -> SwitchedSending:
        """Stop sending replies; mail is taken and kept as ever. Twice is as good as once."""
        changed = await switch.stop()
        return SwitchedSending.model_validate({**await _fields(switch), "changed": changed})

    @router.post("/resume", dependencies=operates, responses=declared(409))
    async def resume_sending() -> SwitchedSending:
        """Send again; the file that stops this server is removed as well."""
        changed = await switch.resume()
        return SwitchedSending.model_validate({**await _fields(switch), "changed": changed})

    return router
