"""The intake of a session and the reading of a message: whole, in pieces, too much, too slowly."""

from __future__ import annotations

import asyncio
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd import replies
from smtpd.data import DataLimits, Incoming, read_message
from smtpd.intake import PAUSE_ABOVE_BYTES, HungUp, Intake, LineTooLong
from smtpd.limits import ByteBudget, Lease
from smtpd.replies import Reply

MEGABYTE = 1_000_000
FAR = 1e12  # a loop time that never comes
LIMITS = DataLimits(message_max_bytes=MEGABYTE, min_rate=500, window_s=30)

# Mail made of what matters here: line ends, dots, and a little text.
wire_text = st.lists(st.sampled_from([b"\r\n", b".", b"..", b"a", b"\x00", b"\xff"])).map(b"".join)
hostile_text = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a"])).map(b"".join)


def incoming(max_bytes: int = MEGABYTE, budget: ByteBudget | None = None) -> Incoming:
    return Incoming(max_bytes, Lease(budget or ByteBudget(10 * MEGABYTE)))


def in_pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    return [whole[start:end] for start, end in pairwise(places) if start < end]


def outcome(pieces: list[bytes]) -> tuple[bytes | Reply | None, bytes]:
    """The message or its refusal, None where it has not ended, and what followed it."""
    message = incoming()
    for number, piece in enumerate(pieces):
        rest = message.feed(piece)
        if rest is not None:
            return message.refusal or message.content(), rest + b"".join(pieces[number + 1 :])
    return None, b""


def stuffed(content: bytes) -> bytes:
    """A well-behaved client's way to send these lines (RFC 5321 section 4.5.2)."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


@given(wire_text, st.lists(st.integers(min_value=0)), st.binary(max_size=20))
def test_what_a_client_stuffed_comes_out_as_it_was_however_it_is_cut(
    text: bytes, cuts: list[int], following: bytes
) -> None:
    content = text + b"\r\n"
    wire = stuffed(content) + b".\r\n" + following
    assert outcome(in_pieces(wire, cuts)) == (content, following)


@given(hostile_text, st.lists(st.integers(min_value=0)))
def test_how_the_bytes_are_cut_never_changes_what_they_mean(text: bytes, cuts: list[int]) -> None:
    wire = text + b"\r\n.\r\nQUIT\r\n"
    whole = outcome([wire])
    assert outcome(in_pieces(wire, cuts)) == whole
    assert outcome([wire[n : n + 1] for n in range(len(wire))]) == whole


@given(hostile_text)
def test_only_crlf_dot_crlf_ends_a_message(text: bytes) -> None:
    content, rest = outcome([text])
    # As RFC 5321 section 4.1.1.4 counts: the CRLF of the DATA command line comes before.
    end = (b"\r\n" + text).find(b"\r\n.\r\n")
    if end < 0:
        assert content is None
        return
    lines = (b"\r\n" + text)[2 : end + 2]
    clean = lines.replace(b"\r\n", b"")
    assert (content == replies.BARE_LINE_END) == (b"\r" in clean or b"\n" in clean)
    assert rest == text[end + 3 :]


def test_a_message_of_many_tiny_pieces_takes_no_more_memory_than_its_size() -> None:
    message = incoming()
    tracemalloc.start()
    for _ in range(20_000):
        message.feed(b"x")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100_000


def test_a_message_that_never_ends_takes_no_more_memory_than_the_limit() -> None:
    message = incoming()
    block = b"x" * 65_536
    tracemalloc.start()
    for _ in range(1000):
        assert message.feed(block) is None
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 3 * MEGABYTE
    assert message.never_ends
    assert message.feed(b"\r\n.\r\n") == b""
    assert message.refusal == replies.TOO_BIG


def test_a_refused_message_gives_its_bytes_back_before_it_ends() -> None:
    budget = ByteBudget(MEGABYTE)
    message = incoming(budget=budget)
    message.feed(b"x" * 1000)
    assert budget.held_bytes == 1000
    message.feed(b"a\nb")
    assert budget.held_bytes == 0


def test_the_first_objection_is_the_one_that_is_spoken() -> None:
    message = incoming(max_bytes=100)
    message.feed(b"a\nb")
    message.feed(b"x" * 150)
    message.feed(b"\r\n.\r\n")
    assert message.refusal == replies.BARE_LINE_END


def test_messages_share_one_budget() -> None:
    budget = ByteBudget(1000)
    first, second = incoming(budget=budget), incoming(budget=budget)
    first.feed(b"x" * 600)
    second.feed(b"x" * 600)
    assert first.refusal is None
    assert second.refusal == replies.TOO_BUSY


def intake() -> Intake:
    return Intake(asyncio.get_running_loop())


async def test_lines_are_read_in_order_with_crlf_or_lf() -> None:
    peer = intake()
    peer.feed(b"one\r\ntwo\nthree")
    assert await peer.line(100, FAR) == b"one"
    assert await peer.line(100, FAR) == b"two"
    assert peer.waiting_bytes == 5
    asyncio.get_running_loop().call_soon(peer.feed, b"\r\n")
    assert await peer.line(100, FAR) == b"three"


@pytest.mark.parametrize("line", [b"x" * 99 + b"\r\n", b"x" * 5000 + b"\r\n"])
async def test_a_line_too_long_is_dropped_whole_and_the_next_one_read(line: bytes) -> None:
    peer = intake()
    asyncio.get_running_loop().call_soon(peer.feed, line[:3000])
    asyncio.get_running_loop().call_soon(peer.feed, line[3000:] + b"NOOP\r\n")
    with pytest.raises(LineTooLong):
        await peer.line(100, FAR)
    assert await peer.line(100, FAR) == b"NOOP"


async def test_a_line_that_never_ends_takes_no_memory() -> None:
    peer = intake()
    reading = asyncio.create_task(peer.line(100, FAR))
    await asyncio.sleep(0)
    tracemalloc.start()
    for _ in range(100):
        peer.feed(b"x" * 10_000)
        await asyncio.sleep(0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 200_000
    peer.feed(b"\n")
    with pytest.raises(LineTooLong):
        await reading
    peer.close()


async def test_what_is_put_back_is_read_first() -> None:
    peer = intake()
    peer.feed(b"abc")
    block = await peer.block(FAR)
    peer.feed(b"def")
    peer.end()
    peer.put_back(block)
    assert await peer.block(FAR) == b"abcdef"


async def test_what_came_before_a_hang_up_is_still_read() -> None:
    peer = intake()
    peer.feed(b"QUIT\r\nhalf")
    peer.end()
    assert await peer.line(100, FAR) == b"QUIT"
    with pytest.raises(HungUp):
        await peer.line(100, FAR)


async def test_a_hang_up_wakes_whoever_waits() -> None:
    peer = intake()
    asyncio.get_running_loop().call_soon(peer.end)
    with pytest.raises(HungUp):
        await peer.block(FAR)


async def test_deadlines_hold_whether_they_come_earlier_or_later_than_the_last_one() -> None:
    peer, loop = intake(), asyncio.get_running_loop()
    for wait_s in (0.05, 0.01, 0.08):
        began = loop.time()
        with pytest.raises(TimeoutError):
            await peer.block(began + wait_s)
        assert loop.time() - began > wait_s - 0.005
    peer.close()


async def test_a_timer_set_for_an_earlier_wait_does_not_end_a_later_one() -> None:
    peer, loop = intake(), asyncio.get_running_loop()
    loop.call_soon(peer.feed, b"quick")
    assert await peer.block(loop.time() + 0.02) == b"quick"
    loop.call_later(0.06, peer.feed, b"slow")
    assert await peer.block(loop.time() + 30) == b"slow"
    peer.close()


class Socket(asyncio.ReadTransport):
    """A transport that only knows whether it reads."""

    reading = True

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def test_the_socket_is_not_read_while_too_much_waits() -> None:
    peer, socket = intake(), Socket()
    peer.attach(socket)
    peer.feed(b"x" * PAUSE_ABOVE_BYTES)
    assert socket.reading
    peer.feed(b"x")
    assert not socket.reading
    assert len(await peer.block(FAR)) == PAUSE_ABOVE_BYTES + 1
    waiting = asyncio.create_task(peer.block(FAR))
    await asyncio.sleep(0)
    assert socket.reading
    peer.feed(b"more")
    assert await waiting == b"more"


async def test_commands_behind_the_end_of_data_wait_for_their_turn() -> None:
    peer = intake()
    peer.feed(b"body\r\n.\r\nMAIL FROM:<>\r\n")
    assert await read_message(peer, LIMITS, Lease(ByteBudget(1000))) == b"body\r\n"
    assert await peer.line(100, FAR) == b"MAIL FROM:<>"


async def test_a_slow_but_fair_peer_is_waited_for() -> None:
    peer, loop = intake(), asyncio.get_running_loop()
    limits = DataLimits(message_max_bytes=MEGABYTE, min_rate=100, window_s=0.1)
    pieces = [b"x" * 40] * 10 + [b"\r\n.\r\n"]
    for number, piece in enumerate(pieces):
        loop.call_later(0.03 * number, peer.feed, piece)
    # Three windows long, with a hundred octets and more in each.
    assert await read_message(peer, limits, Lease(ByteBudget(1000))) == b"x" * 400 + b"\r\n"
    peer.close()


@pytest.mark.parametrize("rate", [0, 10_000])
async def test_a_peer_below_the_floor_is_not_waited_for(rate: int) -> None:
    peer, budget = intake(), ByteBudget(1000)
    limits = DataLimits(message_max_bytes=MEGABYTE, min_rate=rate, window_s=0.05)
    peer.feed(b"x" * 100)
    assert await read_message(peer, limits, Lease(budget)) == replies.TOO_SLOW
    assert budget.held_bytes == 0
    peer.close()


async def test_a_hang_up_within_a_message_gives_its_bytes_back() -> None:
    peer, budget = intake(), ByteBudget(1000)
    peer.feed(b"x" * 100)
    peer.end()
    with pytest.raises(HungUp):
        await read_message(peer, LIMITS, Lease(budget))
    assert budget.held_bytes == 0


async def test_a_message_holds_its_bytes_until_it_is_done_with() -> None:
    peer, budget = intake(), ByteBudget(1000)
    lease = Lease(budget)
    peer.feed(b"..x\r\n.\r\n")
    assert await read_message(peer, LIMITS, lease) == b".x\r\n"
    assert budget.held_bytes == 4
    lease.release()
    lease.release()
    assert budget.held_bytes == 0
