"""Tells the operator what a person should know: at once, and once a day.

Every process of the house runs this; the one whose name is the smallest among the living
tells. A mail is marked as told after the relay's 250: a crash may send it twice, but what is
to be told is never lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from config.courtesy_settings import OperatorSettings
from handlers.letter import Outgoing
from handlers.operatormail import forms
from handlers.operatorwriting import OperatorWriter
from handlers.ports import Relay
from handlers.store.digest import Digest
from handlers.store.filed import FiledMail
from handlers.store.noticeboard import Untold
from handlers.store.notices import News
from handlers.watching import Watch
from smtpd.addresses import without_addresses
from smtpd.decoding import one_line
from smtpd.errors import Permanent, Temporary, Trouble
from smtpd.events import Event, log

_EVERY_S = 3.0
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_KEPT = timedelta(days=30)  # notices that were told
_BECAUSE_MAX = 200
# Between two tries to reach the operator: doubled from the first to the last.
_PAUSE_S = 30.0
_PAUSE_MAX_S = 1800.0


class Board(Protocol):
    """The part of the database that knows what is to be told."""

    async def untold(self, mails_since: datetime) -> Untold | None: ...

    async def told(self, ids: Sequence[int], at: datetime) -> None: ...

    async def forget(self, before: datetime) -> None: ...

    async def open_day(self, day: date, at: datetime) -> None: ...

    async def away(self, neighbour: str, since: datetime, because: str, at: datetime) -> None: ...

    async def back(self, neighbour: str, at: datetime) -> None: ...

    async def digest(self, since: datetime, until: datetime) -> Digest: ...

    async def filed(self, email_id: str) -> FiledMail | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """How mail leaves for OPERATOR_ADDRESS."""

    writer: OperatorWriter
    relay: Relay


class _Unsent(Exception):
    """The relay did not take a mail; there will be another try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portions:
    """What may be sent now: one mail in common or none, and filed mails each in its own."""

    common: bool
    alone: int


def portions(*, urgent: bool, filed: int, sent: int, rate: int) -> Portions:
    """Divide what is left of the hour.

    A quarter of the hour's mails is out of reach for filed mail alone: whoever floods
    abuse@ must not keep a blown fuse from being told. Filed mail that finds no room for
    each goes in common, named by its ids.
    """
    left = rate - sent
    if urgent:
        left -= 1
    # Of a single mail an hour nothing can be set aside.
    room = max(0, left - (max(1, rate // 4) if rate > 1 else 0))
    if urgent or filed <= room:
        return Portions(common=urgent and left >= 0, alone=min(filed, room))
    return Portions(common=room > 0, alone=max(0, room - 1))


class Operator:
    """Without a post the log alone is told."""

    def __init__(
        self,
        board: Board,
        post: Post | None,
        settings: OperatorSettings,
        *,
        watches: Sequence[Watch] = (),
        certificate_days: Callable[[], int | None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._board = board
        self._post = post
        self._settings = settings
        self._watches = watches
        self._certificate_days = certificate_days
        self._clock = clock
        self._away: dict[str, bool] = {}  # what was noted of each neighbour
        self._day: date | None = None  # whose digest was noted
        self._logged: frozenset[int] = frozenset()
        self._unmarked: list[tuple[list[int], datetime]] = []  # told, and not yet written down
        self._failures = 0
        self._next_try: datetime | None = None

    async def run(self) -> None:
        """Look every few seconds, for as long as it runs."""
        while True:
            # That the database is away is told by those who need it more.
            with suppress(Trouble):
                await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """One round. Raises Temporary where the database is away."""
        await self._note_neighbours()
        # Before anything is read: what cannot be marked as told would be sent again and again.
        await self._mark()
        now = self._clock()
        untold = await self._board.untold(now - _HOUR)
        if untold is None:
            return
        await self._note_the_day(now)
        self._log(untold)
        with suppress(_Unsent):
            await self._tell(untold, now)

    async def _note_neighbours(self) -> None:
        """Every process has its own view of its neighbours."""
        for watch in self._watches:
            name, outage = watch.neighbour, watch.outage
            if outage is not None:
                if self._away.get(name) is not True:
                    because = without_addresses(one_line(outage.because, _BECAUSE_MAX))
                    await self._board.away(name, outage.since, because, self._clock())
                    self._away[name] = True
            elif watch.answered_at is not None and self._away.get(name) is not False:
                # Where it answered from the start, an earlier run may have noted it as away.
                await self._board.back(name, watch.answered_at)
                self._away[name] = False

    async def _note_the_day(self, now: datetime) -> None:
        due = now.replace(
            hour=self._settings.operator_digest_hour, minute=0, second=0, microsecond=0
        )
        if now < due or self._day == now.date():
            return
        await self._board.open_day(now.date(), due)
        await self._board.forget(now - _KEPT)
        self._day = now.date()

    def _log(self, untold: Untold) -> None:
        """Each notice once, whoever else will be told."""
        news = (*untold.urgent, *untold.filed)
        for one in news:
            if one.id not in self._logged:
                log(Event.NOTICE, kind=one.kind.value, ticket=one.email_id, because=one.text)
        self._logged = frozenset(one.id for one in news)

    async def _tell(self, untold: Untold, now: datetime) -> None:
        if self._post is None:
            if news := (*untold.urgent, *untold.filed):
                # Rounded, so that what no mail told does not use up the hour of an address
                # that is set in the middle of it.
                await self._told(news, now.replace(minute=0, second=0, microsecond=0))
        elif self._resting(now):
            return
        else:
            await self._send_urgent_and_filed(self._post, untold)
        if untold.digests:
            await self._tell_the_day(untold.digests)

    def _resting(self, now: datetime) -> bool:
        """Whether the last failure is too fresh; a clock that was set back is no reason."""
        pause = timedelta(seconds=_PAUSE_MAX_S)
        return self._next_try is not None and now < self._next_try <= now + pause

    async def _send_urgent_and_filed(self, post: Post, untold: Untold) -> None:
        share = portions(
            urgent=bool(untold.urgent),
            filed=len(untold.filed),
            sent=untold.mails,
            rate=self._settings.operator_mails_per_hour,
        )
        alone, named = untold.filed[: share.alone], untold.filed[share.alone :]
        if share.common:
            await self._send(post, post.writer.notices(untold.urgent, named, self._clock()))
            log(Event.TOLD, kind="notices", notices=len(untold.urgent) + len(named))
            await self._told((*untold.urgent, *named), self._clock())
        for news in alone:
            await self._pass_on(post, news)

    async def _pass_on(self, post: Post, news: News) -> None:
        """In the best form that the relay takes."""
        mail = await self._board.filed(news.email_id)
        *better, last = forms(mail)
        refused = ""
        for form in better:
            try:
                await self._try(post, post.writer.filed(news, mail, form, refused, self._clock()))
                break
            except Permanent as error:
                refused = without_addresses(error.because)
        else:
            await self._send(post, post.writer.filed(news, mail, last, refused, self._clock()))
        log(Event.TOLD, kind="filed", notices=1, ticket=news.email_id, because=refused)
        await self._told((news,), self._clock())

    async def _tell_the_day(self, news: Sequence[News]) -> None:
        """One digest, be it of several days on which none could be sent."""
        digest = await self._board.digest(news[0].at - _DAY, news[-1].at)
        if self._post is not None:
            days = self._certificate_days()
            await self._send(self._post, self._post.writer.digest(digest, days, self._clock()))
            log(Event.TOLD, kind="digest", notices=len(news))
        log(
            Event.DIGEST,
            received=digest.received,
            answered=digest.answered,
            unanswered=dict(digest.unanswered),
            filed=dict(digest.filed),
            returned=digest.bounces,
            told={kind.value: number for kind, number in digest.notices.items()},
            waiting=digest.waiting,
            held=digest.held.size,
            parked=digest.parked.size,
        )
        await self._told(news, self._clock())

    async def _send(self, post: Post, outgoing: Outgoing) -> None:
        """Raises _Unsent; for the operator's own address a refusal is not for good."""
        try:
            await self._try(post, outgoing)
        except Permanent as error:
            self._rest(error)
            raise _Unsent from None

    async def _try(self, post: Post, outgoing: Outgoing) -> None:
        """Also while sending to people is stopped: then above all the operator has to know.

        Raises Permanent for a refusal, _Unsent where there will be another try.
        """
        try:
            await post.relay.send(outgoing)
        except Temporary as error:
            self._rest(error)
            raise _Unsent from None
        self._failures = 0
        self._next_try = None

    def _rest(self, error: Trouble) -> None:
        pause_s = min(_PAUSE_MAX_S, _PAUSE_S * 2**self._failures)
        self._next_try = self._clock() + timedelta(seconds=pause_s)
        if not self._failures:  # one line an outage
            log(Event.UNTOLD, because=without_addresses(error.because))
        self._failures = min(self._failures + 1, 10)

    async def _told(self, news: Sequence[News], at: datetime) -> None:
        self._unmarked.append(([one.id for one in news], at))
        await self._mark()

    async def _mark(self) -> None:
        """Write down what was told. Raises Temporary; then the next round does it."""
        while self._unmarked:
            ids, at = self._unmarked[0]
            await self._board.told(ids, at)
            self._unmarked.pop(0)
