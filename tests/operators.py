"""The operator's side in tests: a database to be told from, a relay that remembers, a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial

from config.courtesy_settings import OperatorSettings
from handlers.letter import NoticeKind, Outgoing
from handlers.operator import Operator, Post
from handlers.operatormail import Desk
from handlers.operatorwriting import OperatorWriter
from handlers.store.noticeboard import NoticeBoard
from handlers.store.notices import note
from handlers.store.store import SqlStore
from handlers.watching import Watch
from smtpd.errors import Trouble
from smtpd.evidence import Evidence
from tests.arrivals import KEEP, arrival, mail

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DESK = Desk(address="ai@us.example", domain="us.example", operator="me@else.example")
WRITER = OperatorWriter(DESK, signer=None)


class Clock:
    """Stands still until it is moved on."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        # As a real one, it never says the same twice.
        self.now += timedelta(microseconds=1)
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class Postbox:
    """A relay that keeps what it takes; `refuse` says why it does not take a mail."""

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []
        self.asked = 0
        self.refuse: Callable[[Outgoing], Trouble | None] = lambda outgoing: None

    async def send(self, outgoing: Outgoing) -> str:
        self.asked += 1
        if trouble := self.refuse(outgoing):
            raise trouble
        self.taken.append(outgoing)
        return "250 2.0.0 Ok"

    @property
    def mails(self) -> list[EmailMessage]:
        return [read(one) for one in self.taken]

    @property
    def subjects(self) -> list[str]:
        return [str(one["Subject"]) for one in self.mails]


def read(outgoing: Outgoing) -> EmailMessage:
    """As the operator's mail program reads it."""
    parsed = message_from_bytes(outgoing.raw, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text_of(parsed: EmailMessage) -> str:
    body = parsed.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def events(logs: Sequence[Mapping[str, object]], event: str) -> list[Mapping[str, object]]:
    """The lines of one event."""
    return [one for one in logs if one["event"] == event]


def board_on(store: SqlStore, worker: str = "here:1", hold_days: int = 7) -> NoticeBoard:
    return NoticeBoard(
        store._engine,
        store._writer,
        store._master,
        worker=worker,
        domain="us.example",
        hold_days=hold_days,
    )


def operator_at(
    store: SqlStore,
    box: Postbox | None,
    clock: Clock,
    *,
    worker: str = "here:1",
    watches: Sequence[Watch] = (),
    **settings: object,
) -> Operator:
    """One process' operator; without a box the log alone is told."""
    return Operator(
        board_on(store, worker),
        Post(writer=WRITER, relay=box) if box else None,
        # No digest, unless the test is about it: the day's hour is past all of them.
        OperatorSettings.model_validate({"operator_digest_hour": 23, **settings}),
        watches=watches,
        clock=clock,
    )


async def noted(
    store: SqlStore,
    kind: NoticeKind,
    text: str = "something",
    *,
    at: datetime = NOON,
    email_id: str | None = None,
    times: int = 1,
) -> None:
    """So many notices of one kind."""
    for number in range(times):
        key = f"{text}{at}{email_id}{number}"
        write = partial(note, kind=kind, key=key, text=text, at=at, email_id=email_id)
        await store._writer.write(write)


async def filed(store: SqlStore, raw: bytes | None = None, local: str = "abuse") -> str:
    """A mail to a filing address, with its notice; its id."""
    raw = mail() if raw is None else raw
    heard = arrival(raw, rcpt_to=(f"{local}@us.example",))
    ticket = await store.keep(heard, Evidence(), KEEP)
    await noted(store, NoticeKind.FILED, f"mail {ticket.id} was filed", email_id=ticket.id)
    return ticket.id
