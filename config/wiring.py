"""The only place that constructs: settings in, the connected parts of the house out."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass

from config.checks_settings import ChecksSettings
from config.database import database, redis_url
from config.settings import DoorSettings, Settings, SettingsError
from handlers.capacity import Capacity
from handlers.courtesy import Manners
from handlers.journey import Journey
from handlers.line import Line
from handlers.queue.contract import WorkQueue
from handlers.queue.memory import MemoryQueue
from handlers.queue.redis import RedisQueue
from handlers.reading import CellReader, ReadingCaps
from handlers.relay import SmtpRelay, Upstream
from handlers.signing import Signer, load_key
from handlers.store.opening import engine_for, open_database
from handlers.store.store import Limits, SqlStore
from handlers.store.writer import Writer
from handlers.sweeping import Sweeper
from handlers.thinking import AiOptions, AiThinker, EmailAIClient
from handlers.worker import Worker
from handlers.writing import Letterhead, ReplyWriter
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
    worker: Worker
    listener: Listener
    drain_timeout_s: float


async def wire(settings: Settings, installation: str, stack: AsyncExitStack) -> Parts:
    """Open the database and construct everything; `stack` closes it in reverse order.

    Raises SettingsError, one sentence, where a setting or a neighbour
    makes it impossible.
    """
    where = database(settings.store)
    engine = engine_for(where.url, where.connect_args)
    stack.push_async_callback(engine.dispose)
    try:
        keys = await open_database(
            engine,
            settings.store.secret_key.get_secret_value(),
            unsafe=settings.store.testing_unsafe_durability,
        )
    except Trouble as error:
        raise SettingsError(error.because) from None
    writer = Writer(engine)
    store = SqlStore(
        engine,
        writer,
        keys,
        worker=f"{installation}:{secrets.token_hex(8)}",
        limits=Limits(
            to_all=settings.worker.max_emails_per_hour,
            to_one=settings.worker.answers_per_sender_per_hour,
        ),
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
    journey = Journey(
        house=house,
        manners=Manners.of(settings.house, settings.relay),
        verifier=_verifier(settings.checks, checking, stack),
        store=store,
        queue=line,
        reader=_reader(settings, reading),
        thinker=_thinker(settings, stack),
        writer=_reply_writer(settings, keys.return_path),
        relay=_relay(settings, stack),
    )
    capacity = Capacity(store, settings.store.email_data_dir, settings.door)
    certificates = _certificates(settings.door)
    return Parts(
        writer=writer,
        store=store,
        capacity=capacity,
        reading=reading,
        checking=checking,
        line=line,
        sweeper=Sweeper(store, queue, line),
        worker=Worker(journey.answer, store, line, settings.worker),
        listener=Listener(
            settings.door,
            classify=house.classify,
            hostname=settings.house.mx_hostname,
            receive=journey.receive,
            objection=capacity.objection,
            tls=certificates.context if certificates else None,
            neighbourhood=Neighbourhood(
                trusted=settings.door.trusted_networks, gateways=default_gateways()
            ),
        ),
        drain_timeout_s=settings.worker.drain_timeout,
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


def _reply_writer(settings: Settings, return_path_key: bytes) -> ReplyWriter:
    house, reply = settings.house, settings.reply
    try:
        signer = (
            Signer(house.email_domain, reply.dkim_selector, load_key(reply.dkim_key_file))
            if reply.dkim_sign == "ours"
            else None
        )
        letterhead = Letterhead(
            name=reply.reply_name,
            address=house.email_address,
            domain=house.email_domain,
            person_address=reply.person_address or f"postmaster@{house.email_domain}",
            language=reply.reply_language,
        )
        return ReplyWriter(
            letterhead,
            signer=signer,
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
