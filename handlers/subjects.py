"""Subjects without what mail programs put before them. Pure."""

from __future__ import annotations

import re

from smtpd.decoding import one_line

SUBJECT_MAX = 200  # characters

# What mail programs put before the subject of a reply or of a forwarded mail.
_REPLY = r"re|aw|antw|antwort|sv|vs|odp|ref|rif|res|rés?p|ynt|回复|答复|回覆|返信|회신"
_FORWARD = r"tr|fw|fwd|wg|rv|enc|vb|doorst|pd|ilt|转发|轉寄|転送|전달"
_COUNT_AND_COLON = r"(?:\s?[\[(]\d{1,3}[\])])?\s?[:\uff1a]\s*"
_PREFIX = re.compile(rf"(?:(?:{_REPLY}|{_FORWARD}){_COUNT_AND_COLON})+", re.IGNORECASE)
_NUMBERED = re.compile(r"[0-9a-z]*\d[0-9a-z]*")  # on no more than SUBJECT_MAX characters
_REPLY_FIRST = re.compile(rf"\s{{0,9}}(?:{_REPLY}){_COUNT_AND_COLON}", re.IGNORECASE)


def bare(subject: str) -> str:
    """The subject as one clean line, without the prefixes of replies and forwards."""
    line = one_line(subject, SUBJECT_MAX)
    match = _PREFIX.match(line)
    return line[match.end() :] if match else line


def answers_another(subject: str) -> bool:
    """Whether the subject has the prefix of a reply."""
    return bool(_REPLY_FIRST.match(subject))


def same(subject: str) -> str:
    """What subjects of one conversation have in common, "" where there is none."""
    return " ".join(bare(subject).casefold().split())


def theme(subject: str) -> str:
    """The same without its numbers: a program counts its mails, or puts a date on each."""
    return _NUMBERED.sub("0", same(subject))
