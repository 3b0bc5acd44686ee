"""One mail's questions to DNS: so many, and until then; what stays unanswered is remembered.

Neighbour: smtpd/resolver.py, which answers.
"""

from __future__ import annotations

import asyncio

from smtpd.questions import Answer, Lookup, Question, Status

QUESTIONS_MAX = 150  # two SPF identities, five keys, seven tree walks of eight, one MX


class Inquiry:
    """Asks for one mail, up to the loop time `until`, and `most` different questions."""

    def __init__(self, lookup: Lookup, *, until: float, most: int = QUESTIONS_MAX) -> None:
        self._lookup = lookup
        self._until = until
        self._left = most

    async def lookup(self, question: Question) -> Answer:
        """The answer. TIMEOUT when the time is up, SERVFAIL beyond the number of questions."""
        if self._left <= 0:
            return Answer(Status.SERVFAIL)
        self._left -= 1
        try:
            async with asyncio.timeout_at(self._until):
                return await self._lookup(question)
        except TimeoutError:
            return Answer(Status.TIMEOUT)
