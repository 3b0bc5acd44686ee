"""New inputs from old ones, and a failing input made smaller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

INPUT_MAX_BYTES = 65536
SHRINKS_MAX = 2000  # runs of the target

# What readers of mail stumble over, if anything.
TOKENS = (
    b"\r\n", b"\n", b"\r", b".", b"\r\n.\r\n", b"\r\n..", b"\r\n ", b"\r\n\r\n", b"\0", b"\xff",
    b"\xc3\xa9", b" ", b"\t", b":", b";", b",", b"=", b"<", b">", b"@", b"(", b")", b"\\", b'"',
    b"%", b"%{d}", b"-", b"/", b"=?utf-8?q?=0d=0a?=", b"=?utf-7?b?K0FB?=", b"=?x?b?=?=",
    b"Precedence: bulk", b"List-Id: ", b"Content-Type: multipart/report;", b"X-Loop: ",
    b"From: ", b"Subject: ", b"Message-ID: <", b"Date: ", b"Auto-Submitted: ", b"References: ",
    b"xn--", b"0", b"-1", b"65536", b"4294967296", b"9" * 30, b"255.255.255.255", b"::", b"::ffff:",
)  # fmt: skip

Mutation = Callable[[bytes, Random, Sequence[bytes]], bytes]


def mutated(corpus: Sequence[bytes], chance: Random) -> bytes:
    """One of the corpus, changed a few times; or, now and then, nothing but noise."""
    if chance.random() < 0.02:
        return chance.randbytes(chance.randrange(300))
    data = chance.choice(corpus)
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
        data = chance.choice(_MUTATIONS)(data, chance, corpus)
    return data[:INPUT_MAX_BYTES]


def smaller(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """What is left when everything goes that is not needed to fail."""
    runs, size_bytes = 0, len(data) // 2
    while size_bytes and runs < SHRINKS_MAX:
        at = 0
        while at < len(data) and runs < SHRINKS_MAX:
            runs += 1
            without = data[:at] + data[at + size_bytes :]
            if fails(without):
                data = without
            else:
                at += size_bytes
        size_bytes //= 2
    return data


def _with_a_byte_changed(data: bytes, chance: Random, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


def _with_a_bit_turned(data: bytes, chance: Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _with_a_token(data: bytes, chance: Random, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(TOKENS) + data[at + chance.choice((0, 0, 1, 5)) :]


def _with_a_gap(data: bytes, chance: Random, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, chance)
    return data[:start] + data[end:]


def _with_a_stretch_repeated(data: bytes, chance: Random, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, chance)
    times = min(chance.choice((2, 3, 10, 100, 3000)), INPUT_MAX_BYTES // (end - start + 1))
    return data[:start] + data[start:end] * times + data[end:]


def _cut_short(data: bytes, chance: Random, _: Sequence[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _with_anothers_stretch(data: bytes, chance: Random, corpus: Sequence[bytes]) -> bytes:
    other = chance.choice(corpus)
    start, end = _stretch(other, chance)
    at = chance.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[at:]


_MUTATIONS: tuple[Mutation, ...] = (
    _with_a_byte_changed,
    _with_a_bit_turned,
    _with_a_token,
    _with_a_token,
    _with_a_gap,
    _with_a_stretch_repeated,
    _cut_short,
    _with_anothers_stretch,
)


def _stretch(data: bytes, chance: Random) -> tuple[int, int]:
    """Where a stretch begins and ends; most are short."""
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((1, 2, 4, 16, 64, 1024)))
