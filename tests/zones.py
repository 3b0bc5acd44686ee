"""A DNS zone as a literal, for tests that need answers and no server.

    zone({"example.org": {"TXT": "v=spf1 -all", "MX": "10 mx.example.org"},
          "dead.example": SERVFAIL})

Several records of a type stand in a list. A name without an entry does not exist, unless
names below it do; a name with other records has no data of this type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from smtpd.questions import Answer, Kind, Question, Record, Status

SERVFAIL = Status.SERVFAIL
TIMEOUT = Status.TIMEOUT

Text = str | bytes
Records = Mapping[str, "Text | list[Text] | Status"]
Names = Mapping[str, "Records | Status"]


@dataclass(frozen=True, slots=True)
class Zone:
    """Answers from a literal, and counts what was asked."""

    names: Names
    asked: Counter[Question] = field(default_factory=Counter)

    def known(self, question: Question) -> Answer | None:
        """Nothing is remembered."""
        return None

    async def lookup(self, question: Question) -> Answer:
        """The answer; a Lookup."""
        self.asked[question] += 1
        return self.answer(question)

    def answers(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """The answers to all of them."""
        return {question: self.answer(question) for question in questions}

    def answer(self, question: Question) -> Answer:
        """The answer, uncounted."""
        entry = self.names.get(question.name)
        if entry is None:
            below = any(name.endswith(f".{question.name}") for name in self.names)
            return Answer(Status.NODATA if below else Status.NXDOMAIN)
        if isinstance(entry, Status):
            return Answer(entry)
        found = entry.get(question.kind.value)
        if found is None:
            return Answer(Status.NODATA)
        if isinstance(found, Status):
            return Answer(found)
        texts = found if isinstance(found, list) else [found]
        return Answer(Status.FOUND, tuple(_record(text, question.kind) for text in texts))


def zone(names: Names) -> Zone:
    """The zone; its names in lower case without the last dot."""
    return Zone({name.lower().rstrip("."): entry for name, entry in names.items()})


def _record(text: Text, kind: Kind) -> Record:
    if kind is Kind.TXT:
        return text if isinstance(text, bytes) else text.encode()
    assert isinstance(text, str)
    if kind is Kind.MX:
        preference, _, host = text.partition(" ")
        return int(preference), host.lower().rstrip(".")
    return text.lower().rstrip(".")
