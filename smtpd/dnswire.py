"""Cuts a nameserver's message to what is read quickly, before dnspython reads it.

Strangers write the records, and recursive nameservers pass them on as they are. Neighbour:
smtpd/dnssockets.py, which has the bytes.
"""

from __future__ import annotations

import struct

MESSAGE_MAX_BYTES = 16_384  # room for a hundred TXT records of 150 bytes
RECORDS_MAX = 100  # of an answer, and of the section behind it
# dnspython's time, in the smallest unit: a name within a record takes the square of its labels,
# a string of a TXT record about twenty. A hundred records with names of 20 labels, or with 20
# strings, are more than anybody publishes; they take some milliseconds of the event loop.
_EFFORT_MAX = 40_000
_EFFORT_OF_A_STRING = 20
_LABELS_MAX = 127  # RFC 1035 section 2.3.4: 255 octets, two a label and one for the root
_STEPS_MAX = 2 * _LABELS_MAX + 2  # a pointer before each label

_HEADER = struct.Struct("!6H")  # id, flags, and how many: questions, answers, authority, rest
_RECORD = struct.Struct("!HHIH")  # type, class, time to live, length
_TRUNCATED = 0x0200
_POINTER = 0xC0
_A, _NS, _CNAME, _PTR, _MX, _TXT, _AAAA = 1, 2, 5, 12, 15, 16, 28
_NAME_AT = {_NS: 0, _CNAME: 0, _PTR: 0, _MX: 2}


def bounded(wire: bytes) -> bytes:
    """The message without what nobody reads, or nothing where it is broken.

    An answer that is too large loses its records: the name has none then. No later day makes
    it readable, so it is no failure that somebody should come again for; and a record that is
    not there proves no author.
    """
    try:
        return _bounded(wire)
    except (IndexError, struct.error):
        return b""


def _bounded(wire: bytes) -> bytes:
    number, flags, questions, answers, authority, _ = _HEADER.unpack_from(wire)
    if questions > 1:
        return b""
    question_end = _after_name(wire, _HEADER.size) + 4 if questions else _HEADER.size
    if flags & _TRUNCATED or len(wire) > MESSAGE_MAX_BYTES:
        answers = authority = 0
    answer_end, effort = _section(wire, question_end, answers)
    if effort > _EFFORT_MAX:
        answers, authority, answer_end = 0, 0, question_end
    end, effort = _section(wire, answer_end, authority)
    if effort > _EFFORT_MAX:
        authority, end = 0, answer_end
    return _HEADER.pack(number, flags, questions, answers, authority, 0) + wire[_HEADER.size : end]


def _section(wire: bytes, at: int, records: int) -> tuple[int, int]:
    """Where a section ends, and the effort of reading it; early once that is too much."""
    effort = 0 if records <= RECORDS_MAX else _EFFORT_MAX + 1
    while records and effort <= _EFFORT_MAX:
        at = _after_name(wire, at)
        kind, _, _, length = _RECORD.unpack_from(wire, at)
        at += _RECORD.size
        effort += _effort(wire, at, at + length, kind)
        at += length
        records -= 1
    if at > len(wire):
        raise IndexError
    return at, effort


def _effort(wire: bytes, at: int, end: int, kind: int) -> int:
    if kind in (_A, _AAAA):
        return 0
    if kind == _TXT:
        return _strings(wire, at, end) * _EFFORT_OF_A_STRING
    name_at = _NAME_AT.get(kind)
    labels = _LABELS_MAX if name_at is None else _labels(wire, at + name_at)
    return labels * labels


def _strings(wire: bytes, at: int, end: int) -> int:
    strings = 0
    while at < end:
        at += 1 + wire[at]
        strings += 1
    return strings


def _after_name(wire: bytes, at: int) -> int:
    while size := wire[at]:
        if size >= _POINTER:
            return at + 2
        at += 1 + size
    return at + 1


def _labels(wire: bytes, at: int) -> int:
    """How many labels a name has, wherever its pointers lead. Raises IndexError."""
    labels = 0
    for _ in range(_STEPS_MAX):
        size = wire[at]
        if not size:
            return labels
        if size >= _POINTER:
            at = (size - _POINTER) << 8 | wire[at + 1]
        else:
            labels += 1
            at += 1 + size
    raise IndexError
