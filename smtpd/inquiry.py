"""One mail's questions to DNS: so many, and until then.

Neighbour: smtpd/resolver.py, which answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from smtpd.questions import Answer, Lookup, Question, Status

QUESTIONS_MAX = 150  # two SPF identities, five keys, seven tree walks of eight, one MX


async def ask_all(questions: Iterable[Question], lookup: Lookup) -> dict[Question, Answer]:
    """The answers, asked for side by side: silent nameservers cost one timeout together."""
    asked = tuple(questions)
    return dict(zip(asked, await asyncio.gather(*map(lookup, asked)), strict=True))


class Names(Protocol):
    """DNS, as far as an inquiry knows it."""

    def known(self, question: Question) -> Answer | None:
        """The answer, where nobody has to be asked for it."""
        ...

    async def lookup(self, question: Question) -> Answer: ...


class Inquiry:
    """Asks for one mail, up to the loop time `until`, and `most` questions that nobody knew."""

    def __init__(self, names: Names, *, until: float, most: int = QUESTIONS_MAX) -> None:
        self._names = names
        self._until = until
        self._left = most

    async def lookup(self, question: Question) -> Answer:
        """The answer. TIMEOUT when the time is up, SERVFAIL beyond the number of questions."""
        known = self._names.known(question)
        if known is not None:
            return known
        if asyncio.get_running_loop().time() >= self._until:
            return Answer(Status.TIMEOUT)
        if self._left <= 0:
            return Answer(Status.SERVFAIL)
        self._left -= 1
        try:
            async with asyncio.timeout_at(self._until):
                return await self._names.lookup(question)
        except TimeoutError:
            return Answer(Status.TIMEOUT)
