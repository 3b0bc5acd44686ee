"""A crowd that keeps the door busy and brings nothing, and a good client among it."""

from __future__ import annotations

import asyncio
import itertools
import resource
import smtplib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest

from config.settings import DoorSettings
from tests.conftest import missing
from tests.end_to_end.conftest import Street
from tests.end_to_end.house import ADDRESS
from tests.end_to_end.writers import Mail, write
from tests.servers.process import HOST

IDLE, DRIBBLING = 2000, 500
CONNECTIONS_MAX = DoorSettings().connections_max
_OCTET_EVERY_S = 1.0
_AGAIN_S = 5.0  # who was sent away comes back
_GOOD_CLIENT_S = 60.0  # a generous net; a mail server would try for days
_TRY_EVERY_S = 0.3


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Enough for the crowd, in this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * (IDLE + DRIBBLING):
        missing(f"a process may open {hard} files, too few for the crowd")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """So many that do nothing, and so many that never finish their first command."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.heard: Counter[str] = Counter()  # codes, with what stands behind them

    @asynccontextmanager
    async def around(self) -> AsyncIterator[None]:
        """It stands at the door until the block ends."""
        async with asyncio.TaskGroup() as tasks:
            members = [
                tasks.create_task(self._come_again(dribbles=number >= IDLE))
                for number in range(IDLE + DRIBBLING)
            ]
            yield
            for member in members:
                member.cancel()

    async def _come_again(self, *, dribbles: bool) -> None:
        while True:
            with suppress(OSError):
                await self._visit(dribbles=dribbles)
            await asyncio.sleep(_AGAIN_S)

    async def _visit(self, *, dribbles: bool) -> None:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        dribble = asyncio.create_task(_dribble(writer)) if dribbles else None
        try:
            while line := await reader.readline():
                self.heard[line[:9].decode("ascii")] += 1
        finally:
            if dribble is not None:
                dribble.cancel()
            writer.close()


async def _dribble(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(_OCTET_EVERY_S)  # after the banner
    for octet in itertools.cycle(b"NOOP "):
        writer.write(bytes((octet,)))
        await asyncio.sleep(_OCTET_EVERY_S)


def deliver(port: int, mail: Mail) -> int:
    """Try again after each 4xx, as mail servers do; how many tries it took."""
    ends_at = time.monotonic() + _GOOD_CLIENT_S
    for tries in itertools.count(1):
        try:
            with smtplib.SMTP(HOST, port, timeout=_GOOD_CLIENT_S) as client:
                client.sendmail(mail.sender, [ADDRESS], mail.raw)
        except (smtplib.SMTPException, OSError):
            if time.monotonic() > ends_at:
                raise
            time.sleep(_TRY_EVERY_S)
        else:
            return tries
    raise AssertionError


async def test_a_crowd_that_brings_nothing_keeps_no_good_client_out(street: Street) -> None:
    house = street.open()
    server = psutil.Process(house.pid)
    alone_bytes = server.memory_info().rss
    crowd = Crowd(house.port)
    async with crowd.around():
        async with asyncio.timeout(_GOOD_CLIENT_S):
            while crowd.heard["421 4.3.2"] < IDLE + DRIBBLING - CONNECTIONS_MAX:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        tries = [await asyncio.to_thread(deliver, house.port, write(n)) for n in range(5)]
        crowded_bytes, descriptors = server.memory_info().rss, server.num_fds()
    print(  # noqa: T201 (figures for whoever asks with -s)
        f"tries for five mails: {tries}; memory {alone_bytes / 2**20:.0f} MB alone, "
        f"{crowded_bytes / 2**20:.0f} MB crowded; {descriptors} descriptors; {crowd.heard}"
    )
    house.wait_for(answered=5)
    assert descriptors < 2 * CONNECTIONS_MAX + 100
    assert crowded_bytes - alone_bytes < 100 * 2**20
    assert crowd.heard["421 4.3.2"] > 0
    cut_off = [event for event in house.events() if event["event"] == "cut_off"]
    assert 0 < len(cut_off) < 200
