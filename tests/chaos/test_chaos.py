"""The short form of the campaign. `make chaos` runs the long one."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter

import pytest

from tests.chaos import campaign, frozen
from tests.chaos.campaign import Report
from tests.chaos.peers import Posted
from tests.conftest import installed
from tests.end_to_end import writers
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

KILLS = 4


@pytest.mark.campaign
def test_kills_lose_no_mail_and_double_no_answer_on_sqlite() -> None:
    report = campaign.run(seed=secrets.randbits(32), kills=KILLS)
    assert report.faults() == [], report
    assert len(report.posted) > 10, report


@pytest.mark.campaign
def test_kills_lose_no_mail_and_double_no_answer_on_postgresql(
    durable_postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    url = asyncio.run(durable_postgres_server.new_database())
    seed = secrets.randbits(32)
    report = campaign.run(seed=seed, kills=KILLS, database_url=url, redis_url=redis_server.url)
    assert report.faults() == [], report
    assert len(report.posted) > 10, report


@pytest.mark.campaign
def test_a_thawed_worker_finds_its_mail_taken_over_and_sends_nothing() -> None:
    guarded, unguarded = installed(frozen.both)
    assert guarded == 1
    # The same freeze without the compare-and-set: the count above can fail.
    assert unguarded == 2


def balanced() -> Report:
    """A report of one mail that a kill found in `sending`, and that was sent once."""
    return Report(
        seed=0,
        database="",
        kills=1,
        posted=[Posted(writers.write(1), ticket="t1")],
        states={"t1": "answered"},
        endings={"t1": 1},
        copies=Counter({"<question-1@people.example>": 1}),
        sending=Counter(["t1"]),
        cut_off=[({"<question-1@people.example>"}, {"t1"})],
    )


def test_the_accounts_see_every_broken_promise() -> None:
    good = balanced()
    assert good.faults() == []
    good.copies["<question-1@people.example>"] = 2
    assert good.faults() == []  # the one that the kill allows
    lost, ended_twice, sent_thrice, never_sent, early, ghost = (balanced() for _ in range(6))
    lost.states.clear()
    ended_twice.endings["t1"] = 2
    sent_thrice.copies["<question-1@people.example>"] = 3
    sent_thrice.sending["t1"] = 2
    never_sent.copies.clear()
    early.cut_off[0][1].clear()
    ghost.states["t2"] = "answered"
    for broken in (lost, ended_twice, sent_thrice, never_sent, early, ghost):
        assert len(broken.faults()) == 1
    doubled = balanced()
    doubled.copies["<question-1@people.example>"] = 2
    doubled.sending.clear()
    assert len(doubled.faults()) == 1
