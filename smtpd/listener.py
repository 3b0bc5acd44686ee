"""The socket at the front door, and every session that came through it.

Knows nothing of answering: who may be written to and what becomes of a mail are
given to it, so it serves a demonstration's mail sink just as well.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from config.settings import DoorSettings
from smtpd.conversation import Conversation
from smtpd.data import DataLimits
from smtpd.events import Event, log
from smtpd.limits import ByteBudget, Connections, Patience
from smtpd.mail import Arrival
from smtpd.policy import RecipientClass
from smtpd.replies import Reply
from smtpd.session import Door

# After the drain a connection is cut; what its tasks still do then takes no time.
CUT_S = 5.0


class Listener:
    """Takes mail by SMTP and hands each to `receive`, whose reply the peer hears."""

    def __init__(
        self,
        settings: DoorSettings,
        *,
        classify: Callable[[str], RecipientClass],
        hostname: str,
        receive: Callable[[Arrival], Awaitable[Reply]],
        tls: ssl.SSLContext | None = None,
        patience: Patience | None = None,
    ) -> None:
        patience = patience or Patience()
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._door = Door(
            hostname=hostname,
            classify=classify,
            receive=receive,
            tls=tls,
            data=DataLimits(
                message_max_bytes=settings.message_max_bytes,
                min_rate=settings.data_min_rate,
                window_s=patience.data_window_s,
            ),
            headers_max_bytes=settings.headers_max_bytes,
            recipients_max=settings.recipients_max,
            command_timeout_s=settings.command_timeout,
            patience=patience,
            connections=Connections(settings.connections_max),
            budget=ByteBudget(settings.data_budget_bytes),
            sessions=set(),
            receiving=set(),
        )

    @property
    def connections(self) -> int:
        """How many sessions are open."""
        return self._door.connections.open

    @property
    def held_bytes(self) -> int:
        """The bytes of all unfinished messages together."""
        return self._door.budget.held_bytes

    async def start(self) -> tuple[tuple[str, int], ...]:
        """Bind and take connections; the bound (host, port) pairs. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Conversation(self._door),
            self._settings.listen_host,
            self._settings.listen_port,
            backlog=self._settings.connections_max,
        )
        bound = tuple(socket.getsockname()[:2] for socket in self._server.sockets)
        for host, port in bound:
            log(Event.LISTENING, host=host, port=port)
        return bound

    async def stop(self, drain_s: float) -> None:
        """Take no more connections, and let mails under way finish for `drain_s` seconds.

        Idle sessions hear 421 at once, the others after their mail.
        """
        if self._server is None:
            return
        self._server.close()
        self._door.connections.close()
        for session in set(self._door.sessions):
            session.leave()
        await self._finish(within_s=drain_s)
        for session in set(self._door.sessions):
            session.abort()
        for task in set(self._door.receiving):
            task.cancel()
        await self._finish(within_s=CUT_S)
        self._server = None

    async def _finish(self, within_s: float) -> None:
        sessions = {session.task for session in self._door.sessions if session.task}
        if tasks := sessions | self._door.receiving:
            await asyncio.wait(tasks, timeout=within_s)
