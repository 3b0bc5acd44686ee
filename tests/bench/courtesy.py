"""What kind of mail other people's mail is taken for: how much of a person's stays unanswered.

Nobody can prove any more who sent that mail, and none of it was written to us: identity
and the rule about To and Cc are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from handlers.reading import ReadingCaps, read
from handlers.softsigns import judged, soft_signs
from smtpd.category import Category, Kind
from smtpd.facts import facts
from smtpd.headers import Headers, scan
from tests.bench.table import table
from tests.material import FOLDER

MAIL_FROM = "unknown@example.org"  # of what names no author either
AUTOMATIC = FOLDER / "auto" / "soe"
GOOD = FOLDER / "spam" / "easy-ham-1"
# By any of these a list or a sender of many mails says what it is.
LIST_FIELDS = (
    *("list-id", "list-post", "list-help", "list-subscribe", "list-unsubscribe", "list-owner"),
    *("list-archive", "list-unsubscribe-post", "mailing-list", "x-mailing-list", "x-beenthere"),
    *("x-mailman-version", "x-listname", "precedence", "x-loop"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a corpus's mails were taken for."""

    mails: int
    by_category: Counter[Category]
    others: tuple[tuple[str, Kind], ...]  # who was not taken for a person

    @property
    def unanswered(self) -> int:
        return len(self.others)


def run() -> str:
    """The tables; of the mail only where it is there."""
    rows = {
        "automatic, MAIL FROM its Return-Path": measured(files(AUTOMATIC), returned=True),
        "automatic, MAIL FROM its author": measured(files(AUTOMATIC), returned=False),
        "good, without list fields": measured(without_list(files(GOOD)), returned=False),
        "good, its list fields taken out": measured(stripped(files(GOOD)), returned=False),
    }
    present = {name: figures for name, figures in rows.items() if figures.mails}
    return "\n".join([_rates(present), _categories(present), _missed(present)]) if present else ""


def measured(mails: Iterable[tuple[str, bytes]], returned: bool) -> Figures:
    """What each mail is taken for by its marks, and by its letter's signs."""
    kinds = [(name, kind_of(raw, returned)) for name, raw in mails]
    return Figures(
        mails=len(kinds),
        by_category=Counter(kind.category for _, kind in kinds),
        others=tuple((name, kind) for name, kind in kinds if not kind.from_a_person),
    )


def kind_of(raw: bytes, returned: bool) -> Kind:
    """One mail's kind; with `returned` its MAIL FROM is the Return-Path, where it has one."""
    headers = scan(raw)
    author = facts(headers, MAIL_FROM).author
    mail_from = author or MAIL_FROM
    if returned and headers.has("return-path"):
        mail_from = headers.first("return-path").strip("<> ")
    known = facts(headers, mail_from)
    if not known.kind.from_a_person:
        return known.kind
    return judged(soft_signs(read(raw, ReadingCaps()), author, None))


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each mail of a folder, by its name."""
    names = ("*.eml", "*.txt")
    found = sorted(file for name in names for file in folder.glob(name))
    for file in found:
        raw = file.read_bytes()
        if raw.startswith(b"From "):  # a mailbox file's own line
            raw = raw.partition(b"\n")[2]
        yield file.stem, raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def without_list(mails: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Those that bear no list field."""
    for name, raw in mails:
        if not any(map(scan(raw).has, LIST_FIELDS)):
            yield name, raw


def stripped(mails: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """All of them, as if they had come from their authors directly."""
    for name, raw in mails:
        headers = scan(raw)
        kept = Headers(tuple(one for one in headers.fields if one[0] not in LIST_FIELDS))
        section = b"".join(b"%b: %b\r\n" % (key.encode(), value) for key, value in kept.fields)
        yield name, section + b"\r\n" + raw[headers.body_at :]


def _rates(found: dict[str, Figures]) -> str:
    rows = [
        [name, str(one.mails), str(one.unanswered), f"{one.unanswered / one.mails:.1%}"]
        for name, one in found.items()
    ]
    title = "Mail taken for no person's: identity and To/Cc left out"
    return table(title, ["mail", "mails", "unanswered", "share"], rows)


def _categories(found: dict[str, Figures]) -> str:
    rows = [
        [name, *(str(one.by_category[category]) for category in Category)]
        for name, one in found.items()
    ]
    return table("By category", ["mail", *Category], rows)


def _missed(found: dict[str, Figures]) -> str:
    rows = [
        [f"{name[:20]}: {kind.category}", kind.because]
        for corpus, one in found.items()
        if corpus.startswith("good")
        for name, kind in one.others
    ]
    return table("Good mail that is left unanswered", ["mail", "because"], rows)
