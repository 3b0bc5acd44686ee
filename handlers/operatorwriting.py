"""What the operator reads: templates filled with notices, with the day, or about a filed mail.

handlers/operatormail.py makes mail of it. The text holds ids, times and reasons of our own,
and nothing that a stranger wrote.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from handlers.letter import NoticeKind, Outgoing
from handlers.operatormail import Desk, Form, attachment, compose
from handlers.signing import Signer
from handlers.store.digest import Digest, Listed, Pile
from handlers.store.filed import FiledMail
from handlers.store.notices import News
from smtpd.decoding import one_line
from smtpd.noticeid import notice_id

TEMPLATES = Path(__file__).resolve().parent.parent / "templates" / "operator"

LISTED_MAX = 50  # of one kind, in one mail
_TEXT_MAX = 400

_COUNTED = {
    NoticeKind.FUSE: ("fuse blew", "fuses blew"),
    NoticeKind.CROWD: ("sender has too much waiting", "senders have too much waiting"),
    NoticeKind.STOP: ("stop or start of sending", "stops or starts of sending"),
    NoticeKind.PARKED: ("mail parked", "mails parked"),
    NoticeKind.DOWN: ("neighbour away or back", "reports of a neighbour away or back"),
    NoticeKind.TAKEN: ("mail for a person", "mails for a person"),
    NoticeKind.FILED: ("mail filed", "mails filed"),
}


class OperatorWriter:
    """Renders, builds and signs. Without a signer the relay signs.

    Raises ValueError for a template that is missing, broken, or asks for a variable that
    it is not given.
    """

    def __init__(self, desk: Desk, signer: Signer | None, folder: Path = TEMPLATES) -> None:
        self._desk = desk
        self._signer = signer
        environment = SandboxedEnvironment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            autoescape=False,
        )
        try:
            self._templates = {
                name: environment.get_template(f"{name}.txt.j2") for name in _SAMPLES
            }
            for name, samples in _SAMPLES.items():
                for sample in samples:
                    self._rendered(name, sample)
        except TemplateError as error:
            problem = f"{type(error).__name__}: {error.message}"
            raise ValueError(f"a template in {folder} cannot be used: {problem}") from None

    def notices(self, urgent: Sequence[News], filed: Sequence[News], now: datetime) -> Outgoing:
        """One mail for many notices; filed mail is named in it."""
        return self._outgoing(
            "notices", _subject_of((*urgent, *filed)), notice_variables(urgent, filed), now
        )

    def digest(self, digest: Digest, certificate_days: int | None, now: datetime) -> Outgoing:
        """The day in numbers."""
        subject = (
            f"{digest.until:%d %b}: {digest.received} received, {digest.answered} answered, "
            f"{digest.held.size} held, {digest.parked.size} parked"
        )
        return self._outgoing("digest", subject, _digest_variables(digest, certificate_days), now)

    def filed(
        self, news: News, mail: FiledMail | None, form: Form, refused: str, now: datetime
    ) -> Outgoing:
        """A filed mail passed on; `refused` is why it goes in no better form."""
        variables = _filed_variables(news, mail, form, refused)
        attached = attachment(mail, form, news.email_id) if mail else ()
        return self._outgoing("filed", f"Mail to {_addressed(mail)}", variables, now, attached)

    def _outgoing(
        self,
        template: str,
        subject: str,
        variables: dict[str, Any],
        now: datetime,
        attached: Sequence[bytes] = (),
    ) -> Outgoing:
        token = secrets.token_hex(16)
        text = self._rendered(template, variables)
        raw = compose(self._desk, subject, text, attached, now=now, token=token)
        return Outgoing(
            message_id=notice_id(token, self._desk.domain),
            mail_from=self._desk.mail_from,
            rcpt_to=self._desk.operator,
            raw=self._signer.sign(raw, now) if self._signer else raw,
        )

    def _rendered(self, template: str, variables: dict[str, Any]) -> str:
        return self._templates[template].render(variables, domain=self._desk.domain)


def notice_variables(urgent: Sequence[News], filed: Sequence[News]) -> dict[str, Any]:
    """What the template of the notices is given."""
    groups = [
        {
            "kind": kind.value,
            "shown": [
                {"at": one.at, "text": one_line(one.text, _TEXT_MAX)}
                for one in of_kind[:LISTED_MAX]
            ],
            "more": max(0, len(of_kind) - LISTED_MAX),
        }
        for kind in NoticeKind
        if (of_kind := [one for one in urgent if one.kind is kind])
    ]
    return {
        "groups": groups,
        "filed": [{"at": one.at, "id": one.email_id} for one in filed[:LISTED_MAX]],
        "more_filed": max(0, len(filed) - LISTED_MAX),
    }


def _subject_of(news: Sequence[News]) -> str:
    """What happened: in its own words where it is one thing, else counted."""
    if len(news) == 1:
        said = news[0].text.partition(": ")[0].rstrip(".")
        return f"{said[:1].upper()}{said[1:]}"
    counts = Counter(one.kind for one in news)
    return ", ".join(
        f"{counts[kind]} {words[counts[kind] > 1]}"
        for kind, words in _COUNTED.items()
        if counts[kind]
    )


def _filed_variables(
    news: News, mail: FiledMail | None, form: Form, refused: str
) -> dict[str, Any]:
    return {
        "id": news.email_id,
        "at": news.at,
        "to": _addressed(mail),
        "form": form.value,
        "refused": one_line(refused, _TEXT_MAX),
        "size_bytes": mail.size_bytes if mail else 0,
    }


def _addressed(mail: FiledMail | None) -> str:
    return " and ".join(f"{local}@" for local in mail.to) if mail else "postmaster@ or abuse@"


def _digest_variables(digest: Digest, certificate_days: int | None) -> dict[str, Any]:
    return {"digest": digest, "certificate_days": certificate_days}


# What the templates are tried with at the start, so that each branch of them is taken.
_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_MANY = tuple(
    News(id=number, kind=kind, at=_NOON, text="something", email_id="01")
    for kind in NoticeKind
    for number in range(LISTED_MAX + 1)
)
_PILES = (
    Pile(size=0, listed=()),
    Pile(
        size=2,
        listed=(Listed(id="01", since=_NOON, category="person", because="so", setting="X"),),
    ),
)
_DIGESTS = tuple(
    Digest(
        since=_NOON,
        until=_NOON,
        received=1,
        bounces=0,
        answered=1,
        unanswered={"person": 1, "list": 1},
        filed={},
        notices={NoticeKind.FUSE: 1},
        waiting=pile.size,
        waiting_since=_NOON if pile.size else None,
        held=pile,
        parked=pile,
    )
    for pile in _PILES
)
_SAMPLES: dict[str, tuple[dict[str, Any], ...]] = {
    "notices": (notice_variables(_MANY, _MANY), notice_variables((), ())),
    "digest": tuple(
        _digest_variables(digest, days) for digest in _DIGESTS for days in (None, -1, 1, 80)
    ),
    "filed": tuple(
        _filed_variables(_MANY[0], None, form, refused) for form in Form for refused in ("", "so")
    ),
}
