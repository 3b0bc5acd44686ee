"""How a mail says that no person wrote it to us (RFC 3834 section 2, RFC 5230 section 4.6).

Hard evidence: a mark in the header section or the envelope that people's mail does not
have. No mark is searched in the text. Neighbours: smtpd/robotmarks.py has the marks,
smtpd/facts.py asks once for each mail, handlers/softsigns.py knows what is no proof alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from smtpd import robotmarks as marks
from smtpd.addresses import domain_of, local_of
from smtpd.category import A_PERSON, REPORT_TYPES, Category, Kind
from smtpd.headers import Headers

_KEYWORD_END = re.compile(r"[\s;(]")
_REPORT_TYPE = re.compile(r';\s{0,99}report-type\s{0,9}=\s{0,9}"?([a-z-]{1,40})', re.IGNORECASE)
_LOCAL_MAX = 100  # characters; RFC 5321 section 4.5.3.1.1 allows 64
# RFC 3464 also tells of delays and deliveries. Those are filed with the bounces: only the
# body tells them apart, and all of them say what became of a mail of ours.
_BOUNCE_REPORTS = frozenset({"delivery-status", ""})


@dataclass(frozen=True, slots=True)
class _Seen:
    """The header section and the envelope, where marks are looked for."""

    headers: Headers
    mail_from: str
    author: str
    subject: str

    def word(self, name: str) -> str:
        """A field's value in lower case, without comment and parameters."""
        return _keyword(self.headers.first(name))

    def says(self, name: str) -> bool:
        """Whether the field is there, and does not deny what its name says."""
        return self.headers.has(name) and self.headers.first(name).lower() not in ("no", "false")

    def precedence(self, *words: str) -> str:
        """Which of the words the mail gives as its precedence, "" for none of them."""
        names = ("precedence", "preference", "x-precedence")
        given = {self.word(name) for name in names}
        return next((word for word in words if word in given), "")


def _keyword(value: str) -> str:
    # RFC 3834 section 5: a comment and parameters may follow it.
    return _KEYWORD_END.split(value.lower(), maxsplit=1)[0]


def kind_of(headers: Headers, mail_from: str, author: str, subject: str) -> Kind:
    """The mail's category by the first mark that is found, the telling ones first.

    `author` and `subject` are those of the header section, read and decoded.
    """
    seen = _Seen(headers, mail_from, author, subject)
    return next(filter(None, (mark(seen) for mark in _MARKS)), A_PERSON)


def _report(seen: _Seen) -> Kind | None:
    content_type = seen.headers.first("content-type")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/report":
        found = _REPORT_TYPE.search(content_type)
        bounced = (found[1].lower() if found else "") in _BOUNCE_REPORTS
        return Kind(Category.BOUNCE if bounced else Category.REPORT, "it is a report")
    if media_type in REPORT_TYPES:
        return Kind(REPORT_TYPES[media_type], "it is a report")
    if seen.headers.has("tls-report-domain") or marks.COMPLAINT.fullmatch(seen.subject):
        return Kind(Category.REPORT, "it is a complaint or a daily report")
    return None


def _bounce(seen: _Seen) -> Kind | None:
    if seen.headers.has("x-failed-recipients"):
        return Kind(Category.BOUNCE, "it has the field X-Failed-Recipients")
    # Some write their name and no address into From: then the mail has no author.
    claimed = seen.author or seen.headers.first("from").strip("<> ")
    senders = {local_of(seen.mail_from), local_of(claimed)}
    if senders & marks.MAIL_SYSTEMS or local_of(claimed) == "postmaster":
        return Kind(Category.BOUNCE, "a mail system sent it")
    if marks.DELIVERY.fullmatch(seen.subject):
        return Kind(Category.BOUNCE, "its subject is that of a mail system's report")
    return None


def _calendar(seen: _Seen) -> Kind | None:
    content_type = seen.headers.first("content-type")
    meant = seen.headers.first("content-class").lower().endswith("calendarmessage")
    if (
        meant
        or content_type.lower().startswith("text/calendar")
        or marks.CALENDAR_METHOD.search(content_type)
    ):
        return Kind(Category.CALENDAR, "its header section is that of a calendar's mail")
    return None


def _automatic(seen: _Seen) -> Kind | None:
    because = "the Auto-Submitted field says that it is automatic"
    for value in seen.headers.all("auto-submitted"):
        keyword = _keyword(value)
        if keyword == "auto-replied":
            return _replied(seen, because)
        if keyword not in ("no", ""):
            # Exchange writes "auto-generated" into its notes of absence.
            return _answer_by_subject(seen, because) or Kind(Category.NOTIFICATION, because)
    return None


def _answering_program(seen: _Seen) -> Kind | None:
    for name in marks.ANSWERING_FIELDS:
        if seen.says(name):
            return _replied(seen, f"it has the field {name.title()}")
    if seen.precedence("auto_reply"):
        return _replied(seen, "its precedence is auto_reply")
    if any("autoresponder" in value.lower() for value in seen.headers.all("delivered-to")):
        return _replied(seen, "the Delivered-To field names an autoresponder")
    return None


def _notifier(seen: _Seen) -> Kind | None:
    for name in marks.SENDING_FIELDS:
        if seen.says(name):
            return Kind(Category.NOTIFICATION, f"it has the field {name.title()}")
    if any(name.startswith(marks.NOTIFIERS) for name, _ in seen.headers.fields):
        return Kind(Category.NOTIFICATION, "it has the fields of a service that notifies people")
    return None


def _mailing_list(seen: _Seen) -> Kind | None:
    headers = seen.headers
    # RFC 2369 section 3.4: "NO" is what a list says to which nobody may post.
    posting = headers.has("list-post") and seen.word("list-post") != "no"
    for name in ("list-post",) * posting + marks.DISCUSSION_FIELDS:
        if headers.has(name):
            return Kind(Category.MAILING_LIST, f"it has the field {name.title()}")
    if headers.has("list-id") and not headers.has("list-unsubscribe"):
        return Kind(Category.MAILING_LIST, "it has the field List-Id")
    if seen.precedence("list") and not headers.has("list-unsubscribe"):
        return Kind(Category.MAILING_LIST, "its precedence is list")
    if any(marks.LIST_SENDER.fullmatch(local_of(one)) for one in (seen.mail_from, seen.author)):
        return Kind(Category.MAILING_LIST, "a list manager sent it")
    return None


def _newsletter(seen: _Seen) -> Kind | None:
    for name in (*marks.SUBSCRIPTION_FIELDS, "list-id", "list-post"):
        if seen.headers.has(name):
            return Kind(Category.NEWSLETTER, f"it has the field {name.title()}")
    if word := seen.precedence("bulk", "junk", "list"):
        return Kind(Category.NEWSLETTER, f"its precedence is {word}")
    return None


def _counted(seen: _Seen) -> Kind | None:
    # Services that send for programs have complaints about each kind of mail counted.
    if seen.headers.has("feedback-id"):
        return Kind(Category.NOTIFICATION, "it has the field Feedback-Id")
    # Programs that answer, and sort their own mail out by it.
    if seen.headers.has("x-loop"):
        return _replied(seen, "it has the field X-Loop")
    return None


def _no_sender(seen: _Seen) -> Kind | None:
    # RFC 5321 section 4.5.5: reports have no sender, so that none can follow a report.
    if not seen.mail_from:
        because = "its sender is the null sender"
        return _answer_by_subject(seen, because) or Kind(Category.BOUNCE, because)
    # Of MAIL FROM no more: a person's mail may have "bounces" there.
    if marks.NO_REPLY.fullmatch(local_of(seen.mail_from)[:_LOCAL_MAX]) or answers_no_one(
        seen.author
    ):
        return Kind(Category.NOTIFICATION, "no person reads what is sent to its sender")
    return None


_MARKS: tuple[Callable[[_Seen], Kind | None], ...] = (
    _report,
    _bounce,
    _calendar,
    _automatic,
    _answering_program,
    _notifier,
    _mailing_list,
    _newsletter,
    _counted,
    _no_sender,
)


def _replied(seen: _Seen, because: str) -> Kind:
    return _answer_by_subject(seen, because) or Kind(Category.AUTO_REPLY, because)


def _answer_by_subject(seen: _Seen, because: str) -> Kind | None:
    """Which answer of a program it is, where its subject tells."""
    if marks.AWAY.match(seen.subject):
        return Kind(Category.OUT_OF_OFFICE, because)
    return Kind(Category.AUTO_REPLY, because) if marks.AUTOMATIC.match(seen.subject) else None


def own_loop(headers: Headers, message_id: str, own_domain: str) -> Kind | None:
    """Why this is our own mail coming back: the marks that every reply of ours carries."""
    if not own_domain:
        return None
    if any(own_domain in value.lower() for value in headers.all("x-loop")):
        return Kind(Category.OURS, "the X-Loop field names us")
    # Whatever came through us says who made it; a person's quote of it does not.
    if headers.has("auto-submitted") and domain_of(message_id.rstrip(">")) == own_domain:
        return Kind(Category.OURS, "its Message-ID is one of ours")
    return None


def answers_no_one(address: str) -> bool:
    """Whether no person reads what is sent there: no-reply, mailer-daemon, postmaster."""
    local = local_of(address)[:_LOCAL_MAX]
    return (
        local in marks.MAIL_SYSTEMS | marks.NOWHERE
        or local == "postmaster"
        or bool(marks.NO_REPLY.fullmatch(local))
        or bool(marks.LIST_SENDER.fullmatch(local))
    )
