"""DKIM under attack: whatever the mail and the key record hold, it ends soon and never raises."""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from smtpd.checks.dkim import DkimCaps, questions, verify
from smtpd.checks.dkim_canonical import SignedMail
from smtpd.evidence import Result
from smtpd.headers import HeadersTooLarge, scan
from smtpd.questions import Answer, Kind, Question, Status
from tests.test_dkim import BODY, CAPS, HEAD, KEY_NAME, NOW, RSA, RSA_RECORD, Signing, answered

# Far above what any of these takes on a slow machine, far below what none may take.
LONG_S = 5.0
SIGNED = Signing().sign()


def number(value: int) -> bytes:
    """An ASN.1 INTEGER."""
    octets = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + length(octets) + octets


def length(content: bytes) -> bytes:
    if len(content) < 128:
        return bytes([len(content)])
    size = len(content).to_bytes(4, "big").lstrip(b"\0")
    return bytes([0x80 + len(size)]) + size


def key_record(modulus_bits: int, exponent: int, odd: int = 1) -> bytes:
    """An RSA key record as nobody sane makes it; the modulus means nothing."""
    random = int.from_bytes(os.urandom(modulus_bits // 8), "big")
    modulus = random >> 1 << 1 | odd | 1 << (modulus_bits - 1)
    inside = number(modulus) + number(exponent)
    der = b"\x30" + length(inside) + inside
    return b"v=DKIM1; p=" + base64.b64encode(der)


def widened(tag: bytes, by: bytes) -> Callable[[], bytes]:
    return lambda: SIGNED.replace(tag, tag + by, 1)


HOSTILE_MAIL: dict[str, Callable[[], bytes]] = {
    "60 kB of spaces in b=": widened(b"\tb=", b" " * 60_000),
    "60 kB of folds in b=": widened(b"\tb=", b"\r\n " * 20_000),
    "a megabyte of spaces in a line": lambda: SIGNED + b" " * 1_000_000 + b"x\r\n",
    "ten megabytes of pairs of spaces": lambda: SIGNED + b"x  " * 3_500_000,
    "a megabyte of spaces and no end": lambda: SIGNED + b" \t" * 500_000,
    "a megabyte of empty lines": lambda: SIGNED + b"\r\n" * 500_000,
    "lines of one space": lambda: SIGNED + b" \r\n" * 330_000,
    "500 signatures on 5 MB": lambda: (
        SIGNED.partition(b"From:")[0] * 500 + HEAD + b"\r\n" + (b"x" * 78 + b"\r\n") * 62_500
    ),
    "10,000 names in h=": widened(b"h=from", b":from" * 10_000),
    "3,500 names in h=": widened(b"h=from", b":a" * 3_500),
    "1,000 tags": lambda: SIGNED.replace(
        b"v=1", b"".join(b"x%d=;" % n for n in range(1_000)) + b"v=1", 1
    ),
    "semicolons": widened(b"v=1", b";" * 7_000),
    "equal signs": widened(b"v=1", b"=" * 7_000),
    "colons in h=": widened(b"h=", b":" * 7_000),
    "a number without an end": widened(b"v=1", b"; l=" + b"9" * 7_000),
    "NUL": widened(b"v=1", b"\0"),
    "octets of no charset": widened(b"d=", b"\xff\xfe"),
    "an identity of equal signs": widened(b"v=1", b"; i=" + b"=3D" * 2_000),
    "a field of 64 kB": lambda: b"Subject: " + b" x" * 32_000 + b"\r\n" + SIGNED,
    "nothing but the field": lambda: SIGNED.partition(b"\r\nFrom")[0],
    "a field that never ends": lambda: b"DKIM-Signature:" + b"v=1; " * 10_000,
}
# An unsigned field, and what relaxed canonicalisation takes away at the end of the body.
CHANGES_NOTHING = {
    "a field of 64 kB",
    "a megabyte of spaces and no end",
    "a megabyte of empty lines",
    "lines of one space",
}
HOSTILE_KEYS: dict[str, Callable[[], bytes]] = {
    "an exponent as long as the key": lambda: key_record(4096, (1 << 4095) | 1),
    "an exponent of 32,768 bits": lambda: key_record(2048, (1 << 32_767) | 1),
    "a modulus of 16,384 bits": lambda: key_record(16_384, 65_537),
    "an even exponent": lambda: key_record(2048, 2),
    "an exponent of one": lambda: key_record(2048, 1),
    "an exponent of zero": lambda: key_record(2048, 0),
    "7 kB of zeros": lambda: b"v=DKIM1; p=" + b"A" * 7_000,
    "deep nesting": lambda: b"v=DKIM1; p=" + base64.b64encode(b"\x30\x80" * 2_500),
    "900 tags": lambda: b"v=DKIM1; " + b"".join(b"x%d=1;" % n for n in range(900)) + b"p=AAAA",
    "spaces": lambda: b"v=DKIM1; p=" + b" " * 7_000,
    "60 kB": lambda: b"v=DKIM1; p=" + b"A" * 60_000,
    "an even modulus": lambda: key_record(2048, 65_537, odd=0),
}


def took(raw: bytes, answers: dict[Question, Answer]) -> tuple[set[Result], float]:
    began = time.process_time()
    found = verify(raw, answers, CAPS, NOW)
    return {one.result for one in found}, time.process_time() - began


@pytest.mark.parametrize("what", HOSTILE_MAIL)
def test_a_hostile_mail_ends_soon_and_proves_nothing(what: str) -> None:
    results, cpu_s = took(HOSTILE_MAIL[what](), answered(RSA_RECORD))
    assert results <= {Result.PERMERROR, Result.FAIL, Result.PASS}
    assert Result.PASS not in results or what in CHANGES_NOTHING
    assert cpu_s < LONG_S


@pytest.mark.parametrize("what", HOSTILE_KEYS)
def test_a_hostile_key_ends_soon_and_proves_nothing(what: str) -> None:
    results, cpu_s = took(SIGNED, answered(HOSTILE_KEYS[what]()))
    assert results <= {Result.PERMERROR, Result.FAIL, Result.POLICY}
    assert cpu_s < LONG_S


@pytest.mark.parametrize(
    ("bits", "exponent"), [(2048, (1 << 32) | 1), (4104, 65_537), (2048, (1 << 2046) | 1)]
)
def test_a_key_larger_than_is_used_is_not_tried(bits: int, exponent: int) -> None:
    (found,) = verify(SIGNED, answered(key_record(bits, exponent)), CAPS, NOW)
    assert (found.result, found.because) == (Result.PERMERROR, "its key is larger than is used")


def test_many_signatures_on_a_large_mail_read_it_no_more_often_than_the_cap_says() -> None:
    raw = HOSTILE_MAIL["500 signatures on 5 MB"]()
    assert len(verify(raw, answered(RSA_RECORD), CAPS, NOW)) == CAPS.signatures_max


def test_twenty_signatures_ask_for_five_keys() -> None:
    head = b"".join(
        SIGNED.partition(b"From:")[0].replace(b"s=s1", b"s=k%d" % number) for number in range(20)
    )
    assert len(questions(scan(head + HEAD + b"\r\n"), CAPS)) == 5


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(junk: bytes) -> None:
    for raw in (junk, b"DKIM-Signature: " + junk + b"\r\n" + HEAD + b"\r\n" + BODY):
        for one in verify(raw, answered(RSA_RECORD), CAPS, NOW):
            assert one.result is not Result.PASS
            assert (one.signature + one.algorithm).isprintable()


@given(st.binary(max_size=300))
def test_no_key_record_makes_it_raise(junk: bytes) -> None:
    for text in (junk, b"v=DKIM1; p=" + junk, b"v=DKIM1; p=" + base64.b64encode(junk)):
        assert verify(SIGNED, answered(text), CAPS, NOW)[0].result is not Result.PASS


LINES = st.sampled_from(
    [b"A: x", b"b:", b" folded", b"", b"no field", b"DKIM-Signature : y", b"dkim-signature: z "]
)


@given(st.lists(LINES))
def test_the_header_section_is_the_one_that_everybody_else_here_sees(lines: list[bytes]) -> None:
    raw = b"\r\n".join(lines) + b"\r\n"
    try:
        headers = scan(raw)
    except HeadersTooLarge:
        return
    seen = SignedMail(raw)
    whole = seen.body(relaxed=False)
    assert whole == raw[headers.body_at :].rstrip(b"\r\n") + b"\r\n"
    values = tuple(seen.value(place).strip() for place in seen.signatures())
    assert values == headers.raw("dkim-signature")


# A second opinion: what dkimpy verifies verifies here, and the other way round.

WHITE = st.sampled_from([b" ", b"  ", b"\t", b"\r\n", b"\r\n ", b"\r\n\r\n", b""])
WORDS = st.sampled_from([b"Hello", b"x", b".", b"=20", b"\xc3\xbc"])
TEXT = st.lists(st.tuples(WHITE, WORDS, WHITE), max_size=12).map(
    lambda parts: b"".join(b"".join(part) for part in parts)
)
WAYS = st.sampled_from([b"simple", b"relaxed"])
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def by_dkimpy(raw: bytes) -> bool:
    try:
        return bool(dkim.verify(raw, dnsfunc=lambda _name, timeout=0: RSA_RECORD))
    except (dkim.DKIMException, binascii.Error):
        return False


@given(body=TEXT, subject=TEXT, ways=st.tuples(WAYS, WAYS), change=TEXT, at=st.integers(0, 80))
def test_dkimpy_is_of_the_same_opinion(
    body: bytes, subject: bytes, ways: tuple[bytes, bytes], change: bytes, at: int
) -> None:
    folded = b" ".join(subject.split(b"\r\n")).replace(b"\r", b"").replace(b"\n", b"")
    # SMTP has no mail that does not end with CRLF.
    mail = HEAD + b"X-Note: " + folded + b"\r\n\r\n" + body + b"\r\n"
    signature = dkim.sign(
        mail, b"s1", b"example.org", PEM, canonicalize=ways, include_headers=[b"from", b"x-note"]
    )
    place = len(signature) + len(HEAD) + at
    whole = signature + mail
    answers = {Question(KEY_NAME, Kind.TXT): Answer(Status.FOUND, (RSA_RECORD,))}
    for raw in (whole, whole[:place] + change + whole[place:]):
        found = verify(raw, answers, DkimCaps(signatures_max=1, rsa_min_bits=1024), _now())
        assert (found[0].result is Result.PASS) == by_dkimpy(raw)


@given(at=st.integers(0, len(SIGNED) - 1), bit=st.integers(0, 7))
def test_of_a_flipped_bit_dkimpy_is_of_the_same_opinion(at: int, bit: int) -> None:
    flipped = bytearray(SIGNED)
    flipped[at] ^= 1 << bit
    raw = bytes(flipped)
    passed = {one.result for one in verify(raw, answered(RSA_RECORD), CAPS, NOW)} == {Result.PASS}
    # It is not where the mail has no empty line any more, which dkimpy takes for no mail, and
    # not about form feeds and vertical tabs, which dkimpy takes for white space.
    if raw.count(b"\r\n\r\n") == SIGNED.count(b"\r\n\r\n") and not {0x0B, 0x0C} & set(raw):
        assert passed == by_dkimpy(raw)


def _now() -> float:
    return datetime.now(UTC).timestamp()
