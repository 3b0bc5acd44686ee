"""What the end-to-end tests start: houses, each between real neighbours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.carrier import Carrier
from tests.end_to_end.core import Core
from tests.end_to_end.house import House, settings
from tests.servers.postfix import PostfixRelay
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tls import TlsFiles

CAMPAIGN = os.environ.get("CAMPAIGN") == "1"  # the long forms


class Street:
    """Starts houses whose relay is the sink itself, and ends them with the test."""

    def __init__(self, core: Core, sink: SmtpSink, stack: ExitStack) -> None:
        self._core = core
        self._sink = sink
        self._stack = stack
        self.houses: list[House] = []
        self.foresees_trouble = False

    def build(self, **more: object) -> House:
        """A house that does not run yet; settings by their names in lower case."""
        house = House(settings(**{"relay_port": self._sink.port, "ai_url": self._core.url, **more}))
        self._stack.callback(house.stop)
        self.houses.append(house)
        return house

    def open(self, **more: object) -> House:
        """A house at work."""
        house = self.build(**more)
        house.start()
        return house


@pytest.fixture
def core() -> Iterator[Core]:
    with Core() as core:
        yield core


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    with Carrier() as carrier:
        yield carrier


@pytest.fixture
def sink(smtp_sink: SmtpSink) -> SmtpSink:
    """The sink, empty."""
    smtp_sink.clear()
    return smtp_sink


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[RedisServer]:
    """Redis, empty."""
    redis_server.say("FLUSHALL")
    yield redis_server
    if not redis_server.running:
        redis_server.start()
    redis_server.resume()


@pytest.fixture
def database_url(durable_postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database in a PostgreSQL with fsync on."""
    url = asyncio.run(durable_postgres_server.new_database())
    yield url
    if not durable_postgres_server.running:
        durable_postgres_server.start()
    asyncio.run(durable_postgres_server.drop_database(url))


@pytest.fixture
def by_postfix(
    postfix_relay: PostfixRelay, tls_files: TlsFiles, sink: SmtpSink
) -> dict[str, object]:
    """Settings of a house whose relay is Postfix, with STARTTLS required and verified."""
    return {"relay_port": postfix_relay.port, "smtp_ca_file": tls_files.ca_file}


@pytest.fixture
def street(core: Core, sink: SmtpSink) -> Iterator[Street]:
    """Houses of this test. None of them may have met what nobody foresaw."""
    with ExitStack() as stack:
        street = Street(core, sink, stack)
        yield street
    unforeseen = [
        event
        for house in street.houses
        for event in house.events(of_all_runs=True)
        if event["event"] == "trouble"
    ]
    assert street.foresees_trouble or unforeseen == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of its houses' logs."""
    report = yield
    street = item.funcargs.get("street") if isinstance(item, pytest.Function) else None
    if report.failed and isinstance(street, Street):
        for house in street.houses:
            report.sections.append(("log of the house", house.log_tail()))
    return report
