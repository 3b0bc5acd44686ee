"""What the HTTP API needs from the rest of the house."""

from __future__ import annotations

from typing import Protocol

from handlers.store.apikeys import ApiKey
from handlers.store.switching import Traffic


class Keys(Protocol):
    """Who may come in. Both methods may raise Temporary."""

    async def find(self, text: str) -> ApiKey | None:
        """The key of this text, None for what opens nothing."""
        ...

    async def used(self, key: ApiKey) -> None:
        """Remember that the key was used now."""
        ...


class Switch(Protocol):
    """Whether replies leave. Every method may raise Temporary."""

    async def traffic(self) -> Traffic: ...

    async def stop(self) -> bool:
        """Stop sending; whether that changed anything."""
        ...

    async def resume(self) -> bool:
        """Send again; whether that changed anything. Raises Permanent where it cannot be."""
        ...
