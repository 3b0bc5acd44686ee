"""The campaign: load, kill -9, restart, again and again; then the accounts are balanced.

promise                                            how it is checked
what got 250 is never lost                         its ticket has a row, and one ending
one mail, one row                                  as many rows as mails
one reply, and one more for each kill in sending   copies at the relay's last dot
DATA begins only after `sending` is committed      what a kill cut off after its last dot
                                                   stands in `sending` in the database
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.chaos import ledger
from tests.chaos.loop_thread import LoopThread
from tests.chaos.peers import Peers, Posted
from tests.chaos.relay import CountingRelay
from tests.end_to_end.core import Core
from tests.end_to_end.house import House, settings, until

# How long a house lives, and how long the AI thinks, at most.
LIFE_S = 2.0
THOUGHT_S = 0.15
_MOOD_S = 0.02  # the AI core changes its pace so often
_END_S = 180.0
# Every second reply of the relay is late, so that kills find mails in `sending`.
_LATE_SHARE = 0.5
_LATE_S = 0.5


@dataclass(slots=True, kw_only=True)
class Report:
    """What was seen from outside, and what the database says at the end."""

    seed: int
    database: str
    kills: int
    posted: list[Posted]
    states: dict[str, str] = field(default_factory=dict)  # by ticket
    endings: dict[str, int] = field(default_factory=dict)  # by ticket
    copies: Counter[str] = field(default_factory=Counter)  # by Message-ID
    sending: Counter[str] = field(default_factory=Counter)  # by ticket: kills that found it so
    cut_off: list[tuple[set[str], set[str]]] = field(default_factory=list)
    # (Message-IDs cut off after their last dot, tickets in `sending`) of each kill

    def faults(self) -> list[str]:
        """Every broken promise, as a sentence. Empty is what we want."""
        return list(self._faults())

    def __str__(self) -> str:
        several = sum(count > 1 for count in self.copies.values())
        again = sum(one.tries > 1 for one in self.posted)
        states = ", ".join(f"{n} {s}" for s, n in sorted(Counter(self.states.values()).items()))
        return (
            f"{self.database}, seed {self.seed}: {self.kills} kills\n"
            f"  {len(self.posted)} mails got 250 ({again} sent more than once); "
            f"{sum(self.endings.values())} endings: {states}\n"
            f"  {self.copies.total()} copies on the wire, {several} mails with more than one; "
            f"{self.sending.total()} sends found by a kill, "
            f"{sum(len(cut) for cut, _ in self.cut_off)} of them after the last dot"
        )

    def _faults(self) -> Iterator[str]:
        tickets = {one.mail.message_id: one.ticket for one in self.posted}
        for one in self.posted:
            yield from self._faults_of(one)
        if ghosts := set(self.states) - set(tickets.values()):
            yield f"{len(ghosts)} rows belong to no mail that got 250"
        if strangers := set(self.copies) - set(tickets):
            yield f"replies to mails nobody sent: {sorted(strangers)}"
        for number, (cut, sending) in enumerate(self.cut_off, 1):
            early = {tickets[message_id] for message_id in cut} - sending
            if early:
                yield f"kill {number}: on the wire before `sending` was committed: {early}"

    def _faults_of(self, one: Posted) -> Iterator[str]:
        name = f"{one.mail.message_id} ({one.ticket})"
        if one.ticket not in self.states:
            yield f"{name} got 250 and is lost"
            return
        if self.endings.get(one.ticket, 0) != 1:
            yield f"{name} has {self.endings.get(one.ticket, 0)} endings"
        copies, found = self.copies[one.mail.message_id], self.sending[one.ticket]
        if copies > 1 + found:
            yield f"{name} was sent {copies} times, {found} kills found it in `sending`"
        # After one uncertain send there is one more try, and then a person decides.
        if copies > 2:
            yield f"{name} was sent {copies} times"
        if self.states[one.ticket] == "answered" and not copies:
            yield f"{name} is called answered and was never sent"


def run(*, seed: int, kills: int, database_url: str = "", redis_url: str = "") -> Report:
    """One campaign; SQLite and the queue in the process where no URLs are given."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    late = random.Random(f"{seed} relay")  # noqa: S311
    relay = CountingRelay(lambda: late.uniform(0, _LATE_S) * (late.random() < _LATE_SHARE))
    with LoopThread("chaos") as outside, Core() as core:
        outside.run(relay.start())
        more = {"database_url": database_url, "redis_url": redis_url}
        house = House(
            settings(
                relay_port=relay.port,
                ai_url=core.url,
                # Late replies must not be what the house spends its life waiting for.
                relay_connections=8,
                max_emails_per_hour=1_000_000,
                answers_per_sender_per_hour=1_000_000,
                **{name: value for name, value in more.items() if value},
            )
        )
        peers = Peers(port=house.port, seed=seed)
        report = Report(
            seed=seed,
            database="PostgreSQL and Redis" if database_url else "SQLite",
            kills=kills,
            posted=peers.posted,
        )
        with house:
            outside.run(peers.begin())
            for _ in range(kills):
                _live(chance, core)
                _kill(house, relay, report)
                house.start()
            outside.run(peers.finish())
            until(lambda: ledger.owed(house) == 0, what="every mail ended", timeout_s=_END_S)
            report.states = house.mails()
            report.endings = ledger.endings(house)
        report.copies = relay.copies
        outside.run(relay.stop())
    return report


def _live(chance: random.Random, core: Core) -> None:
    """Let the house work until the moment that chance has chosen."""
    dies_at = time.monotonic() + chance.uniform(0, LIFE_S)
    while time.monotonic() < dies_at:
        core.behave(delay_s=chance.uniform(0, THOUGHT_S))
        time.sleep(_MOOD_S)


def _kill(house: House, relay: CountingRelay, report: Report) -> None:
    house.kill()
    until(lambda: relay.connections == 0, what="no connection to the relay", every_s=0.01)
    sending = ledger.sending_at_death(house)
    cut, relay.cut_off = relay.cut_off, Counter()
    report.sending.update(sending)
    report.cut_off.append((set(cut), sending))
