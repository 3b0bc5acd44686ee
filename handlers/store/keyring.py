"""The HTTP API's way to the keys."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.store import apikeys
from handlers.store.apikeys import ApiKey
from handlers.store.transacting import DATABASE_ERRORS, in_our_words, reading
from handlers.store.writer import Writer
from smtpd.errors import Temporary

# The last use is written down as seldom as this: a commit for each request would cost more
# than the request.
_NOTED_EVERY = timedelta(minutes=1)


class Keyring:
    """Finds keys by their text, in the database each time: a revoked one opens nothing more."""

    def __init__(self, engine: AsyncEngine, writer: Writer, house_key: bytes) -> None:
        self._engine = engine
        self._writer = writer
        self._house_key = house_key

    async def find(self, text: str) -> ApiKey | None:
        """The key of this text, None for what opens nothing. Raises Temporary."""
        if not apikeys.id_in(text):
            return None
        finding = partial(apikeys.find, text=text, house_key=self._house_key)
        try:
            return await reading(self._engine, finding)
        except DATABASE_ERRORS as error:
            raise in_our_words(error) from error

    async def used(self, key: ApiKey) -> None:
        """Remember that the key was used now."""
        now = datetime.now(UTC)
        if key.last_used_at is None or now - key.last_used_at >= _NOTED_EVERY:
            # No reason to refuse what was asked for.
            with suppress(Temporary):
                await self._writer.write(partial(apikeys.used, key_id=key.id, now=now))
