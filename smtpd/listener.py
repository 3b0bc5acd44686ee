"""The socket at the front door, and every session that came through it.

Knows nothing of answering: who may be written to and what becomes of a mail are
given to it, so it serves a demonstration's mail sink just as well.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from config.settings import DoorSettings
from smtpd.admission import Admission, Capacities
from smtpd.conversation import Conversation
from smtpd.data import DataLimits
from smtpd.door import Door
from smtpd.events import Event, log
from smtpd.limits import ByteBudget, Patience
from smtpd.mail import Arrival
from smtpd.neighbourhood import Neighbourhood
from smtpd.policy import RecipientClass
from smtpd.replies import Reply

# After the drain a connection is cut; what its tasks still do then takes no time.
CUT_S = 5.0


def _no_objection() -> Reply | None:
    return None


class Listener:
    """Takes mail by SMTP and hands each to `receive`, whose reply the peer hears.

    `objection` is asked at each MAIL: a reply of its own means that no mail at all is
    taken for now. `tls` gives the context for a handshake now beginning.
    """

    def __init__(
        self,
        settings: DoorSettings,
        *,
        classify: Callable[[str], RecipientClass],
        hostname: str,
        receive: Callable[[Arrival], Awaitable[Reply]],
        objection: Callable[[], Reply | None] = _no_objection,
        tls: Callable[[], ssl.SSLContext] | None = None,
        neighbourhood: Neighbourhood | None = None,
        patience: Patience | None = None,
    ) -> None:
        patience = patience or Patience()
        capacities = Capacities(
            in_all=settings.connections_max,
            per_address=settings.connections_per_ip,
            per_network=settings.connections_per_prefix,
        )
        self._settings = settings
        self._servers: list[asyncio.Server] = []
        self._door = Door(
            hostname=hostname,
            classify=classify,
            receive=receive,
            objection=objection,
            tls=tls,
            neighbourhood=neighbourhood or Neighbourhood(trusted=settings.trusted_networks),
            data=DataLimits(
                message_max_bytes=settings.message_max_bytes,
                min_rate=settings.data_min_rate,
                window_s=patience.data_window_s,
            ),
            headers_max_bytes=settings.headers_max_bytes,
            recipients_max=settings.recipients_max,
            command_timeout_s=settings.command_timeout,
            patience=patience,
            capacities=capacities,
            admission=Admission(capacities),
            budget=ByteBudget(settings.data_budget_bytes),
        )

    @property
    def connections(self) -> int:
        """How many sessions are open."""
        return len(self._door.sessions)

    @property
    def held_bytes(self) -> int:
        """The bytes of all unfinished messages together."""
        return self._door.budget.held_bytes

    async def start(self) -> tuple[tuple[str, int], ...]:
        """Bind and take connections; the bound (host, port) pairs, the proxy's last.

        Raises OSError, with nothing bound.
        """
        try:
            bound = await self._bind(self._settings.listen_port, behind_proxy=False)
            if self._settings.proxy_port:
                bound += await self._bind(self._settings.proxy_port, behind_proxy=True)
        except OSError:
            await self.stop(0)
            raise
        return bound

    async def _bind(self, port: int, *, behind_proxy: bool) -> tuple[tuple[str, int], ...]:
        server = await asyncio.get_running_loop().create_server(
            lambda: Conversation(self._door, behind_proxy=behind_proxy),
            self._settings.listen_host,
            port,
            backlog=self._settings.connections_max,
        )
        self._servers.append(server)
        bound = tuple(socket.getsockname()[:2] for socket in server.sockets)
        for host, bound_port in bound:
            log(Event.LISTENING, host=host, port=bound_port, behind_proxy=behind_proxy)
        return bound

    async def stop(self, drain_s: float) -> None:
        """Take no more connections, and let mails under way finish for `drain_s` seconds.

        Idle sessions hear 421 at once, the others after their mail.
        """
        if not self._servers:
            return
        for server in self._servers:
            server.close()
        self._door.admission.close()
        for session in set(self._door.sessions):
            session.leave()
        await self._finish(within_s=drain_s)
        for session in set(self._door.sessions):
            session.abort()
        for task in set(self._door.receiving):
            task.cancel()
        await self._finish(within_s=CUT_S)
        self._servers.clear()

    async def _finish(self, within_s: float) -> None:
        sessions = {session.task for session in self._door.sessions if session.task}
        if tasks := sessions | self._door.receiving:
            await asyncio.wait(tasks, timeout=within_s)
