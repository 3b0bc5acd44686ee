"""The light score: which marks there are, what they weigh, and how often it is wrong."""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd.checks import marks
from smtpd.checks.marks import SCORE_MAX, Mark, built_in, content_marks
from smtpd.evidence import DkimFinding, DmarcFinding, Evidence, Result, SpfFinding
from smtpd.mail import Arrival, Peer
from tests.arrivals import arrival, mail
from tests.bench.spam import of_folder

NONE = Evidence()
LONG_S = 5.0
HOSTILE_BYTES = 1_048_576


LIES = "LINK_SAYS_ANOTHER_HOST"
BASE64 = "Content-Transfer-Encoding: base64"


def html(body: str, **more: str) -> bytes:
    return mail(body, extra="Content-Type: text/html; charset=utf-8", **more)


def attached(how: str) -> bytes:
    return mail(f"--b\nContent-Type: x/y\nContent-Disposition: attachment; {how}\n\nx\n--b--")


def encoded(body: str) -> bytes:
    return mail(b64encode(body.encode()).decode(), extra=BASE64)


def in_a_part(body: str) -> bytes:
    text = b64encode(body.encode()).decode()
    return mail(
        f"--b\n\nHello.\n--b\n{BASE64}\nContent-Type: text/html\n\n{text}\n--b--",
        extra="Content-Type: multipart/alternative; boundary=b",
    )


@pytest.mark.parametrize(
    ("raw", "mark"),
    [
        (mail().replace(b"Date: ", b"X-Date: "), "NO_DATE"),
        (mail().replace(b"Message-ID: ", b"X-ID: "), "NO_MESSAGE_ID"),
        (mail().replace(b"From: Ada ", b'From: "boss@bank.example" '), "NAME_IS_ANOTHER_ADDRESS"),
        (mail().replace(b"From: Ada ", "From: P\u0430ypal ".encode()), "NAME_MIXES_SCRIPTS"),
        (mail().replace(b"From: Ada ", "From: Ad\u00e4 ".encode()), "EIGHT_BIT_HEADER"),
        (mail(extra="Reply-To: x@elsewhere.example"), "REPLY_ELSEWHERE"),
        (mail().replace(b"To: ai@us.example", b"To: undisclosed:;"), "ADDRESSED_TO_NOBODY"),
        (mail(subject="BUY CHEAP WATCHES NOW"), "SUBJECT_SHOUTS"),
        (mail(subject="Earn $$$ now"), "SUBJECT_OF_SIGNS"),
        (mail(subject="Are you there?!?"), "SUBJECT_OF_SIGNS"),
        (mail(subject="Hello           qhx7b"), "SUBJECT_WITH_A_NUMBER_BEHIND"),
        (html("<p>hi</p>"), "HTML_ONLY"),
        (mail("see http://192.0.2.1/pay"), "LINK_TO_A_NUMBER"),
        (mail("see http://3221225985/pay"), "LINK_TO_A_NUMBER"),
        (mail("see http://0xC0000201/"), "LINK_TO_A_NUMBER"),
        (mail("see https://bank.example@evil.example/"), "LINK_WITH_A_LOGIN"),
        (mail("see https://xn--pypal-4ve.example/"), "LINK_IN_PUNYCODE"),
        (html('<a href="https://evil.example/x">www.bank.com</a>'), "LINK_SAYS_ANOTHER_HOST"),
        (html('<a href="javascript:alert(1)">x</a>'), "LINK_RUNS_CODE"),
        (html("<form action=x>"), "FORM_TO_FILL_IN"),
        (mail(" ".join(f"http://h{n}.example/" for n in range(12))), "MANY_HOSTS"),
        (mail('Content-Disposition: attachment; filename="x.exe"'), "PROGRAM_ATTACHED"),
        (mail('Content-Type: x/y; name="invoice.pdf.js"'), "DOUBLE_ENDING"),
        (mail(extra='Content-Disposition: attachment; filename="x.exe"'), "PROGRAM_ATTACHED"),
        (attached('filename*0="inv"; filename*1="oice.exe"'), "PROGRAM_ATTACHED"),
        (attached("filename*=utf-8''invoice%2Eexe"), "PROGRAM_ATTACHED"),
        (attached('filename="=?utf-8?b?aW52b2ljZS5leGU=?="'), "PROGRAM_ATTACHED"),
        (attached('\r\n filename="x.exe"'), "PROGRAM_ATTACHED"),
        (encoded("see http://192.0.2.1/pay"), "LINK_TO_A_NUMBER"),
        (in_a_part("see http://192.0.2.1/pay"), "LINK_TO_A_NUMBER"),
        (html('<a href=3D"https://evil.example/x">www.bank.com</a>'), LIES),
        (html("<a href=3Dx> http://192.0.=\n2.1/"), "LINK_TO_A_NUMBER"),
        (mail("base64? No:\n--\nbase64\n\nhttp://192.0.2.1/"), "LINK_TO_A_NUMBER"),
        (mail("http://192.0.2.1/", extra=BASE64), "LINK_TO_A_NUMBER"),
        (mail("CONTENT-TYPE: x/y; NAME=X.EXE"), "PROGRAM_ATTACHED"),
        (html('<a class="x" HREF="https://me@evil.example:8/">Bank.com</a>'), LIES),
        (html('<a href="data:text/html,x">x</a>'), "LINK_RUNS_CODE"),
        (mail('Content-Type: x/y; name="invoice.pdf      .scr"'), "DOUBLE_ENDING"),
    ],
)
def test_a_mark_is_seen(raw: bytes, mark: str) -> None:
    assert mark in content_marks(raw)


@pytest.mark.parametrize(
    "raw",
    [
        mail(),
        mail(extra="Reply-To: ada@mail.example.org"),
        mail().replace(b"From: Ada ", b'From: "Ada (ada@example.org)" '),
        mail().replace(b"From: Ada ", b"From: =?utf-8?b?w4Ryemxp?= "),
        mail("see https://www.example.org/page and http://example.org:8080/"),
        mail("report.pdf, and a name: x.exe is a program"),
        mail("I wrote\nhostname=mail.corp.com\nand see https://www.example.org/?name=setup.exe"),
        mail('<a name="www.corp.com"></a> <img src="data:image/png;base64,AAAA">'),
        mail('<a href="https://mail.bank.com:8080/x">www.bank.com.</a>'),
        mail('<a href="https://bank.example/">our.community</a>'),
        mail("Content-Type: x/y; hostname=mail.corp.com"),
        mail(subject="Re: A question about my contract 2026"),
        mail(subject="SOS"),
        mail().replace(b"From: Ada ", "From: \u5c71\u7530 Taro ".encode()).replace(b"8bit", b""),
    ],
)
def test_an_ordinary_letter_has_none_that_matter(raw: bytes) -> None:
    assert set(content_marks(raw)) <= {Mark.EIGHT_BIT_HEADER}


def test_a_login_in_a_link_is_no_host() -> None:
    marks = content_marks(html('<a href="https://me@bank.com:8080/x">www.bank.com</a>'))
    assert set(marks) == {Mark.HTML_ONLY, Mark.LINK_WITH_A_LOGIN}


def scored(found: Evidence, heard: Arrival | None = None) -> set[str]:
    return set(built_in((), heard or arrival(), found).signs)


def test_what_the_checks_found_counts() -> None:
    failed = DkimFinding(result=Result.FAIL)
    assert scored(Evidence(spf=SpfFinding(result=Result.FAIL))) == {"SPF_FAIL"}
    assert scored(Evidence(spf=SpfFinding(result=Result.SOFTFAIL))) == {"SPF_SOFTFAIL"}
    assert scored(Evidence(dkim=(failed,))) == {"DKIM_FAIL"}
    assert scored(Evidence(dkim=(failed,), aligned=True)) == set()
    for policy, expected in (("reject", {"DMARC_FAIL"}), ("none", set())):
        dmarc = DmarcFinding(result=Result.FAIL, policy=policy)
        assert scored(Evidence(dmarc=dmarc)) == expected


def test_the_greeting_and_the_clock_count() -> None:
    nameless = Arrival(
        **{
            name: getattr(arrival(), name)
            for name in ("id", "mail_from", "rcpt_to", "raw", "headers", "received_at")
        },
        peer=Peer(ip="192.0.2.7", helo="localhost", tls=""),
    )
    assert scored(NONE, nameless) == {"HELO_IS_NO_NAME"}
    assert scored(replace(NONE, client_known=False), nameless) == set()
    early = arrival(received_at=datetime(2026, 11, 23, 10, tzinfo=UTC) - timedelta(days=2))
    assert scored(NONE, early) == {"DATE_IS_WRONG"}


def test_the_light_score_alone_never_refuses() -> None:
    found = built_in(tuple(Mark), arrival(), NONE)
    assert found.score == SCORE_MAX < 15


@pytest.mark.parametrize(
    "body",
    ["http://" * 9_000, "<a " * 22_000, '<a href="http://x' * 4_000, "name=" * 13_000,
     'name="' + "." * 60_000, "filename*=" + " " * 60_000, "http://1." * 7_000,
     "href" + " " * 60_000, "src=" * 16_000, "<a " * 100 + "href=http://x" * 23 + "z" * 150,
     "<a " * 90 + "href=http://a" * 2 + "b" * 190 + "c " * 250, "content-type:" * 5_000,
     "content-type:\n " * 5_000, "\n--base64\n\n" * 6_000, "=3d=\n" * 13_000],
)  # fmt: skip
def test_a_hostile_body_is_read_in_no_time(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of much more than is ever read: what grows faster than its input shows.
    monkeypatch.setattr(marks, "BODY_BYTES", HOSTILE_BYTES)
    raw = html(body * (HOSTILE_BYTES // len(body) + 1))
    began = time.process_time()
    content_marks(raw)
    assert time.process_time() - began < LONG_S


@given(st.binary(max_size=500))
def test_no_bytes_make_it_raise(junk: bytes) -> None:
    for raw in (junk, mail().replace(b"A question", junk), mail("x").replace(b"x", junk)):
        assert set(content_marks(raw)) <= set(Mark)


@pytest.mark.material
def test_of_other_people_s_mail_the_good_passes(
    material: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ham = of_folder(material / "spam" / "easy-ham-1")
    spam = of_folder(material / "spam" / "spam-1")
    with capsys.disabled():
        said = f"{ham.held}/{ham.mails} ham, {spam.held}/{spam.mails} spam"
        sys.stdout.write(f"\nthe light score holds {said}\n")
    assert ham.held <= ham.mails // 100
    assert spam.held >= spam.mails // 10
