"""The light score: how often it is wrong about other people's mail, and what it costs.

Who sent that mail can no longer be checked: what SPF, DKIM and DMARC say weighs nothing here.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from smtpd.checks.marks import built_in, content_marks
from smtpd.evidence import Evidence, SpamFinding
from smtpd.headers import scan
from smtpd.mail import Arrival
from tests.bench.table import table
from tests.material import FOLDER

HOLD = 5.0  # SPAM_HOLD_SCORE's default
FOLDERS = {"easy-ham-1": "good", "spam-1": "spam"}
# Later than all of it: the clock is no mark.
RECEIVED = datetime(2002, 12, 1, tzinfo=UTC)
UNKNOWN = Evidence(client_known=False)
SIZE_BYTES = 4096
TIMES, ROUNDS = 400, 5

HEAD = b"""From: Ada <ada@example.org>
To: ai@us.example
Subject: A question
Date: Fri, 29 Nov 2002 10:00:00 +0000
Message-ID: <1@example.org>
""".replace(b"\n", b"\r\n")
BODIES = {
    "plain text": b"\r\n" + b"Is the notice that I was given in time? I was ill then.\r\n" * 90,
    "HTML with links": b"Content-Type: text/html\r\n\r\n"
    + b'<p>See <a href="https://www.example.org/a">www.example.org</a> for it.</p>\r\n' * 70,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the light score says of one folder."""

    mails: int
    held: int
    signs: Counter[str]


def run() -> str:
    """The tables; of the mail only where it is there."""
    said = [_cost()]
    found = {kind: of_folder(FOLDER / "spam" / name) for name, kind in FOLDERS.items()}
    if all(figures.mails for figures in found.values()):
        said.insert(0, _rates(found))
    return "\n".join(said)


def of_folder(folder: Path) -> Figures:
    """How many of a folder's mails the light score would hold, and for what."""
    findings = [_scored(raw) for raw in _mails(folder)]
    return Figures(
        mails=len(findings),
        held=sum(finding.score >= HOLD for finding in findings),
        signs=Counter(sign for finding in findings for sign in finding.signs),
    )


def _mails(folder: Path) -> Iterator[bytes]:
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        raw = file.read_bytes()
        if raw.startswith(b"From "):  # a mailbox file's own line
            raw = raw.partition(b"\n")[2]
        yield raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _scored(raw: bytes) -> SpamFinding:
    return built_in(content_marks(raw), _arrival(raw), UNKNOWN)


def _arrival(raw: bytes) -> Arrival:
    return Arrival(
        id="01jbench",
        peer=None,
        mail_from="",
        rcpt_to=(),
        raw=raw,
        headers=scan(raw),
        received_at=RECEIVED,
    )


def _rates(found: dict[str, Figures]) -> str:
    rows = [[kind, str(one.mails), str(one.held), _share(one)] for kind, one in found.items()]
    names = sorted(set().union(*(one.signs for one in found.values())))
    marks = [[name, *(str(one.signs[name]) for one in found.values())] for name in names]
    return "\n".join(
        [
            table(
                f"The light score of other people's mail: held at {HOLD:g}, identity unknown",
                ["mail", "mails", "held", "share"],
                rows,
            ),
            table("Mails with each mark", ["mark", *found], marks),
        ]
    )


def _share(figures: Figures) -> str:
    return f"{figures.held / figures.mails:.1%}"


def _cost() -> str:
    rows = []
    for name, body in BODIES.items():
        raw = (HEAD + body)[:SIZE_BYTES]
        marks, arrival = content_marks(raw), _arrival(raw)
        own = _cpu_ms(partial(content_marks, raw))
        summed = _cpu_ms(partial(built_in, marks, arrival, UNKNOWN))
        rows.append([name, f"{own:.3f}", f"{summed:.3f}", f"{own + summed:.3f}", "0.2"])
    return table(
        f"The light score of a mail of 4 kB: CPU ms, medians of {ROUNDS} times {TIMES}",
        ["mail", "its marks", "their sum", "both", "aim"],
        rows,
    )


def _cpu_ms(work: Callable[[], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            work()
        rounds.append((time.process_time() - began) / TIMES * 1000)
    return statistics.median(rounds)
