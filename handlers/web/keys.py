"""The check at the API's door: whose key it is, whether it opens this, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from handlers.store.apikeys import Scope
from handlers.web.ports import Keys
from handlers.web.problems import SENTENCES, too_many
from handlers.web.rates import Rates

_BEARER = HTTPBearer(
    scheme_name="key",
    description="A key that `server.py api-key make` has given.",
    auto_error=False,
)
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
Check = Callable[..., Awaitable[None]]


class KeyCheck:
    """Gives each resource the check that stands before it."""

    def __init__(self, keys: Keys, rates: Rates) -> None:
        self._keys = keys
        self._rates = rates

    def opens(self, *scopes: Scope) -> Check:
        """For a resource that a key with any of these scopes opens."""

        async def check(request: Request, given: Given) -> None:
            await self._check(request, given.credentials if given else "", scopes)

        return check

    async def _check(self, request: Request, text: str, scopes: tuple[Scope, ...]) -> None:
        key = await self._keys.find(text) if text else None
        if key is None:
            # RFC 6750 section 3.1: no error code for a request that brought no key at all.
            error = ' error="invalid_token"' if text else ""
            raise HTTPException(401, SENTENCES[401], {"WWW-Authenticate": f"Bearer{error}"})
        request.state.api_key = key.id  # for handlers/web/front.py
        if wait_s := self._rates.take(key.id):
            raise too_many(wait_s)
        if not set(scopes) & set(key.scopes):
            needed = " or ".join(scopes)
            raise HTTPException(
                403,
                f"This needs a key with the scope {needed}.",
                {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scopes[0]}"'},
            )
        await self._keys.used(key)
