"""Fuses: when so many answers went one way that something is wrong. Pure.

Each of them holds the mail and tells the operator once; what is normal is only paced
(handlers/store/rates.py). What the counts are taken from: handlers/store/turns.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.courtesy_settings import CourtesySettings
from config.settings import WorkerSettings
from handlers.letter import Ending, Exchange, Letter, Past, State

# A newcomer is one whose first mail is no older; the same time bounds FUSE_FIRST_CONTACT.
NEWCOMER = timedelta(hours=3)
# Nobody opens, reads and answers a mail faster; a robot needs no second.
_READING_S = 20.0
_TYPED_PER_S = 12.0  # characters; 5 is usual, 12 a record over minutes

# Chinese and Japanese have no spaces between words: there each character counts as one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]{1,64}")
_DIGIT = re.compile(r"\d")
_COMPARED = 20_000  # characters: what a robot repeats stands at the top
_SHINGLE = 3  # words that are compared as one
# Of texts shorter than this two may be the same by chance: "Thank you very much!"
_TELLING_WORDS = 8
_NEARLY_ALL = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseLimits:
    """So much, and no more; the settings' names stand in config/courtesy_settings.py."""

    per_sender: int | None = None  # None: twice the sender's own rate
    per_sender_per_day: int = 30
    per_day: int = 1200
    per_domain: int = 10
    domain_senders: int = 5
    per_thread: int = 6
    per_thread_per_day: int = 30
    first_contact: int = 2  # 0: no such fuse
    similar: int = 2

    @classmethod
    def of(cls, settings: CourtesySettings, worker: WorkerSettings) -> FuseLimits:
        """The limits that the settings describe."""
        return cls(
            per_sender=settings.fuse_per_sender,
            per_sender_per_day=settings.fuse_per_sender_per_day,
            per_day=settings.fuse_per_day or 12 * worker.max_emails_per_hour,
            per_domain=settings.fuse_per_domain,
            domain_senders=settings.fuse_domain_senders,
            per_thread=settings.fuse_per_thread,
            per_thread_per_day=settings.fuse_per_thread_per_day,
            first_contact=settings.fuse_first_contact,
            similar=settings.fuse_similar,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Answers so far; none of them needs to be counted beyond its limit."""

    to_sender: int  # in the last hour
    sender_rate: int  # answers an hour this sender may get
    to_sender_today: int  # in the last day, without a sign of a person
    to_all: int  # in the last day
    to_domain: int  # in the last hour, without a sign of a person
    domain_senders_lately: int  # in the last hour
    domain_senders: int  # in the last 30 days
    domain_subjects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blown:
    """A fuse that blew."""

    fuse: str  # sender, domain, all, thread, similar or newcomer; courtesy.py has echo
    because: str
    setting: str

    @property
    def ending(self) -> Ending:
        """What becomes of the mail: a person decides."""
        return Ending(what=State.HELD, because=self.because, setting=self.setting, fuse=self.fuse)


def blown_by_counts(counts: Counts, limits: FuseLimits) -> Blown | None:
    """The fuse that what was answered so far has blown, whatever this mail says."""
    per_sender = limits.per_sender or 2 * counts.sender_rate
    if counts.to_sender >= per_sender:
        because = f"{per_sender} answers within an hour went to this sender"
        return Blown(fuse="sender", because=because, setting="FUSE_PER_SENDER")
    if counts.to_sender_today >= limits.per_sender_per_day:
        because = f"{limits.per_sender_per_day} answers within a day went to this sender"
        return Blown(fuse="sender", because=because, setting="FUSE_PER_SENDER_PER_DAY")
    # One address is only paced. Many people on many subjects are no pair of robots; several
    # addresses on one subject are.
    alone = counts.domain_senders_lately == 1
    crowd = min(counts.domain_senders, counts.domain_subjects) >= limits.domain_senders
    if counts.to_domain >= limits.per_domain and not (alone or crowd):
        because = f"{limits.per_domain} answers within an hour went to its sender's domain"
        return Blown(fuse="domain", because=because, setting="FUSE_PER_DOMAIN")
    if counts.to_all >= limits.per_day:
        because = f"{limits.per_day} answers went out within a day"
        return Blown(fuse="all", because=because, setting="FUSE_PER_DAY")
    return None


def blown_by_conversation(
    exchange: Exchange, limits: FuseLimits, received_at: datetime
) -> Blown | None:
    """The fuse that this mail, after those before it, has blown."""
    past = exchange.past
    if past.turns_today >= limits.per_thread_per_day:
        because = f"{limits.per_thread_per_day} answers in this conversation within a day"
        return Blown(fuse="thread", because=because, setting="FUSE_PER_THREAD_PER_DAY")
    if times_said(exchange.letter.new_text, past) >= limits.similar:
        because = f"{limits.similar} mails before it in this conversation said nearly the same"
        return Blown(fuse="similar", because=because, setting="FUSE_SIMILAR")
    if exchange.person_seen:
        return None
    if past.turns >= limits.per_thread:
        because = f"{limits.per_thread} answers in this conversation without a sign of a person"
        return Blown(fuse="thread", because=because, setting="FUSE_PER_THREAD")
    known = past.known_since is not None and received_at - past.known_since >= NEWCOMER
    newcomer = not (known or past.vip)
    if newcomer and limits.first_contact and past.on_this_subject >= limits.first_contact:
        because = f"{limits.first_contact} answers on this subject went to this new sender"
        return Blown(fuse="newcomer", because=because, setting="FUSE_FIRST_CONTACT")
    return None


def shows_a_person(letter: Letter, past: Past, answered_within_s: float | None) -> bool:
    """Whether somebody read our answer and wrote: named it, took the time, said something new.

    None of these is proof, and a patient robot has them all: the limits a day and an hour
    hold for everybody.
    """
    if answered_within_s is None:
        return False
    needed_s = _READING_S + len(letter.new_text) / _TYPED_PER_S
    return answered_within_s >= needed_s and not times_said(letter.new_text, past)


def answered_within_s(past: Past, received_at: datetime) -> float | None:
    """Seconds from our newest answer to a mail that names an answer of ours; None for others."""
    if past.joined_by not in ("ours", "relay", "tag") or past.answered_at is None:
        return None
    within_s = (received_at - past.answered_at).total_seconds()
    return within_s if within_s >= 0 else None  # what came before our answer answers another


def times_said(text: str, past: Past) -> int:
    """How many mails of this author in the conversation say nearly the same as this text."""
    ours = _shingles(text)
    if ours is None:
        return 0
    others = (_shingles(one.content) for one in past.said if one.role == "user")
    return sum(1 for other in others if other is not None and _alike(ours, other))


def repeats_us(text: str, past: Past) -> bool:
    """Whether the text is one of our own answers come back."""
    theirs = _shingles(text)
    if theirs is None:
        return False
    answers = (_shingles(one.content) for one in past.said if one.role == "assistant")
    return any(answer is not None and _alike(theirs, answer) for answer in answers)


def _shingles(text: str) -> frozenset[tuple[str, ...]] | None:
    """The text's runs of words; None where there are too few to tell anything.

    All with a digit in it counts as one word: a robot's varying date or ticket number makes
    no new text.
    """
    found = _WORD.findall(text[:_COMPARED].casefold())
    words = ["0" if _DIGIT.search(word) else word for word in found]
    if len(words) < _TELLING_WORDS:
        return None
    return frozenset(zip(*(words[start:] for start in range(_SHINGLE)), strict=False))


def _alike(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    return len(one & other) >= _NEARLY_ALL * max(len(one), len(other))
