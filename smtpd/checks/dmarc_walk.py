"""DMARC's DNS tree walk (RFC 9989 section 4.10), read from its answers: which record applies, and
which organisation a domain belongs to. Neighbour: smtpd/checks/dmarc.py asks. Pure.

An answer may be missing. What it could be decides what is known all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from smtpd.checks.dmarc_record import DmarcRecord

# Section 4.10 step 4: above its first name a walk has names of seven labels at most, so
# that it asks eight questions at most.
ABOVE_LABELS = 7


@dataclass(frozen=True, slots=True)
class Step:
    """What one name of a walk publishes."""

    name: str
    record: DmarcRecord | None = None
    unanswered: bool = False

    @property
    def ends_the_walk(self) -> bool:
        """psd=y and psd=n do (section 4.10 steps 2 and 6)."""
        return self.record is not None and self.record.psd != "u"


Walk = Sequence[Step]  # from its first name upwards, never empty


@dataclass(frozen=True, slots=True)
class Discovery:
    """Section 4.10.1: the record that applies to an author's domain."""

    at: str = ""  # the domain that publishes it, "" where there is none
    record: DmarcRecord | None = None
    known: bool = True  # False: an answer that is missing may hold another one


def names(domain: str) -> tuple[str, ...]:
    """The names of a walk (section 4.10 steps 3 to 7), the domain itself first."""
    labels = domain.split(".")
    first = max(1, len(labels) - ABOVE_LABELS)
    return (domain, *(".".join(labels[at:]) for at in range(first, len(labels))))


def is_whole(walk: Walk) -> bool:
    """Whether there is nothing left to ask."""
    return walk[-1].ends_the_walk or len(walk) == len(names(walk[0].name))


def discovery(walk: Walk) -> Discovery:
    """The author's record, else its organisation's, else its public suffix's."""
    own, top = walk[0], walk[-1]
    if own.record is not None:
        return Discovery(own.name, own.record)
    if any(step.unanswered for step in walk):
        # Any of them may have psd=n, and would apply.
        return Discovery(known=False)
    published = {step.name: step.record for step in walk if step.record}
    for name in (*organisations(walk), top.name if top.ends_the_walk else ""):
        if name in published:
            return Discovery(name, published[name])
    return Discovery()


def organisations(walk: Walk) -> frozenset[str]:
    """The organisational domain (section 4.10.2), or all it may be while answers are missing."""
    start = walk[0].name
    possible: set[str] = set()
    topmost = {start}  # the record with the fewest labels, should no psd tag decide
    for step in walk:
        below = _one_label_below(step.name, start)
        if step.unanswered:
            possible |= {step.name, below}  # with psd=n, or psd=y
        elif step.record is not None:
            if step.ends_the_walk:
                return frozenset(possible | {step.name if step.record.psd == "n" else below})
            topmost = {step.name}
    return frozenset(possible | topmost)


def belong_together(one: Walk, other: Walk) -> bool:
    """Whether the organisational domain is the same, whatever the missing answers are."""
    # Walks that pass the same record go on alike, whatever is above it.
    if not _passed(one).isdisjoint(_passed(other)):
        return True
    return len(organisations(one)) == 1 and organisations(one) == organisations(other)


def _passed(walk: Walk) -> set[str]:
    """Where a walk certainly comes by, and finds a record of no public suffix."""
    answered = itertools.takewhile(lambda step: not step.unanswered, walk)
    return {step.name for step in answered if step.record and step.record.psd != "y"}


def _one_label_below(name: str, start: str) -> str:
    """The domain under `name` on the way down to `start`; under `start` there is none but it."""
    labels = start.split(".")
    return ".".join(labels[-(name.count(".") + 2) :])
