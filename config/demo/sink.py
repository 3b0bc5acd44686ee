"""The demonstration's upstream relay: takes every mail on loopback, and delivers it nowhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

from config.settings import DoorSettings
from smtpd import replies
from smtpd.listener import Listener
from smtpd.mail import Arrival
from smtpd.policy import RecipientClass
from smtpd.replies import Reply


class Sink:
    """An SMTP server on a free loopback port, between `start()` and `stop()`.

    What comes is given by `next_mail`, and saved as `ID.eml` where a folder is named.
    """

    def __init__(self, door: DoorSettings, folder: Path | None = None) -> None:
        self.mails: list[Arrival] = []  # all that came, oldest first
        self._folder = folder
        self._coming: asyncio.Queue[Arrival] = asyncio.Queue()
        self._listener = Listener(
            door.model_copy(
                update={
                    "listen_host": "127.0.0.1",
                    "listen_port": 0,
                    "trusted_networks": ("127.0.0.0/8",),
                }
            ),
            classify=lambda _address: RecipientClass.ANSWERING,
            hostname="sink.example.com",
            receive=self._receive,
        )

    async def start(self) -> int:
        """Bind 127.0.0.1 and give the port."""
        ((_, port),) = await self._listener.start()
        return port

    async def stop(self) -> None:
        await self._listener.stop(1)

    async def next_mail(self, timeout_s: float | None) -> Arrival:
        """The next mail nobody asked for yet; None waits without end. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            return await self._coming.get()

    async def _receive(self, arrival: Arrival) -> Reply:
        self.mails.append(arrival)
        if self._folder is not None:
            await asyncio.to_thread((self._folder / f"{arrival.id}.eml").write_bytes, arrival.raw)
        self._coming.put_nowait(arrival)
        return replies.QUEUED.for_ticket(arrival.id)
