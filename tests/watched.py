"""Calls that a watched neighbour answers, or does not."""

from __future__ import annotations

import pytest

from handlers.watching import Watch
from smtpd.errors import Temporary, Trouble


async def failing(watch: Watch, because: str | Trouble = "Connection refused") -> None:
    """One call that fails, by itself for a while."""
    trouble = Temporary(because) if isinstance(because, str) else because

    async def call() -> None:
        raise trouble

    with pytest.raises(type(trouble)):
        await watch.through(call())


async def answering(watch: Watch) -> None:
    """One call that is answered."""

    async def call() -> None:
        return

    await watch.through(call())
