"""DKIM between programs: what others sign verifies here, and what we sign verifies there."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest

from handlers.signing import Signer, load_key, public_record
from smtpd.checks.dkim import DkimCaps, verify
from smtpd.questions import Answer, Kind, Question, Status
from tests.conftest import installed
from tests.keys import new_key_file, published
from tests.servers.knot import KnotServer
from tests.servers.mail_dkim import MailDkim
from tests.servers.opendkim import OpenDkim, OpenDkimSigner
from tests.servers.postfix import PostfixRelay
from tests.servers.process import HOST
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tls import TlsFiles

DOMAIN = "people.example"
NAME = f"s1._domainkey.{DOMAIN}"
CAPS = DkimCaps(signatures_max=5, rsa_min_bits=1024)
MAIL = (
    f"From: Ada <ada@{DOMAIN}>\r\nTo: ai@us.example\r\nSubject: A  question,\r\n folded\r\n"
    "Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@people.example>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    "Hello,  trailing \r\n\r\nG\u00fcnther\r\n.leading dot\r\n\r\n\r\n"
).encode()


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_key_file(tmp_path_factory.mktemp("keys") / "people.pem")


@pytest.fixture(scope="module")
def record(key_file: Path) -> str:
    return published(load_key(key_file))


@pytest.fixture(scope="module")
def perl() -> MailDkim:
    return installed(MailDkim)


@pytest.fixture(scope="module")
def dns_port(key_file: Path) -> Iterator[int]:
    key = public_record(load_key(key_file))
    with installed(lambda: KnotServer({DOMAIN: f"s1._domainkey TXT {key}"})) as server:
        yield server.port


def ours(raw: bytes, text: str) -> list[str]:
    answers = {Question(NAME, Kind.TXT): Answer(Status.FOUND, (text.encode(),))}
    found = verify(raw, answers, CAPS, datetime.now(UTC).timestamp())
    return [str(one.result) for one in found]


def both_ways(raw: bytes, text: str) -> None:
    """It verifies, and stops to when it is changed."""
    assert ours(raw, text) == ["pass"]
    assert ours(raw.replace(b"Hello", b"Hallo"), text) == ["fail"]
    assert ours(raw.replace(b"ada@", b"eve@"), text) == ["fail"]


@pytest.mark.parametrize("canonical", ["relaxed/relaxed", "relaxed/simple", "simple/simple"])
def test_mail_signed_by_opendkim_behind_postfix_verifies_here(
    canonical: str, key_file: Path, record: str, smtp_sink: SmtpSink, tls_files: TlsFiles
) -> None:
    smtp_sink.clear()
    signer = installed(
        lambda: OpenDkimSigner(domain=DOMAIN, selector="s1", key_file=key_file, canonical=canonical)
    )
    with signer:
        milters = {"smtpd_milters": f"inet:{HOST}:{signer.port}"}
        with PostfixRelay(relay_to=smtp_sink.port, tls=tls_files, more=milters) as postfix:
            with smtplib.SMTP(HOST, postfix.plain_port, timeout=20) as client:
                client.sendmail(f"ada@{DOMAIN}", ["ai@us.example"], MAIL)
            (carried,) = smtp_sink.wait_for(1)
    raw = carried.raw
    assert b"DKIM-Signature" in raw
    both_ways(raw, record)


@pytest.mark.parametrize("canonical", [b"relaxed", b"simple"])
def test_mail_signed_by_dkimpy_verifies_here(canonical: bytes, key_file: Path, record: str) -> None:
    signature = dkim.sign(
        MAIL, b"s1", DOMAIN.encode(), key_file.read_bytes(), canonicalize=(canonical, canonical)
    )
    both_ways(signature + MAIL, record)


@pytest.mark.parametrize("method", ["relaxed/relaxed", "simple/simple", "relaxed"])
def test_mail_signed_in_perl_verifies_here(
    method: str, key_file: Path, record: str, perl: MailDkim
) -> None:
    raw = perl.sign(MAIL, key_file=key_file, name=NAME, method=method)
    both_ways(raw, record)


def test_our_signature_verifies_in_every_one_of_them_and_here(
    key_file: Path, record: str, opendkim: OpenDkim, perl: MailDkim, dns_port: int
) -> None:
    raw = Signer(DOMAIN, "s1", load_key(key_file)).sign(MAIL, datetime.now(UTC))
    changed = raw.replace(b"Hello", b"Hallo")
    both_ways(raw, record)
    assert opendkim.verify(raw, {NAME: record}).passed
    assert dkim.verify(raw, dnsfunc=lambda _name, timeout=0: record.encode())
    assert perl.verify(raw, dns_port) == "pass"
    assert not opendkim.verify(changed, {NAME: record}).passed
    assert perl.verify(changed, dns_port).startswith("fail")
