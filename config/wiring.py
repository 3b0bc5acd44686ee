"""The only place that constructs: settings in, the connected parts of the house out."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from config.checks_settings import ChecksSettings
from config.database import database, redis_url
from config.settings import DoorSettings, Settings, SettingsError, StoreSettings
from handlers.capacity import Capacity
from handlers.conversation import Conversation
from handlers.courtesy import Manners, own_addresses
from handlers.fuses import FuseLimits
from handlers.gate import Gate
from handlers.journey import Journey
from handlers.line import Line
from handlers.operator import Operator, Post
from handlers.operatormail import Desk
from handlers.operatorwriting import OperatorWriter
from handlers.ports import Relay
from handlers.queue.contract import WorkQueue
from handlers.queue.memory import MemoryQueue
from handlers.queue.redis import RedisQueue
from handlers.reading import CellReader, ReadingCaps
from handlers.relay import SmtpRelay, Upstream
from handlers.signing import Signer, load_key
from handlers.store.keyring import Keyring
from handlers.store.noticeboard import NoticeBoard
from handlers.store.opening import HouseKeys, engine_for, open_database
from handlers.store.preparing import House as Keeper
from handlers.store.store import SqlStore, Ways
from handlers.store.switchboard import Switchboard
from handlers.store.switching import STOP_FILE
from handlers.store.turns import Pace
from handlers.store.writer import Writer
from handlers.sweeping import Sweeper
from handlers.thinking import AiOptions, AiThinker, EmailAIClient
from handlers.watching import Watch, WatchedRelay, WatchedThinker
from handlers.worker import Worker
from handlers.writing import Letterhead, ReplyWriter
from smtpd.addresses import untagged
from smtpd.cell import Cell
from smtpd.checks.spam import SpamScanner
from smtpd.checks.verifier import PRELOAD, CellVerifier
from smtpd.checks.virus import VirusScanner
from smtpd.errors import Trouble
from smtpd.listener import Listener
from smtpd.neighbourhood import Neighbourhood, default_gateways
from smtpd.policy import House
from smtpd.resolver import Resolver
from smtpd.tls import Certificates

if TYPE_CHECKING:
    from handlers.web.serving import ApiServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What config/running.py starts and stops."""

    writer: Writer
    store: SqlStore
    capacity: Capacity
    reading: Cell  # for the workers
    checking: Cell  # for the door: a heavy letter keeps no peer waiting
    line: Line
    sweeper: Sweeper
    gate: Gate
    worker: Worker
    listener: Listener
    operator: Operator
    api: ApiServer | None
    drain_timeout_s: float


async def wire(settings: Settings, installation: str, stack: AsyncExitStack) -> Parts:
    """Open the database and construct everything; `stack` closes it in reverse order.

    Raises SettingsError, one sentence, where a setting or a neighbour
    makes it impossible.
    """
    engine, keys = await _database(settings.store, stack)
    writer = Writer(engine)
    limits = FuseLimits.of(settings.courtesy, settings.worker)
    store = SqlStore(
        engine,
        writer,
        keys,
        worker=f"{installation}:{secrets.token_hex(8)}",
        ways=_ways(settings, limits),
        relay_timeout_s=settings.relay.relay_timeout,
    )
    queue = _queue(settings)
    stack.push_async_callback(queue.close)
    line = Line(queue, store)
    reading = _cell(settings, settings.worker.cell_processes, ("handlers.reading",))
    stack.push_async_callback(reading.stop)
    checking = _cell(settings, settings.checks.check_processes, PRELOAD)
    stack.push_async_callback(checking.stop)
    house = House.of(
        settings.house,
        settings.checks,
        language=settings.reply.reply_language,
        return_path_key=keys.return_path,
    )
    manners = Manners.of(settings.house, settings.relay, limits)
    patience = timedelta(minutes=settings.operator.operator_down_minutes)
    of_relay, of_ai = Watch("the relay", patience), Watch("the AI core", patience)
    relay = WatchedRelay(_relay(settings, stack), of_relay)
    journey = Journey(
        house=house,
        manners=manners,
        verifier=_verifier(settings.checks, checking, stack),
        store=store,
        queue=line,
        conversation=Conversation(memory=store, reader=_reader(settings, reading), manners=manners),
        thinker=WatchedThinker(_thinker(settings, stack), of_ai),
        writer=reply_writer(settings, keys.return_path),
        relay=relay,
    )
    gate = Gate(store)
    capacity = Capacity(store, settings.store.email_data_dir, settings.door)
    certificates = _certificates(settings.door)
    board = NoticeBoard(
        engine,
        writer,
        keys.master,
        worker=store.worker,
        domain=settings.house.email_domain,
        hold_days=settings.courtesy.hold_days,
    )
    return Parts(
        writer=writer,
        store=store,
        capacity=capacity,
        reading=reading,
        checking=checking,
        line=line,
        sweeper=Sweeper(store, queue, line),
        gate=gate,
        worker=Worker(journey.answer, store, line, gate, settings.worker),
        listener=_listener(settings, journey, capacity, certificates),
        operator=Operator(
            board,
            _post(settings, relay),
            settings.operator,
            watches=(of_relay, of_ai),
            certificate_days=partial(_certificate_days, certificates),
        ),
        api=_api(settings, engine, writer, keys),
        drain_timeout_s=settings.worker.drain_timeout,
    )


def _api(
    settings: Settings, engine: AsyncEngine, writer: Writer, keys: HouseKeys
) -> ApiServer | None:
    if not settings.api.api_port:
        return None
    # What it stands on takes time and memory that a house without it need not spend.
    from handlers.web.app import Ports, app
    from handlers.web.serving import ApiServer

    ports = Ports(
        keys=Keyring(engine, writer, keys.api),
        switch=Switchboard(engine, writer, settings.store.email_data_dir / STOP_FILE),
    )
    per_minute = settings.api.api_requests_per_minute
    return ApiServer(app(ports, requests_per_minute=per_minute), settings.api)


async def _database(
    settings: StoreSettings, stack: AsyncExitStack
) -> tuple[AsyncEngine, HouseKeys]:
    where = database(settings)
    engine = engine_for(where.url, where.connect_args)
    stack.push_async_callback(engine.dispose)
    secret_key = settings.secret_key.get_secret_value()
    try:
        unsafe = settings.testing_unsafe_durability
        return engine, await open_database(engine, secret_key, unsafe=unsafe)
    except Trouble as error:
        raise SettingsError(error.because) from None


def _listener(
    settings: Settings, journey: Journey, capacity: Capacity, certificates: Certificates | None
) -> Listener:
    return Listener(
        settings.door,
        classify=journey.house.classify,
        hostname=settings.house.mx_hostname,
        receive=journey.receive,
        objection=capacity.objection,
        tls=certificates.context if certificates else None,
        neighbourhood=Neighbourhood(
            trusted=settings.door.trusted_networks, gateways=default_gateways()
        ),
    )


def _ways(settings: Settings, limits: FuseLimits) -> Ways:
    worker, courtesy = settings.worker, settings.courtesy
    operator = settings.operator.operator_address
    persons = (operator, settings.reply.person_address)
    return Ways(
        pace=Pace(
            to_all=worker.max_emails_per_hour,
            to_one=worker.answers_per_sender_per_hour,
            fuses=limits,
        ),
        house=Keeper(
            domain=settings.house.email_domain,
            own_addresses=own_addresses(settings.house),
            operator=operator,
            persons=frozenset(untagged(address) for address in persons if address),
            waiting_max=courtesy.sender_waiting_max,
            burst_window_s=courtesy.burst_window,
        ),
        hold_days=courtesy.hold_days,
        stop_file=settings.store.email_data_dir / STOP_FILE,
    )


def _queue(settings: Settings) -> WorkQueue:
    url = redis_url(settings.queue)
    history = settings.queue.queue_history
    if not url:
        return MemoryQueue(history)
    return RedisQueue(url, history, cluster=settings.queue.redis_cluster)


def _cell(settings: Settings, processes: int, preload: tuple[str, ...]) -> Cell:
    worker = settings.worker
    return Cell(processes, worker.cell_timeout, worker.cell_memory_bytes, preload=preload)


def _reader(settings: Settings, cell: Cell) -> CellReader:
    return CellReader(cell, ReadingCaps(attachment_bytes=settings.worker.max_attachment_size))


def _verifier(settings: ChecksSettings, cell: Cell, stack: AsyncExitStack) -> CellVerifier:
    resolver = Resolver(settings)
    stack.push_async_callback(resolver.close)
    return CellVerifier(
        settings=settings,
        cell=cell,
        names=resolver,
        virus=VirusScanner(settings),
        spam=SpamScanner(settings),
    )


def _thinker(settings: Settings, stack: AsyncExitStack) -> AiThinker:
    client = EmailAIClient(
        settings.ai.ai_api_url,
        settings.ai.ai_api_key.get_secret_value(),
        AiOptions.of(settings.ai),
    )
    stack.push_async_callback(client.close)
    return AiThinker(client)


def _signer(settings: Settings) -> Signer | None:
    """Raises ValueError, one sentence."""
    reply = settings.reply
    if reply.dkim_sign == "relay":
        return None
    return Signer(settings.house.email_domain, reply.dkim_selector, load_key(reply.dkim_key_file))


def _post(settings: Settings, relay: Relay) -> Post | None:
    """How the operator is written to, where there is an address."""
    house = settings.house
    if not settings.operator.operator_address:
        return None
    try:
        desk = Desk(
            address=house.email_address,
            domain=house.email_domain,
            operator=settings.operator.operator_address,
            # "plain" is for relays that take no other sender, <> included.
            mail_from=house.email_address if settings.relay.return_path == "plain" else "",
        )
        return Post(writer=OperatorWriter(desk, _signer(settings)), relay=relay)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _certificate_days(certificates: Certificates | None) -> int | None:
    return (certificates.not_after() - datetime.now(UTC)).days if certificates else None


def reply_writer(settings: Settings, return_path_key: bytes) -> ReplyWriter:
    """Writes, signs and addresses replies. Raises SettingsError where a key or a name is wrong."""
    house, reply = settings.house, settings.reply
    try:
        letterhead = Letterhead(
            name=reply.reply_name,
            address=house.email_address,
            domain=house.email_domain,
            person_address=reply.person_address or f"postmaster@{house.email_domain}",
            language=reply.reply_language,
            reply_tag=reply.reply_to_tag,
        )
        return ReplyWriter(
            letterhead,
            signer=_signer(settings),
            mail_from=settings.relay.return_path,
            key=return_path_key,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _certificates(settings: DoorSettings) -> Certificates | None:
    if not settings.tls_cert_file:
        return None
    pairs = zip(settings.tls_cert_file, settings.tls_key_file, strict=True)
    try:
        return Certificates(tuple(pairs))
    except OSError as error:
        raise SettingsError(
            f"TLS_CERT_FILE and TLS_KEY_FILE cannot be used ({error.strerror or error}); "
            "they must be readable PEM files that belong together."
        ) from None


def _relay(settings: Settings, stack: AsyncExitStack) -> SmtpRelay:
    try:
        relay = SmtpRelay(Upstream.of(settings.relay, helo=settings.house.mx_hostname))
    except ValueError as error:
        raise SettingsError(str(error)) from None
    stack.push_async_callback(relay.close)
    return relay
