"""DNS answers for as long as they hold: bounded in number and size, oldest out first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from smtpd.questions import Answer, Question, Status

# A record with a time to live of 0 is asked once a mail and not once a check; nobody's
# mistake of a day outlives an hour.
FOUND_LEAST_S, FOUND_MOST_S = 5.0, 3600.0
# RFC 2308 section 5 allows three hours; whoever sets up SPF after a refusal shall not wait.
ABSENT_MOST_S = 300.0
# Long enough for the checks of one mail, short enough that mail comes again to a live DNS.
UNANSWERED_S = 1.0
MOST_BYTES = 16_777_216


class DnsCache:
    """Answers by question."""

    def __init__(
        self,
        most: int,
        *,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[Question, tuple[float, int, Answer]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question) -> Answer | None:
        """The answer while it holds."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if kept[0] <= self._clock():
            self._drop(question)
            return None
        return kept[2]

    def put(self, question: Question, answer: Answer, ttl_s: float) -> None:
        """Keep the answer for as long as its time to live and our bounds say."""
        if question in self._kept:
            self._drop(question)
        size = _size_bytes(question, answer)
        self._kept[question] = (self._clock() + _holds_s(answer, ttl_s), size, answer)
        self._bytes += size
        while self._kept and (len(self._kept) > self._most or self._bytes > self._most_bytes):
            self._drop(next(iter(self._kept)))

    def _drop(self, question: Question) -> None:
        self._bytes -= self._kept.pop(question)[1]


def _holds_s(answer: Answer, ttl_s: float) -> float:
    if answer.unanswered:
        return UNANSWERED_S
    most = FOUND_MOST_S if answer.status is Status.FOUND else ABSENT_MOST_S
    return min(max(ttl_s, FOUND_LEAST_S), most)


def _size_bytes(question: Question, answer: Answer) -> int:
    texts = (record[1] if isinstance(record, tuple) else record for record in answer.records)
    return 300 + len(question.name) + sum(80 + len(text) for text in texts)
