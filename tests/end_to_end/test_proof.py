"""Who is writing, proven by real DNS on loopback, and what becomes of mail that is not proven."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.signing import Signer, load_key, public_record
from tests.conftest import installed
from tests.end_to_end.conftest import Street
from tests.end_to_end.house import ADDRESS, House, until
from tests.end_to_end.sink_mail import replies, wait_for_replies
from tests.end_to_end.writers import Mail, Sent, send, send_until_taken, write
from tests.keys import new_key_file
from tests.servers.knot import KnotServer
from tests.servers.postfix import PostfixRelay
from tests.servers.process import HOST
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tls import TlsFiles

# Who publishes SPF for this machine, who signs, who does neither, and whose include is dead.
BY_SPF, BY_DKIM, BARE, DEAD = "spf.example", "dkim.example", "bare.example", "dead.example"


@dataclass
class World:
    """DNS, and a key that one of its domains publishes."""

    dns: KnotServer
    signer: Signer

    def signed(self, mail: Mail) -> Mail:
        raw = self.signer.sign(mail.raw, datetime.now(UTC))
        return Mail(sender=mail.sender, message_id=mail.message_id, mark=mail.mark, raw=raw)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    key = load_key(new_key_file(tmp_path / "people.pem"))
    zones = {
        "example": "",  # a tree walk asks there, too
        BY_SPF: '@ TXT "v=spf1 ip4:127.0.0.0/8 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n'
        '@ MX 10 mx\nmx A 127.0.0.1\nnomail MX 0 .\nnomail TXT "v=spf1 ip4:127.0.0.1 -all"',
        BY_DKIM: f'@ TXT "v=spf1 -all"\ns1._domainkey TXT {public_record(key)}\n'
        '_dmarc TXT "v=DMARC1; p=none"',
        BARE: '@ MX 10 mx\nmx A 127.0.0.1\n_dmarc TXT "v=DMARC1; p=reject"',
        DEAD: f'@ TXT "v=spf1 include:nobody-serves-this.test -all"\n'
        f"s1._domainkey TXT {public_record(key)}",
    }
    with installed(lambda: KnotServer(zones)) as dns:
        yield World(dns, Signer(BY_DKIM, "s1", key))


def settings(world: World, **more: object) -> dict[str, object]:
    return {
        "testing_answer_unproven": "false",
        "dns_servers": world.dns.address,
        "trusted_networks": "127.0.0.0/8",
        **more,
    }


def one(house: House, mail: Mail) -> Sent:
    (sent,) = send(house.port, [mail])
    return sent


def by_hand(
    house: House, mail: Mail, *, mail_from: str | None = None, rcpt_to: str = ADDRESS
) -> tuple[int, str]:
    """Send with an envelope of one's own; what was said to RCPT or to the mail."""
    with smtplib.SMTP(HOST, house.port, timeout=30) as client:
        client.ehlo("mx.bare.example")
        client.mail(mail.sender if mail_from is None else mail_from)
        code, said = client.rcpt(rcpt_to)
        if code == 250:
            code, said = client.data(mail.raw)
        return code, said.decode()


def test_proven_authors_are_answered_and_a_forger_is_told_what_is_missing(
    street: Street, world: World, sink: SmtpSink
) -> None:
    house = street.open(**settings(world))
    by_spf = one(house, write(1, sender=f"ada@{BY_SPF}"))
    by_dkim = one(house, world.signed(write(2, sender=f"bob@{BY_DKIM}")))
    assert (by_spf.code, by_dkim.code) == (250, 250)
    found = wait_for_replies(sink, 2)
    assert sorted(reply.rcpt_to[0] for reply in found) == [f"ada@{BY_SPF}", f"bob@{BY_DKIM}"]

    code, said = by_hand(house, write(3, sender=f"eve@{BARE}"), mail_from=f"x@{BY_SPF}")
    assert code == 550
    assert "5.7.26" in said
    assert "Please ask your mail service" in said
    assert "Demandez au service" in said
    forged = write(4, sender=f"boss@{BY_DKIM}")
    assert by_hand(house, forged, mail_from=f"x@{BY_SPF}")[0] == 550
    assert by_hand(house, world.signed(forged), mail_from=f"x@{BY_SPF}")[0] == 250
    changed = world.signed(write(5, sender=f"boss@{BY_DKIM}"))
    raw = changed.raw.replace(b"notice period", b"bank account")
    broken = Mail(sender=changed.sender, message_id="", mark="", raw=raw)
    code, said = by_hand(house, broken, mail_from=f"x@{BY_SPF}")
    assert (code, "does not verify" in said or "another domain" in said) == (550, True)

    house.stop()
    told = house.explain(by_spf.ticket)
    assert (told["evidence"]["aligned"], told["evidence"]["proven_by"]) == (True, "spf")
    assert told["evidence"]["dmarc"]["policy"] == "reject"
    refused = [event for event in house.events() if event["event"] == "rejected"]
    assert {event["setting"] for event in refused} == {"UNPROVEN_SENDER"}
    assert all(event["ticket"] for event in refused)
    assert said.split()[-1] in {event["ticket"] for event in refused}


def test_explain_names_every_finding_for_a_person(street: Street, world: World) -> None:
    house = street.open(**settings(world, unproven_sender="hold"))
    held = one(house, write(1, sender=f"eve@{BARE}"))
    assert held.code == 250
    house.stop()
    _, said = house.command_line("explain", held.ticket)
    for words in (
        "would change it UNPROVEN_SENDER",
        "author proven no",
        "SPF none for bare.example",
        "DKIM none",
        "DMARC fail for bare.example",
        "policy reject of bare.example",
        "virus not checked",
        "spam 2.5 by built-in: DMARC_FAIL",
    ):
        assert words in " ".join(said.split())


def test_while_dns_is_down_the_unproven_wait_and_are_answered_when_it_returns(
    street: Street, world: World, sink: SmtpSink
) -> None:
    house = street.open(**settings(world))
    world.dns.stop()
    mail = write(1, sender=f"ada@{BY_SPF}")
    waits = one(house, mail)
    assert (waits.code, "4.4.3" in waits.text) == (451, True)
    world.dns.start()
    assert send_until_taken(house.port, [mail])[-1].code == 250
    assert [reply.rcpt_to for reply in wait_for_replies(sink, 1)] == [(f"ada@{BY_SPF}",)]


def test_a_dead_spf_include_keeps_nobody_waiting_whose_signature_is_aligned(
    street: Street, world: World, sink: SmtpSink
) -> None:
    house = street.open(**settings(world))
    signer = Signer(DEAD, "s1", world.signer._key)
    raw = signer.sign(write(1, sender=f"ada@{DEAD}").raw, datetime.now(UTC))
    sent = one(house, Mail(sender=f"ada@{DEAD}", message_id="", mark="", raw=raw))
    assert sent.code == 250
    wait_for_replies(sink, 1)
    unsigned = one(house, write(2, sender=f"ada@{DEAD}"))
    assert (unsigned.code, "4.4.3" in unsigned.text) == (451, True)
    assert house.explain(sent.ticket)["evidence"]["spf"]["result"] == "temperror"


def test_what_is_for_a_person_or_has_no_sender_is_kept_whoever_sends_it(
    street: Street, world: World, sink: SmtpSink
) -> None:
    house = street.open(**settings(world))
    complaint = write(1, sender=f"eve@{BARE}")
    assert by_hand(house, complaint, rcpt_to="postmaster@us.example")[0] == 250
    assert by_hand(house, write(2, sender=f"eve@{BARE}"), mail_from="")[0] == 250
    wrong = "bounces+01jabc.aaaaaaaaaaaaaaaa@us.example"
    assert by_hand(house, write(3, sender=f"eve@{BARE}"), mail_from="", rcpt_to=wrong)[0] == 550
    code, said = by_hand(house, write(4, sender=f"eve@nomail.{BY_SPF}"))
    assert (code, "5.7.27" in said) == (550, True)
    house.wait_for(kept=2)
    assert replies(sink) == []


def test_a_bounce_by_postfix_comes_back_to_its_answer_and_is_filed(
    street: Street, world: World, tls_files: TlsFiles
) -> None:
    with ExitStack() as stack:
        refusing = stack.enter_context(installed(lambda: SmtpSink(options=("-f", "RCPT"))))
        house = street.build(**settings(world))
        back = {"transport_maps": f"inline:{{us.example=smtp:[{HOST}]:{house.port}}}"}
        relay = stack.enter_context(PostfixRelay(relay_to=refusing.port, tls=tls_files, more=back))
        house.change(smtp_port=relay.plain_port)
        house.start()
        sent = one(house, write(1, sender=f"ada@{BY_SPF}"))
        assert sent.code == 250
        house.wait_for(answered=1)
        until(lambda: house.states()["kept"] == 1, what="the bounce is filed")
        (bounce,) = [ident for ident, state in house.mails().items() if state == "kept"]
        told = house.explain(bounce)
        assert told["mail_from"] == ""
        assert told["recipient"].startswith(f"bounces+{sent.ticket}")
        assert told["evidence"]["aligned"] is False
