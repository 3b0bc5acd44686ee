"""How mails, people and keys look in a terminal and as JSON; strangers' words are only shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from config.desk import complain
from handlers.store.apikeys import ApiKey
from handlers.store.looking import Entry, File, Whole
from handlers.store.users import Account
from smtpd.category import Category
from smtpd.decoding import clean, one_line

LIST_MAX = 10_000  # rows that a person can ask for
_LINE_MAX = 500  # characters of a subject or a reason that a person can want to see

Listed = TypeVar("Listed", Entry, Account)


def show(picture: RenderableType) -> None:
    Console().print(picture)


def write_json(value: object) -> None:
    """For machines: ASCII, so that no terminal and no encoding can make anything else of it."""
    sys.stdout.write(json.dumps(value, default=_moment, indent=2) + "\n")


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _words(text: str) -> str:
    """A stranger's words on one line, without what could move a cursor."""
    return one_line(text, _LINE_MAX)


def _reason(because: str) -> str:
    """Why, on one line: of a traceback the last one."""
    return _words((because.strip().splitlines() or [""])[-1])


def show_list(
    found: Sequence[Listed],
    limit: int,
    table: Callable[[Sequence[Listed]], Table],
    *,
    as_json: bool,
    none: str,
) -> None:
    """The first of what was found; `none` is said where that is nothing."""
    shown = found[:limit]
    if as_json:
        write_json([asdict(one) for one in shown])
    elif shown:
        show(table(shown))
    else:
        sys.stdout.write(f"{none}\n")
    if len(found) > limit:
        complain("There are more; see them with a higher --limit")


def mails(entries: Sequence[Entry]) -> Table:
    """A list of mails: three columns, so that it is read on 80 characters, too."""
    table = Table(expand=True, show_lines=True)
    # An id that is broken in two lines cannot be copied.
    table.add_column("Mail", no_wrap=True, width=26)
    table.add_column("From, subject", ratio=1, overflow="fold")
    table.add_column("State, because", ratio=1, overflow="fold")
    for one in entries:
        state = Text(one.state, style="bold")
        if one.category != Category.PERSON:
            state.append(f", {one.category}", style="not bold")
        because = _reason(one.because) + (f" ({one.setting})" if one.setting else "")
        table.add_row(
            Text.assemble((one.id, "cyan"), f"\n{told(one.received)}"),
            Text.assemble((_words(one.sender) or "<>", "bold"), f"\n{_words(one.subject)}"),
            Text.assemble(state, f"\n{because}"),
        )
    return table


def mail(whole: Whole) -> Table:
    """One mail's fields, a row each."""
    one = whole.entry
    leads = f"a person, since {told(whole.led_since)}" if whole.led_since else ""
    rows = [
        ("mail", one.id),
        ("received", f"{told(one.received)}, {whole.size} bytes"),
        ("from", one.sender or "<>"),
        ("author proven", f"by {whole.proven_by}" if whole.proven_by else "no"),
        ("to", whole.recipient),
        ("subject", one.subject),
        ("category", one.category),
        ("state", one.state),
        ("because", _reason(one.because)),
        ("would change it", one.setting),
        ("conversation", one.thread_id),
        ("led by", leads or "the AI"),
        *(("attachment", _file(file)) for file in whole.attachments),
    ]
    return _rows(rows)


def _file(file: File) -> str:
    because = f" ({file.because})" if file.because else ""
    read = f"{file.what_was_read} was read{because}"
    return f"{file.filename or 'without a name'}, {file.content_type}, {file.size} bytes; {read}"


def _rows(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(name, Text(_words(value)))
    return table


def passage(title: str, text: str) -> Text:
    """A longer text under its title, line by line as it was written."""
    return Text.assemble((f"\n{title}\n", "bold"), clean(text).expandtabs(4).rstrip())


def accounts(found: Sequence[Account]) -> Table:
    """A list of people."""
    table = Table(expand=True)
    table.add_column("Address, name", ratio=1, overflow="fold")
    table.add_column("Status", no_wrap=True)
    table.add_column("First, last seen", no_wrap=True)
    table.add_column("Mails", justify="right", no_wrap=True)
    table.add_column("Answers", justify="right", no_wrap=True)
    for one in found:
        name = _words(one.name) if one.name != one.address else ""  # both are "(erased)"
        table.add_row(
            Text.assemble((_words(one.address), "bold"), f"\n{name}" if name else ""),
            Text(one.status),
            f"{one.first_seen:%Y-%m-%d}\n{one.last_seen:%Y-%m-%d}",
            str(one.mails),
            str(one.answers),
        )
    return table


def account(one: Account) -> Table:
    """One person's account, a row a field."""
    rate = "as the settings say" if one.answers_per_hour is None else str(one.answers_per_hour)
    return _rows(
        [
            ("address", one.address),
            ("name", one.name),
            ("status", one.status),
            ("language", one.language or "as the settings say"),
            ("format", "text alone" if one.format == "text" else "text and HTML"),
            ("answers an hour", rate),
            ("first seen", told(one.first_seen)),
            ("last seen", told(one.last_seen)),
            ("mails", str(one.mails)),
            ("answers", str(one.answers)),
        ]
    )


def api_keys(found: Sequence[ApiKey]) -> Table:
    """A list of keys."""
    table = Table(expand=True)
    table.add_column("Key", no_wrap=True)
    table.add_column("Name, scopes", ratio=1, overflow="fold")
    table.add_column("Made", no_wrap=True)
    table.add_column("Last used", no_wrap=True)
    for one in found:
        last = told(one.last_used_at) if one.last_used_at else "never"
        if one.revoked_at:
            last += f"\nrevoked {told(one.revoked_at)}"
        table.add_row(
            Text(one.id, style="cyan"),
            Text.assemble((_words(one.name), "bold"), f"\n{', '.join(one.scopes)}"),
            told(one.made_at),
            last,
        )
    return table


def mail_for_machines(whole: Whole) -> dict[str, Any]:
    """A mail's fields in one row of names."""
    fields = asdict(whole)
    return {**fields.pop("entry"), **fields}
