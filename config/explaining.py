"""`server.py explain ID`: prints one mail's story, as the database tells it."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from rich.table import Table
from rich.text import Text

from config import picturing
from config.desk import DONE, NotDone, done, known_id, opened
from config.settings import Settings
from handlers.store.explaining import Explained, explain
from smtpd.decoding import clean, one_line


def main(settings: Settings, email_id: str, as_json: bool) -> int:
    """Print the story; the exit code."""
    return done(_explain(settings, email_id, as_json))


async def _explain(settings: Settings, email_id: str, as_json: bool) -> int:
    async with opened(settings) as desk:
        asked = partial(explain, email_id=known_id(email_id), master=desk.master)
        explained = await desk.see(asked)
    if explained is None:
        raise NotDone(
            f"There is no mail {one_line(email_id, 40)} in this database; one that was refused "
            "stands in the log only, under this id"
        )
    if as_json:
        picturing.write_json(asdict(explained))
    else:
        picturing.show(picture(explained))
    return DONE


def picture(explained: Explained) -> Table:
    """The story as a table for a terminal; strangers' words are shown, never interpreted."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _summary(explained):
        if value:
            table.add_row(name, Text(clean(value)))
    for line in explained.story:
        what = f"{line.event}: {line.because}"
        table.add_row(f"{line.at:%Y-%m-%d %H:%M:%S}", Text(clean(what)))
    return table


def _summary(explained: Explained) -> list[tuple[str, str]]:
    due = f"{explained.not_before:%Y-%m-%d %H:%M:%S}" if explained.not_before else ""
    return [
        ("mail", explained.id),
        ("category", explained.category),
        ("state", explained.state),
        ("because", explained.because),
        ("would change it", explained.setting),
        ("from", explained.sender),
        ("to", explained.recipient),
        ("subject", explained.subject),
        ("Message-ID", explained.message_id),
        ("conversation", _conversation(explained)),
        ("decided", "a person wants it answered" if explained.approved else ""),
        ("answer", "written by a person of the house" if explained.by_person else ""),
        ("MAIL FROM", explained.mail_from or "<>"),
        ("peer", explained.peer),
        *_evidence(explained.evidence),
        ("attachments", "\n".join(explained.attachments)),
        ("attempts", str(explained.attempts or "")),
        ("lost to dead workers", str(explained.lost or "")),
        ("uncertain sends", str(explained.uncertain or "")),
        ("not before", due),
    ]


_FOUND_BY = {
    "ours": "by our Message-ID",
    "relay": "by the relay's id of our answer",
    "tag": "by the +tag it was sent to",
    "theirs": "by a Message-ID of its own side",
    "subject": "by its subject",
}


def _conversation(explained: Explained) -> str:
    found_by = _FOUND_BY.get(explained.joined_by, "begun by this mail")
    return f"{explained.thread_id} ({found_by})"


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
