"""The front door of a running house: scanners, certificates, and what it writes into a mail."""

from __future__ import annotations

import shutil
import smtplib
import ssl
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path

from cryptography import x509

from tests.conftest import installed
from tests.end_to_end.conftest import Street
from tests.end_to_end.house import ADDRESS, House, until
from tests.end_to_end.writers import send, write
from tests.servers.clamd import EICAR, ClamServer
from tests.servers.process import HOST
from tests.servers.spamd import GTUBE, SpamServer
from tests.servers.tls import TlsFiles, make_tls_files


def say(house: House, mail: EmailMessage, rcpt_to: str = ADDRESS) -> str:
    """The code and the enhanced code that this mail gets."""
    mail["From"], mail["To"], mail["Subject"] = "ada@people.example", ADDRESS, "A question"
    with smtplib.SMTP(HOST, house.port, timeout=30) as client:
        client.ehlo("mx.people.example")
        client.mail("ada@people.example")
        client.rcpt(rcpt_to)
        code, said = client.data(mail.as_bytes(policy=policy.SMTP))
        return f"{code} {said.decode().split()[0]}"


def letter(text: str, attached: bytes = b"") -> EmailMessage:
    mail = EmailMessage()
    mail.set_content(text)
    if attached:
        mail.add_attachment(attached, maintype="application", subtype="octet-stream")
    return mail


def test_viruses_and_spam_are_refused_before_250(street: Street) -> None:
    with ExitStack() as stack:
        clamd = stack.enter_context(installed(ClamServer))
        spamd = stack.enter_context(installed(SpamServer))
        house = street.open(
            clamd_host=HOST, clamd_port=clamd.port, spamd_host=HOST, spamd_port=spamd.port
        )
        assert say(house, letter("Hello?")) == "250 2.0.0"
        assert say(house, letter("Look.", EICAR)) == "554 5.7.1"
        assert say(house, letter("Look.", EICAR), "postmaster@us.example") == "554 5.7.1"
        assert say(house, letter(GTUBE)) == "550 5.7.1"
        assert say(house, letter(GTUBE), "postmaster@us.example") == "250 2.0.0"
        spamd.stop()
        assert say(house, letter("Nobody scores this.")) == "250 2.0.0"
        clamd.stop()
        assert say(house, letter("Nobody scans this.")) == "451 4.3.0"
        clamd.start()
        assert say(house, letter("Somebody does again.")) == "250 2.0.0"
        house.stop()
    kinds = {event.get("kind") for event in house.events()}
    assert {"virus", "spam", "scanner_away", "clamd", "spamd"} <= kinds
    (told,) = [event["counts"] for event in house.events() if event["event"] == "tally"]
    assert told["rejected"] == {"spam": 1, "virus": 2}
    assert told["deferred"] == {"scanner_away": 1}


def serial(house: House, tls: TlsFiles, client: smtplib.SMTP | None = None) -> int:
    """The serial number of the certificate that a new handshake shows."""
    with smtplib.SMTP(HOST, house.port, timeout=30) as one:
        one.starttls(context=tls.client_context())
        assert isinstance(one.sock, ssl.SSLSocket)
        der = one.sock.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number


def test_a_renewed_certificate_is_shown_without_a_restart_and_drops_nobody(
    street: Street, tmp_path: Path
) -> None:
    old = make_tls_files(tmp_path / "old")
    new = make_tls_files(tmp_path / "new", expires=datetime.now(UTC) + timedelta(days=90))
    used = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    for source, target in zip((old.cert_file, old.key_file), used, strict=True):
        shutil.copy(source, target)
    house = street.open(tls_cert_file=used[0], tls_key_file=used[1])
    before = serial(house, old)
    with smtplib.SMTP(HOST, house.port, timeout=30) as staying:
        staying.starttls(context=old.client_context())
        for source, target in zip((new.key_file, new.cert_file), reversed(used), strict=True):
            shutil.copy(source, target)
        until(lambda: _shows(house, new), what="the new certificate is shown")
        assert staying.noop()[0] == 250
    assert serial(house, new) != before


def _shows(house: House, tls: TlsFiles) -> bool:
    try:
        return bool(serial(house, tls))
    except ssl.SSLError:
        return False


def test_a_kept_mail_carries_who_brought_it_and_what_was_found(street: Street) -> None:
    house = street.open()
    (sent,) = send(house.port, [write(1)])
    house.wait_for(answered=1)
    house.stop()
    told = house.explain(sent.ticket)
    assert told["evidence"]["client_known"] is False
    assert told["raw_bytes"] > len(write(1).raw) + 200
