"""`server.py explain ID`: prints one mail's story, as the database tells it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.database import database
from config.settings import Settings, SettingsError
from handlers.store.explaining import Explained, explain
from handlers.store.opening import engine_for, open_database
from smtpd.errors import Trouble


def main(settings: Settings, email_id: str, as_json: bool) -> int:
    """Print the story; 0, or 1 when there is no such mail."""
    explained = asyncio.run(_find(settings, email_id.lower()))
    if explained is None:
        sys.stderr.write(
            f"There is no mail {email_id} in this database; one that was refused stands in the "
            "log only, under this id.\n"
        )
        return 1
    if as_json:
        told = json.dumps(asdict(explained), default=_moment, ensure_ascii=False, indent=2)
        sys.stdout.write(told + "\n")
    else:
        Console().print(picture(explained))
    return 0


async def _find(settings: Settings, email_id: str) -> Explained | None:
    where = database(settings.store)
    engine = engine_for(where.url, where.connect_args)
    try:
        secret_key = settings.store.secret_key.get_secret_value()
        keys = await open_database(engine, secret_key, unsafe=True)  # it writes no mail
        async with engine.connect() as connection:
            return await connection.run_sync(
                partial(explain, email_id=email_id, master=keys.master)
            )
    except Trouble as error:
        raise SettingsError(error.because) from None
    finally:
        await engine.dispose()


def picture(explained: Explained) -> Table:
    """The story as a table for a terminal; strangers' words are shown, never interpreted."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _summary(explained):
        if value:
            table.add_row(name, Text(value))
    for line in explained.story:
        table.add_row(f"{line.at:%Y-%m-%d %H:%M:%S}", Text(f"{line.event}: {line.because}"))
    return table


def _summary(explained: Explained) -> list[tuple[str, str]]:
    due = f"{explained.not_before:%Y-%m-%d %H:%M:%S}" if explained.not_before else ""
    return [
        ("mail", explained.id),
        ("state", explained.state),
        ("because", explained.because),
        ("would change it", explained.setting),
        ("from", explained.sender),
        ("to", explained.recipient),
        ("subject", explained.subject),
        ("Message-ID", explained.message_id),
        ("thread", explained.thread_id),
        ("MAIL FROM", explained.mail_from or "<>"),
        ("peer", explained.peer),
        *_evidence(explained.evidence),
        ("attachments", "\n".join(explained.attachments)),
        ("attempts", str(explained.attempts or "")),
        ("lost to dead workers", str(explained.lost or "")),
        ("uncertain sends", str(explained.uncertain or "")),
        ("not before", due),
    ]


def _evidence(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What the checks found, a row each; of an erased mail, nothing."""
    if not found:
        return []
    spf, helo, dmarc = found["spf"], found["helo"], found["dmarc"]
    signatures = [_signature(one) for one in found["dkim"]] or ["none"]
    where = f", policy {dmarc['policy']} of {dmarc['record_at']}" if dmarc["record_at"] else ""
    proven = f"by {found['proven_by']}" if found["aligned"] else "no"
    virus, spam = found["virus"], found["spam"]
    signs = f": {', '.join(spam['signs'])}" if spam["signs"] else ""
    return [
        ("author proven", proven),
        ("SPF", _told(spf)),
        ("SPF of HELO", _told(helo)),
        ("DKIM", "\n".join(signatures)),
        ("DMARC", _told(dmarc) + where),
        ("virus", f"{virus['scan']} {virus['name']}".strip()),
        ("spam", f"{spam['score']:g} by {spam['by']}{signs}" if spam["by"] else "not checked"),
    ]


def _told(finding: dict[str, str]) -> str:
    domain = f" for {finding['domain']}" if finding["domain"] else ""
    because = f" ({finding['because']})" if finding["because"] else ""
    return f"{finding['result']}{domain}{because}"


def _signature(finding: dict[str, str]) -> str:
    key = ", ".join(filter(None, (finding["algorithm"], f"selector {finding['selector']}")))
    return f"{_told(finding)}, {key}" if finding["selector"] else _told(finding)


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
