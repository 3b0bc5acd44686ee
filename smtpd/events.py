"""What is worth a line in the log: a closed list of events, and nothing else.

Every room says what happened through log(); config/log.py decides how it looks
and is the last net for addresses and secrets. A mail address goes into a field
only as its address_hash(). What has a kind (a refusal, a limit that was hit) is
counted as well, whether or not it gets a line of its own.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import logging
import secrets
from collections import Counter

import structlog

EVENTS_LOGGER = "answermx"
HASH_DIGITS = 12  # 48 bits: two of 100,000 correspondents share a hash with chance 1 in 56,000


class Event(enum.StrEnum):
    """Each event with its level and what it means."""

    level: int
    sentence: str

    def __new__(cls, word: str, level: int, sentence: str) -> Event:
        member = str.__new__(cls, word)
        member._value_ = word
        member.level = level
        member.sentence = sentence
        return member

    # The house.
    STARTING = "starting", logging.INFO, "The house is being built from its settings."
    LISTENING = "listening", logging.INFO, "A listener is bound and takes connections."
    DRAINING = "draining", logging.INFO, "Nothing new is taken; running work is being finished."
    STOPPED = "stopped", logging.INFO, "Everything is closed."

    UNCONFINED = "unconfined", logging.WARNING, "The cell's processes could use the network."
    UNPROVEN = "unproven", logging.INFO, "A test switch is on: authors are answered unproven."

    # The front door.
    REJECTED = "rejected", logging.INFO, "A peer was told 5xx."
    DEFERRED = "deferred", logging.INFO, "A peer was told 4xx."
    QUEUED = "queued", logging.INFO, "A mail was kept and will be answered."
    HELD = "held", logging.INFO, "A mail was kept and waits for a person."
    KEPT = "kept", logging.INFO, "A mail was filed; no answer is owed."
    CUT_OFF = "cut_off", logging.INFO, "A session was ended from our side."
    TLS_FAILED = "tls_failed", logging.INFO, "A handshake after STARTTLS came to nothing."
    PROXY_FAILED = "proxy_failed", logging.WARNING, "A proxy did not say whom it speaks for."
    FULL = (
        "full",
        logging.WARNING,
        "No mail is taken for now: too little disk, or too long a queue.",
    )
    ROOM = "room", logging.INFO, "Mail is taken again."
    BROKE_OFF = "broke_off", logging.WARNING, "A check of a mail was ended before its result."
    ADDRESS_LOST = (
        "address_lost",
        logging.WARNING,
        "A mail came from a private or gateway address: SPF and limits per address are off for it.",
    )
    TALLY = "tally", logging.INFO, "What was refused and limited since the last tally, counted."

    # The back office.
    CLAIMED = "claimed", logging.DEBUG, "A worker has the right to work on a mail."
    READ = "read", logging.DEBUG, "A mail was turned into a letter."
    ASKED = "asked", logging.INFO, "The AI core was asked, and answered."
    WRITTEN = "written", logging.INFO, "A reply is written, signed and stored."
    ANSWERED = "answered", logging.INFO, "A mail's story ended with an answer."
    UNANSWERED = "unanswered", logging.INFO, "A mail's story ended without an answer."
    RETRY = "retry", logging.WARNING, "An attempt failed; there will be another."
    GIVEN_UP = "given_up", logging.ERROR, "A mail was parked for a person."
    FUSE = "fuse", logging.WARNING, "A fuse blew: mail is held until a person has looked."
    PACED = "paced", logging.INFO, "No mail has its turn now; what waits goes on waiting."
    SENDING_STOPPED = (
        "sending_stopped",
        logging.WARNING,
        "Nothing is sent until `resume`; mail is taken and kept as ever.",
    )
    SENDING_RESUMED = "sending_resumed", logging.INFO, "What waited is sent again."
    SWEPT = "swept", logging.INFO, "What is owed and stood in no line was queued again."

    # The operator.
    NOTICE = "notice", logging.WARNING, "Something that the operator should know."
    TOLD = "told", logging.INFO, "The operator was sent a mail."
    UNTOLD = "untold", logging.WARNING, "The operator could not be sent a mail; it is tried again."
    DIGEST = "digest", logging.INFO, "What the last day brought, counted."

    # The HTTP API.
    API_LISTENING = "api_listening", logging.INFO, "The HTTP API takes requests."
    API_USED = "api_used", logging.INFO, "A request with a right key was answered."
    API_REFUSED = "api_refused", logging.INFO, "A request without a right key was refused."
    API_AWAY = "api_away", logging.WARNING, "The HTTP API does not run; it is tried again."

    # Neighbours and surprises.
    AWAY = "away", logging.WARNING, "A neighbour does not answer: database, Redis, relay, AI core."
    TROUBLE = "trouble", logging.ERROR, "Something happened that nobody foresaw."
    LIBRARY = "library", logging.WARNING, "A library had something to say."
    CERTIFICATE = "certificate", logging.WARNING, "New certificate files cannot be used."


_logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(EVENTS_LOGGER)

# Until the start sets the installation's own key, hashes hold within this process only.
_hash_key = secrets.token_bytes(32)


# How often each kind of each event happened since the process began.
_counts: Counter[tuple[Event, str]] = Counter()


def log(event: Event, /, **fields: object) -> None:
    """Log that `event` happened; pass an exception as `exc_info`, a duration as `…_s`.

    With a `kind=`, a word of a closed list, it is counted, too. Raises TypeError for an
    event outside the closed list.
    """
    if not isinstance(event, Event):
        raise TypeError(f"not an event of the closed list: {type(event).__name__}")
    if kind := fields.get("kind"):
        count(event, str(kind))
    _logger.log(event.level, event.value, **fields)


def count(event: Event, kind: str) -> None:
    """Count what is not worth a line of its own."""
    _counts[event, kind] += 1


def tally() -> dict[tuple[Event, str], int]:
    """How often each kind of each event happened since the process began."""
    return dict(_counts)


def set_hash_key(key: bytes) -> None:
    """Set the installation's key, so that hashes stay the same from one start to the next."""
    global _hash_key
    _hash_key = key


def address_hash(address: str) -> str:
    """The keyed hash that stands for a mail address in every log line."""
    digest = hmac.new(_hash_key, address.lower().encode("utf-8", "replace"), hashlib.sha256)
    return digest.hexdigest()[:HASH_DIGITS]
