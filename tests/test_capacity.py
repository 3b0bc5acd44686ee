"""How much comes in at one time: connections by address and in all, and mail at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.settings import DoorSettings
from handlers.capacity import Capacity
from handlers.store.store import SqlStore
from smtpd import admission, replies
from smtpd.admission import Admission, Capacities
from smtpd.errors import Temporary
from smtpd.replies import Reply
from tests.doors import MESSAGE, TO_DATA, Caller, Door, Gate, door, until
from tests.servers.tls import TlsFiles
from tests.stores import ANSWERED, claimed, keep

FEW = Capacities(in_all=3, per_address=2, per_network=2)
LOOPBACK = "127.0.0.0/8"


class Guest:
    """A session that remembers whether it was asked to go."""

    def __init__(self) -> None:
        self.was_sent_away = False

    def make_room(self) -> None:
        self.was_sent_away = True


@pytest.fixture
def nobody_is_spared() -> Iterator[None]:
    """Whoever owes a command may be sent away at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admission, "PATIENT_S", -1.0)
        yield


def enter_all(*ips: str, capacities: Capacities = FEW) -> list[Reply | None]:
    inside = Admission(capacities)
    return [inside.enter(Guest(), ip, now=0.0) for ip in ips]


@pytest.mark.parametrize(
    ("ips", "last"),
    [
        (("192.0.2.1", "192.0.2.1", "192.0.2.1"), replies.TOO_MANY_FROM_ADDRESS),
        (("192.0.2.1", "192.0.2.2", "192.0.2.255"), replies.TOO_MANY_FROM_NETWORK),
        (("192.0.2.1", "192.0.2.2", "192.0.3.1"), None),
        (("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"), replies.TOO_MANY_FROM_ADDRESS),
        (("2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"), replies.TOO_MANY_FROM_NETWORK),
        (("2001:db8::1", "2001:db8:0:1::1", "2001:db8:1::1"), None),
        (("", "", ""), None),
        (("", "", "", ""), replies.TOO_MANY_CONNECTIONS),
    ],
)
def test_an_address_a_network_and_all_together_have_their_limits(
    ips: tuple[str, ...], last: Reply | None
) -> None:
    *before, answer = enter_all(*ips)
    assert before == [None] * (len(ips) - 1)
    assert answer is last


def test_who_leaves_makes_room_and_nothing_is_left_of_them() -> None:
    inside = Admission(FEW)
    for _ in range(100):
        guest = Guest()
        assert inside.enter(guest, "192.0.2.1", now=0.0) is None
        inside.waits(guest, 0.0)
        inside.leave(guest)
        inside.leave(guest)
    assert [inside._inside, inside._from, inside._waiting] == [{}, {}, {}]


def test_the_longest_wait_for_a_command_goes_first_and_a_short_one_not_at_all() -> None:
    inside = Admission(FEW)
    first, second, third = Guest(), Guest(), Guest()
    for guest, now in ((first, 0.0), (second, 0.2), (third, 0.4)):
        assert inside.enter(guest, "", now) is None
        inside.waits(guest, now)
    inside.waits(first, 0.6)
    assert inside.enter(Guest(), "", now=1.1) is replies.TOO_MANY_CONNECTIONS
    assert inside.enter(Guest(), "", now=1.3) is None
    assert [guest.was_sent_away for guest in (first, second, third)] == [False, True, False]


def test_nobody_who_brings_a_mail_is_sent_away() -> None:
    inside = Admission(FEW)
    guests = [Guest(), Guest(), Guest()]
    for guest in guests:
        inside.enter(guest, "", 0.0)
        inside.waits(guest, 0.0)
        inside.works(guest)
    assert inside.enter(Guest(), "", now=1000.0) is replies.TOO_MANY_CONNECTIONS
    assert not any(guest.was_sent_away for guest in guests)


def test_who_has_too_many_already_pushes_nobody_out() -> None:
    inside = Admission(FEW)
    guests = [Guest(), Guest(), Guest()]
    for guest, ip in zip(guests, ("192.0.2.1", "192.0.2.1", ""), strict=True):
        inside.enter(guest, ip, 0.0)
        inside.waits(guest, 0.0)
    assert inside.enter(Guest(), "192.0.2.1", now=9.0) is replies.TOO_MANY_FROM_ADDRESS
    assert not any(guest.was_sent_away for guest in guests)


async def test_a_known_address_hears_421_while_others_are_welcome() -> None:
    async with door(connections_per_ip=2, trusted_networks=LOOPBACK) as house:
        first, _second = await greeted(house), await greeted(house)
        third = await house.call()
        assert await third.hear() == str(replies.TOO_MANY_FROM_ADDRESS)
        assert await third.hear() == ""
        await greeted(house, "127.0.0.2")
        await first.say("QUIT")
        await until(lambda: house.listener.connections == 2)
        await greeted(house)


async def test_a_known_network_hears_421_while_others_are_welcome() -> None:
    async with door(connections_per_prefix=2, trusted_networks=LOOPBACK) as house:
        await greeted(house)
        await greeted(house, "127.0.0.2")
        third = await house.call("127.0.0.3")
        assert await third.hear() == str(replies.TOO_MANY_FROM_NETWORK)
        await greeted(house, "127.0.1.3")


async def test_an_address_that_hides_the_client_has_no_limit_of_its_own() -> None:
    async with door(connections_per_ip=1, connections_per_prefix=1) as house:
        await greeted(house)
        await greeted(house)


@pytest.mark.usefixtures("nobody_is_spared")
async def test_in_a_full_house_the_longest_idle_hears_421_for_the_newcomer() -> None:
    async with door(connections_max=2) as house:
        idle, busy = await greeted(house), await greeted(house)
        # Bytes that make no command do not count as one.
        idle.writer.write(b"MAIL FR")
        await busy.say("NOOP")
        newcomer = await greeted(house)
        assert await idle.hear() == str(replies.MAKING_ROOM)
        assert await idle.hear() == ""
        assert await busy.say("NOOP") == str(replies.OK)
        assert await newcomer.say("NOOP") == str(replies.OK)


@pytest.mark.usefixtures("nobody_is_spared")
async def test_in_a_full_house_no_mail_under_way_is_given_up() -> None:
    gate = Gate()
    async with door(gate.receive, connections_max=2) as house:
        sending, being_kept = await house.call(), await house.call()
        await sending.begin_data()
        await being_kept.begin_data()
        being_kept.writer.write(MESSAGE)
        await gate.entered.wait()
        newcomer = await house.call()
        assert await newcomer.hear() == str(replies.TOO_MANY_CONNECTIONS)
        sending.writer.write(MESSAGE)
        gate.opened.set()
        assert await sending.hear() == str(replies.QUEUED)
        assert await being_kept.hear() == str(replies.QUEUED)
        await greeted(house)


@pytest.mark.usefixtures("nobody_is_spared")
async def test_in_a_full_house_a_handshake_that_stands_still_is_cut_off(
    tls_files: TlsFiles,
) -> None:
    context = tls_files.server_context()
    with capture_logs() as lines:
        async with door(connections_max=1, tls=lambda: context) as house:
            stalled = await greeted(house)
            await stalled.say("EHLO client.example.org")
            assert await stalled.say("STARTTLS") == str(replies.READY_FOR_TLS)
            await greeted(house)
            assert await stalled.ended()
    assert [line["kind"] for line in lines if line["event"] == "cut_off"] == ["making_room"]
    assert "trouble" not in [line["event"] for line in lines]


@pytest.mark.usefixtures("nobody_is_spared")
async def test_sockets_are_bounded_however_many_are_on_their_way_out() -> None:
    async with door(connections_max=2) as house:
        callers = [await house.call() for _ in range(20)]
        heard = [await caller.hear() for caller in callers]
        assert house.listener.connections <= 4
    assert str(replies.TOO_MANY_CONNECTIONS) in heard


async def greeted(house: Door, source: str = "127.0.0.1") -> Caller:
    caller = await house.call(source)
    assert (await caller.hear()).startswith("220 ")
    return caller


# Room for mail.


@pytest.mark.parametrize("sender", ["ada@example.org", ""])
@pytest.mark.parametrize("recipient", ["ai@house.test", "postmaster@house.test"])
async def test_without_room_no_mail_begins_and_with_room_the_next_one_does(
    sender: str, recipient: str
) -> None:
    objections: list[Reply] = []
    async with door(objection=lambda: objections[0] if objections else None) as house:
        caller = await greeted(house)
        await caller.say(TO_DATA[0])
        objections.append(replies.NO_ROOM)
        assert await caller.say(f"MAIL FROM:<{sender}>") == str(replies.NO_ROOM)
        assert await caller.say(f"RCPT TO:<{recipient}>") == str(replies.MAIL_FIRST)
        objections.clear()
        assert await caller.say(f"MAIL FROM:<{sender}>") == str(replies.SENDER_OK)
        assert await caller.say(f"RCPT TO:<{recipient}>") == str(replies.RECIPIENT_OK)
        # A mail that has begun is taken, whatever happens meanwhile.
        objections.append(replies.TOO_MUCH_WAITS)
        await caller.say("DATA")
        caller.writer.write(MESSAGE)
        assert await caller.hear() == str(replies.QUEUED)


async def test_who_tries_for_ever_to_begin_a_mail_is_sent_away() -> None:
    async with door(objection=lambda: replies.TOO_MUCH_WAITS) as house:
        caller = await greeted(house)
        await caller.say(TO_DATA[0])
        heard = [await caller.say(TO_DATA[1]) for _ in range(100)]
    assert heard == [str(replies.TOO_MUCH_WAITS)] * 99 + [str(replies.TOO_MANY_ERRORS)]


class Line:
    """A backlog of known length."""

    def __init__(self) -> None:
        self.length = 0
        self.is_away = False

    async def in_line(self, limit: int) -> int:
        if self.is_away:
            raise Temporary("the database is away")
        return min(self.length, limit)


def capacity(line: Line, folder: Path, **settings: int) -> Capacity:
    return Capacity(line, folder, DoorSettings.model_validate(settings))


async def test_a_full_disk_is_an_objection_and_a_missing_one_changes_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    room = capacity(Line(), folder, disk_free_min_bytes=2**62)
    assert room.objection() is None
    await room.look()
    assert room.objection() is replies.NO_ROOM
    folder.rmdir()
    with capture_logs() as lines:
        await room.look()
        await room.look()
    assert room.objection() is replies.NO_ROOM
    assert [line["event"] for line in lines] == ["away"]


async def test_a_line_that_is_too_long_is_an_objection_until_it_is_shorter(
    tmp_path: Path,
) -> None:
    line = Line()
    room = capacity(line, tmp_path, queue_max=10, disk_free_min_bytes=0)
    seen: list[Reply | None] = []
    with capture_logs() as lines:
        for length, is_away in ((10, False), (11, False), (5, True), (500, False), (10, False)):
            line.length, line.is_away = length, is_away
            await room.look()
            seen.append(room.objection())
    assert seen == [None, *[replies.TOO_MUCH_WAITS] * 3, None]
    assert [(each["event"], each.get("kind")) for each in lines] == [
        ("full", "too_much_waits"),
        ("room", None),
    ]


async def test_the_line_holds_what_is_owed_and_in_nobodys_hands(store: SqlStore) -> None:
    tickets = [
        await keep(store, f"From: ada@example.org\r\nMessage-ID: <{n}@x>\r\n\r\n{n}".encode())
        for n in range(5)
    ]
    assert len({ticket.id for ticket in tickets}) == 5
    assert await store.in_line(100) == 5
    assert await store.in_line(3) == 3
    claim = await claimed(store, tickets[0])
    assert await store.in_line(100) == 4
    await store.close(claim, ANSWERED)
    assert await store.in_line(100) == 4
