"""The HTTP API in memory: its ports as a test wants them, and a client that needs no socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message

from handlers.store.apikeys import ApiKey, Scope
from handlers.store.switching import Traffic
from handlers.web.app import Ports, app

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
READER, OPERATOR, REVOKED = (f"amx_{name * 4}_{'x' * 43}" for name in ("rd", "op", "no"))
MADE = {
    READER: ApiKey(
        id="rdrdrdrd",
        name="a reader",
        scopes=(Scope.READ,),
        made_at=NOW,
        last_used_at=None,
        revoked_at=None,
    ),
    OPERATOR: ApiKey(
        id="opopopop",
        name="an operator",
        scopes=(Scope.OPERATE,),
        made_at=NOW,
        last_used_at=None,
        revoked_at=None,
    ),
}


@dataclass
class KeysInMemory:
    """Two keys, and how often anybody looked."""

    asked: int = 0
    used_ids: list[str] = field(default_factory=list)

    async def find(self, text: str) -> ApiKey | None:
        self.asked += 1
        return MADE.get(text)

    async def used(self, key: ApiKey) -> None:
        self.used_ids.append(key.id)


@dataclass
class SwitchInMemory:
    """A stop switch; what it raises instead, where a test says so."""

    stopped_since: datetime | None = None
    by_file: bool = False
    trouble: BaseException | None = None
    hangs: bool = False

    async def traffic(self) -> Traffic:
        await self._obey()
        return Traffic(
            stopped_since=self.stopped_since,
            waiting=2,
            leaving=1,
            held=0,
            failed=0,
            stopped_by_file=self.by_file,
        )

    async def stop(self) -> bool:
        await self._obey()
        changed = self.stopped_since is None
        self.stopped_since = self.stopped_since or NOW
        return changed

    async def resume(self) -> bool:
        await self._obey()
        changed = self.by_file or self.stopped_since is not None
        self.stopped_since, self.by_file = None, False
        return changed

    async def _obey(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble:
            raise self.trouble


@dataclass
class Web:
    """An API and what stands behind it."""

    keys: KeysInMemory = field(default_factory=KeysInMemory)
    switch: SwitchInMemory = field(default_factory=SwitchInMemory)
    requests_per_minute: int = 1000
    answer_s: float = 30

    def __post_init__(self) -> None:
        ports = Ports(keys=self.keys, switch=self.switch)
        self.app = app(ports, requests_per_minute=self.requests_per_minute, answer_s=self.answer_s)

    async def ask(self, method: str, path: str, key: str = "", **more: Any) -> Heard:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await ask(
            self.app, method, path, headers={**headers, **more.pop("headers", {})}, **more
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A response."""

    status: int
    headers: Mapping[str, str]  # by names in lower case
    body: bytes

    @property
    def told(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Sequence[bytes] = (),
    client: str = "192.0.2.1",
) -> Heard:
    """One request, its body in these pieces; what the app answers."""
    pieces = [*body, b""]
    told: list[Message] = []

    async def receive() -> Message:
        if not pieces:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        told.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
        "client": (client, 50000),
        "server": ("127.0.0.1", 8002),
    }
    await app(scope, receive, send)
    first, *others = told
    return Heard(
        status=first["status"],
        headers={name.decode().lower(): value.decode() for name, value in first["headers"]},
        body=b"".join(message["body"] for message in others),
    )
