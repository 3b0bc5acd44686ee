"""Trace fields: what we write above a kept mail, and what we never let pass as ours."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.reading import ReadingCaps, read
from smtpd.evidence import DkimFinding, DmarcFinding, Evidence, Result, SpfFinding
from smtpd.headers import FIELDS_MAX, scan, scan_kept
from smtpd.mail import Arrival, Peer
from smtpd.trace import authserv_id, results, traced
from tests.arrivals import arrival, mail

MX = "mx.us.example"
PROVEN = Evidence(
    spf=SpfFinding(result=Result.PASS, domain="example.org"),
    helo=SpfFinding(result=Result.NONE, domain="mx.example.org"),
    dkim=(
        DkimFinding(
            result=Result.PASS,
            domain="example.org",
            selector="s1",
            algorithm="rsa-sha256",
            signature="AbC+/1=x",
        ),
    ),
    dmarc=DmarcFinding(result=Result.PASS, domain="example.org", policy="reject"),
    aligned=True,
)


def unfolded(raw: bytes, name: str) -> list[str]:
    return [" ".join(value.split()) for value in scan(raw, len(raw)).all(name)]


def kept(raw: bytes, **changes: object) -> bytes:
    heard = arrival(raw, received_at=datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC))
    return traced(_changed(heard, **changes), PROVEN, MX).raw


def _changed(heard: Arrival, **changes: object) -> Arrival:
    named = {
        name: getattr(heard, name)
        for name in ("id", "peer", "mail_from", "rcpt_to", "raw", "headers", "received_at")
    }
    return Arrival(**{**named, **changes})


def test_the_results_name_every_check_in_the_words_of_the_standard() -> None:
    assert re.sub(r"\r\n\t", " ", results(PROVEN, MX)) == (
        "mx.us.example; spf=pass smtp.mailfrom=example.org; spf=none smtp.helo=mx.example.org; "
        "dkim=pass header.d=example.org header.s=s1 header.a=rsa-sha256 header.b=AbC+/1=x; "
        "dmarc=pass (p=reject) header.from=example.org"
    ).replace("header.b=AbC+/1=x", 'header.b="AbC+/1=x"')


def test_a_mail_nothing_was_asked_about_has_no_results() -> None:
    assert results(Evidence(), MX) == "mx.us.example;\r\n\tnone"


def test_a_mail_without_signatures_says_so() -> None:
    said = results(replace(PROVEN, dkim=()), MX)
    assert "dkim=none" in said


def test_the_mail_itself_stands_unchanged_below_our_fields() -> None:
    raw = mail()
    whole = kept(raw)
    assert whole.endswith(raw)
    names = [name for name, _ in scan(whole).fields][:3]
    assert names == ["return-path", "authentication-results", "received"]


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (
            Peer(ip="192.0.2.7", helo="mx.example.org", tls="TLSv1.3"),
            r"from mx\.example\.org \(\[192\.0\.2\.7\]\)\s+\(using TLSv1\.3\)\s+"
            r"by mx\.us\.example with ESMTPS id \w+\s+for <ai@us\.example>;\s+"
            r"Mon, 23 Nov 2026 10:00:05 \+0000",
        ),
        (
            Peer(ip="2001:db8::7", helo="[IPv6:2001:db8::7]", tls="", extended=False),
            r"from \[IPv6:2001:db8::7\] \(\[IPv6:2001:db8::7\]\)\s+by .* with SMTP id .*",
        ),
        (Peer(ip="192.0.2.7", helo="mx.a.test", tls="TLSv1.3", extended=False), r".*ESMTPS id.*"),
        (Peer(ip="192.0.2.7", helo="a(b;c", tls=""), r"from unknown \(\[192\.0\.2\.7\]\) .*"),
        (None, r"by mx\.us\.example with IMAP id .*"),
    ],
)
def test_received_says_who_brought_the_mail_and_how(peer: Peer | None, expected: str) -> None:
    (received,) = unfolded(kept(mail(), peer=peer), "received")
    assert re.fullmatch(expected, received)


def test_received_names_no_recipient_where_one_could_be_a_blind_copy() -> None:
    whole = kept(mail(), rcpt_to=("ai@us.example", "help@us.example"))
    assert "for <" not in unfolded(whole, "received")[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mx.us.example; spf=pass", "mx.us.example"),
        ("  MX.us.example. ; none", "mx.us.example"),
        ("(a (nested) comment) mx.us.example 1; spf=pass", "mx.us.example"),
        ('"mx.us\\.example"; spf=pass', "mx.us.example"),
        ("(never closed mx.us.example; spf=pass", ""),
        ("(a) (b) (c)mx.us.example(d); none", "mx.us.example"),
        ("", ""),
        ("; spf=pass", ""),
        ("other.example; spf=pass", "other.example"),
        ("()" * 9 + "mx.us.example; spf=pass", ""),  # nobody writes so many comments
    ],
)
def test_whose_results_a_field_claims_to_be(value: str, expected: str) -> None:
    assert authserv_id(value) == expected


@given(st.text(max_size=300))
def test_no_field_makes_the_reader_raise(value: str) -> None:
    assert authserv_id(value) == authserv_id(value).lower()


FOREIGN = (
    "Authentication-Results: other.example; spf=pass\n"
    "authentication-results :\n (x) MX.US.example;\n dkim=pass header.d=bank.example\n"
    "Authentication-Results: (never closed mx.us.example; dmarc=pass\n"
    "Subject: hello\n"
    'Authentication-Results: "mx.us.example"; spf=pass\n'
    "\n"
    "Authentication-Results: mx.us.example; this is the body\n"
)


def test_foreign_results_in_our_name_are_removed_and_all_else_stays() -> None:
    whole = kept(FOREIGN.replace("\n", "\r\n").encode())
    ours, *foreign = unfolded(whole, "authentication-results")
    assert ours.startswith("mx.us.example; spf=pass smtp.mailfrom")
    assert foreign == ["other.example; spf=pass"]
    assert unfolded(whole, "subject") == ["hello"]
    assert whole.endswith(b"\r\n\r\nAuthentication-Results: mx.us.example; this is the body\r\n")


def test_a_stranger_s_words_end_no_line_of_ours() -> None:
    finding = DkimFinding(
        result=Result.FAIL, domain='a"b\r\nX-Evil: yes', selector="s;x", signature="a b"
    )
    whole = traced(arrival(mail()), replace(PROVEN, dkim=(finding,)), MX).raw
    assert unfolded(whole, "x-evil") == []
    assert 'dkim=fail header.s="s;x" header.b="a b"' in unfolded(whole, "authentication-results")[0]


def test_what_was_read_of_the_mail_is_not_read_again() -> None:
    heard = arrival(mail())
    assert traced(heard, PROVEN, MX).facts is heard.facts


def test_a_mail_with_as_many_fields_as_the_door_takes_can_be_kept_and_read_again() -> None:
    raw = b"".join(b"X-%d: y\r\n" % number for number in range(FIELDS_MAX - 5)) + mail()
    heard = arrival(raw)
    assert len(heard.headers.fields) == FIELDS_MAX
    whole = traced(heard, PROVEN, MX)
    assert len(scan_kept(whole.raw).fields) == FIELDS_MAX + 3
    assert read(whole.raw, ReadingCaps()).message_id == heard.facts.message_id
