"""What every test may ask for: real servers, certificates, other people's test data.

A server starts with the first test that names it and ends with the run. Where it
is not installed the test is skipped; under CI=true it fails.
"""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
import trustme
from sqlalchemy import URL, make_url

from handlers.store.store import SqlStore
from tests.desks import DeskForTests
from tests.handshakes import MX
from tests.material import FOLDER
from tests.operators import Clock, Postbox
from tests.servers.clamd import ClamServer
from tests.servers.opendkim import OpenDkim
from tests.servers.postfix import PostfixRelay
from tests.servers.postgres import PostgresServer
from tests.servers.process import NotInstalled, Server
from tests.servers.redis import RedisServer
from tests.servers.smtp_sink import SmtpSink
from tests.servers.spamd import SpamServer
from tests.servers.tls import TlsFiles, make_tls_files
from tests.stores import opened

Thing = TypeVar("Thing")


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def installed(make: Callable[[], Thing]) -> Thing:
    """What `make` makes, where its programs are installed."""
    try:
        return make()
    except NotInstalled as reason:
        missing(str(reason))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with installed(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisServer]:
    with installed(lambda: RedisServer(cluster=True)) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """With fsync off: for tests of what it does, not of what survives."""
    with installed(PostgresServer) as server:
        yield server


@pytest.fixture(scope="session")
def durable_postgres_server() -> Iterator[PostgresServer]:
    """With fsync on, as it runs in production."""
    with installed(lambda: PostgresServer(fsync=True)) as server:
        yield server


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """An empty database of this test's own, gone afterwards."""
    url = await postgres_server.new_database()
    yield url
    await postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def smtp_sink() -> Iterator[SmtpSink]:
    """Where the relay's mail ends; clear() it before counting."""
    with installed(SmtpSink) as server:
        yield server


@pytest.fixture(scope="session")
def postfix_relay(smtp_sink: SmtpSink, tls_files: TlsFiles) -> Iterator[PostfixRelay]:
    """A relay that passes everything on to smtp_sink."""
    with installed(lambda: PostfixRelay(relay_to=smtp_sink.port, tls=tls_files)) as server:
        yield server


@pytest.fixture(scope="session")
def opendkim() -> OpenDkim:
    return installed(OpenDkim)


@pytest.fixture
def clamd() -> Iterator[ClamServer]:
    """A virus scanner that knows one test file, and takes two megabytes."""
    with installed(lambda: ClamServer(stream_max="2M")) as server:
        yield server


@pytest.fixture(scope="session")
def spamd() -> Iterator[SpamServer]:
    """SpamAssassin, with the rules of its package."""
    with installed(SpamServer) as server:
        yield server


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """A certificate for loopback and the example hosts, and the authority to trust."""
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def authority() -> trustme.CA:
    """Who signs the certificates of one test."""
    return trustme.CA()


@pytest.fixture
def mx(tmp_path: Path, authority: trustme.CA) -> TlsFiles:
    """A certificate of this test's own, to be changed."""
    return make_tls_files(tmp_path / "mx", names=MX, authority=authority)


@pytest.fixture(scope="session")
def material() -> Path:
    """The folder of other people's test data."""
    if not FOLDER.is_dir():
        missing("no test data by others: MAIL_MATERIAL names no folder")
    return FOLDER


if os.environ.get("UVLOOP") == "1":
    import uvloop

    def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
        """The loop the server itself runs on."""
        return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "material" in item.fixturenames:
            item.add_marker("material")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of its servers' logs."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        servers = {id(one): one for one in item.funcargs.values() if isinstance(one, Server)}
        for server in servers.values():
            report.sections.append((f"log of {server.name}", server.log_tail()))
    return report


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A fresh database."""
    if request.param == "sqlite":
        return make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")
    server = request.getfixturevalue("postgres_server")
    return make_url(await server.new_database()).set(drivername="postgresql+asyncpg")


@pytest.fixture
async def store(url: URL) -> AsyncIterator[SqlStore]:
    async with opened(url) as store:
        yield store


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves on."""
    return Clock()


@pytest.fixture
def box() -> Postbox:
    """What the operator was sent."""
    return Postbox()


@pytest.fixture
def desk(
    url: URL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> DeskForTests:
    """Where an administrator runs commands on a database of this test's own."""
    return DeskForTests(url, tmp_path, monkeypatch, capsys)
