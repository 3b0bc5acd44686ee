"""With many thousands of mails no statement of the journey reads a table from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import URL, Connection, event

from handlers.fuses import FuseLimits
from handlers.letter import Ticket
from handlers.store.store import SqlStore
from handlers.store.transacting import IN_THREAD
from handlers.store.turns import Pace
from tests.stores import ANSWERED, claimed, opened
from tests.stores import letter as letter_of
from tests.talking import BOB, answered, exchange_of, reply_id, rows, written, wrote
from tests.test_seating import CHIEF, house

MAILS = 30_000  # what it takes for a planner to prefer an index; 100_000 give the same plans
# What is large after years. All other tables have a row for each process, or for the house.
LARGE = {
    "email_message", "turn", "user_account", "addressee", "person_key", "taken_over", "rate",
    "notice", "story", "attachment", "raw_chunk",
}  # fmt: skip
# As large as what is owed or untold, and that is looked at as a whole.
PARTIAL = {"ix_in_line", "ix_claimed", "ix_waiting", "ix_untold"}
WHOLE = re.compile(
    r"\bSCAN (?P<table>\w+)(?: USING (?:COVERING )?INDEX (?P<index>\w+))?|Seq Scan on (?P<heap>\w+)"
)

# Five mails of each person, half of all from one domain and on one subject.
HALF = "CASE n % 2 WHEN 0 THEN t.{} ELSE 'other' END"
OWN = {
    "email_message": {
        "id": "'z' || n", "thread_id": "'z' || (n / 5)", "person": "'p' || (n / 5)",
        "correspondent": "'p' || (n / 5)", "domain_hash": HALF.format("domain_hash"),
        "subject_hash": HALF.format("subject_hash"), "message_id_hash": "'m' || n",
        "outgoing_hash": "'o' || n", "relay_id_hash": "'r' || n",
        "delivery_hash": "NULL", "message_hash": "NULL",
    },
    "turn": {
        "email_id": "'z' || n", "at": "t.at - n", "correspondent": "'p' || (n / 5)",
        "domain_hash": HALF.format("domain_hash"), "thread_id": "'z' || (n / 5)",
        "subject_hash": HALF.format("subject_hash"),
    },
    "user_account": {"person": "'p' || n"},
    "addressee": {"email_id": "'z' || n", "person": "'p' || (n / 7)"},
    "person_key": {"person": "'p' || n"},
    "taken_over": {"thread_id": "'z' || n"},
    "rate": {"scope": "'p' || n"},
    "notice": {"id": "n + 1000", "key": "'k' || n", "sent_at": "1"},
    "story": {"id": "n + 1000", "email_id": "'z' || n"},
}  # fmt: skip


async def fill(store: SqlStore) -> None:
    """Copies of the first row of each table, each with keys and hashes of its own."""
    series = (
        f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {MAILS})"  # noqa: S608
        if store._engine.dialect.name == "sqlite"
        else f"WITH s AS (SELECT generate_series(1, {MAILS}) AS n)"
    )
    for table, own in OWN.items():
        [first] = await rows(store, f"SELECT * FROM {table} LIMIT 1")  # noqa: S608
        values = ", ".join(own.get(name, f"t.{name}") for name in first._fields)
        like = f"(SELECT * FROM {table} LIMIT 1) AS t"  # noqa: S608
        columns = ", ".join(first._fields)
        copies = f"{series} SELECT {values} FROM s, {like}"  # noqa: S608
        await rows(store, f"INSERT INTO {table} ({columns}) {copies}")
    await rows(store, "ANALYZE")


@contextmanager
def explained(store: SqlStore) -> Iterator[dict[str, str]]:
    """Every statement that is run, with the database's plan for it."""
    plans: dict[str, str] = {}
    sqlite = store._engine.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "

    def note(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, *_more: Any
    ) -> None:
        if statement in plans or statement.startswith(("EXPLAIN", "PRAGMA", "BEGIN")):
            return
        one = parameters[0] if isinstance(parameters, list) else parameters
        plans[statement] = ""
        found = connection.exec_driver_sql(explain + statement, one)
        plans[statement] = "\n".join(str(row[-1]) for row in found)

    engine = store._engine.get_execution_options().get(IN_THREAD) or store._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", note)


def wholes(plan: str) -> list[str]:
    """The large tables that this plan reads from end to end."""
    found = (match.groupdict() for match in WHOLE.finditer(plan))
    return [
        table
        for one in found
        if (table := one["table"] or one["heap"]) in LARGE and one["index"] not in PARTIAL
    ]


async def test_no_statement_reads_a_large_table_from_end_to_end(url: URL) -> None:
    pace = Pace(to_all=100, to_one=100, fuses=FuseLimits(per_domain=1))
    async with opened(url, ways=replace(house(waiting_max=20), pace=pace)) as store:
        asked = await wrote(store, cc=BOB, message_id="<1@example.org>")
        await answered(store, asked, receipt="250 queued as 0102018f1c2d3e4f-aabbccdd")
        await rows(store, "INSERT INTO taken_over VALUES ('elsewhere', 0)")
        await rows(store, "INSERT INTO notice (key, kind, at, text) VALUES ('k', 'fuse', 0, '')")
        await fill(store)
        with explained(store) as plans:
            await whole_journey(store, asked)
    assert [statement for statement, plan in plans.items() if wholes(plan)] == []
    # The journey is not told to a deaf ear: its statements were seen, each with a plan.
    assert len([plan for plan in plans.values() if "ix_" in plan]) > 15


async def whole_journey(store: SqlStore, asked: Ticket) -> None:
    """Every way a mail joins, is counted, remembered, answered along and held."""
    first = await wrote(store, references=f"<1@example.org> {reply_id(asked)}", cc=BOB)
    second = await wrote(store, subject="Re: A question", body="And this?")
    await wrote(store, BOB, to=(f"ai+c-{asked.id}@us.example",))
    await wrote(store, references="<0102018f1c2d3e4f-aabbccdd@relay.example>", body="3")
    claim = await claimed(store, first)
    record = await store.fetch(claim)
    blown = await store.reserve(claim)
    assert blown is not None
    assert blown.fuse == "domain"
    assert await store.gather(claim, record)
    exchange = await exchange_of(store, claim, "May I?", [(second.id, letter_of("And this?"))])
    assert await written(store, claim, exchange, first)
    await store.sending(claim)
    await store.close(claim, ANSWERED)
    third = await claimed(store, await wrote(store, BOB, body="4", references="<1@example.org>"))
    await store.close(third, blown)
    await wrote(store, CHIEF, references="<1@example.org>")
    assert not (await wrote(store, body="5", references="<1@example.org>")).owed
    assert await store.waiting(9)
    await store.forgotten("an epoch", 9)
    await store.orphaned(9)
    await store.in_line(9)
    await store.tidy()
