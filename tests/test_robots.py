"""What kind of mail a header section and an envelope make it."""

from __future__ import annotations

from time import process_time

import pytest

from smtpd.category import A_PERSON, Category, Kind
from smtpd.facts import facts
from smtpd.headers import scan
from smtpd.robots import answers_no_one, own_loop
from tests.material import FOLDER

# A header section, a mail's category. Each has an everyday author and a MAIL FROM.
KINDS = """
Auto-Submitted: auto-replied                                             | auto-reply
Auto-Submitted: Auto-Replied (vacation)                                  | auto-reply
Auto-Submitted: auto-replied / Subject: Away until May 5                 | out of office
Auto-Submitted: auto-generated / Subject: Out of Office: Your question   | out of office
Auto-Submitted: auto-generated / Subject: Automatic reply: Your question | auto-reply
Auto-Submitted: auto-replied / Subject: Abwesenheitsnotiz: Ihre Frage    | out of office
Auto-Submitted: auto-replied / Subject: Absence du bureau                | out of office
Auto-Submitted: auto-replied / Subject: Fuera de la oficina              | out of office
Auto-Submitted: auto-replied / Subject: Fuori sede: domanda              | out of office
Auto-Submitted: auto-replied / Subject: =?utf-8?b?5LiN5Zyo?=             | out of office
Auto-Submitted: auto-generated                                           | notification
Auto-Submitted: auto-notified; owner-email="x@y.example"                 | notification
Auto-Submitted: something-new; owner=x                                   | notification
Auto-Submitted: no / Auto-Submitted: auto-replied                        | auto-reply
X-Autoreply: yes                                                         | auto-reply
X-Autoresponder: 1 / Subject: On vacation                                | out of office
X-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent              | auto-reply
Precedence: auto_reply                                                   | auto-reply
Precedence: first-class / Preference: auto_reply                         | auto-reply
Delivered-To: Autoresponder                                              | auto-reply
X-Loop: me@x.example                                                     | auto-reply
Content-Type: multipart/report; report-type=delivery-status; boundary=x  | bounce
Content-Type: multipart/report; boundary=x; Report-Type="delivery-status" | bounce
Content-Type: multipart/report; boundary=x                               | bounce
Content-Type: message/delivery-status                                    | bounce
Content-Type: multipart/report; report-type=feedback-report              | report
Content-Type: multipart/report; report-type=disposition-notification     | report
Content-Type: multipart/report; report-type=tlsrpt                       | report
Content-Type: message/feedback-report                                    | report
Auto-Submitted: auto-replied / Content-Type: multipart/report; report-type=delivery-status | bounce
TLS-Report-Domain: x.example                                             | report
Subject: Report Domain: x.example Submitter: y.example Report-ID: <1@y>  | report
Subject: complaint about message from 192.0.2.7                          | report
From: mailer-daemon                                                      | bounce
From: postmaster@x.example / Mailing-List: contact x; run by ezmlm       | bounce
X-Failed-Recipients: x@y.example                                         | bounce
Subject: Undelivered Mail Returned to Sender                             | bounce
Subject: Delivery Status Notification (Delay)                            | bounce
List-Id: <talk.example>                                                  | mailing list
List-Post: <mailto:talk@x.example> / List-Unsubscribe: <mailto:x>        | mailing list
X-BeenThere: talk@x.example / Precedence: bulk                           | mailing list
Mailing-List: contact talk-help@x.example; run by ezmlm                  | mailing list
Precedence: list                                                         | mailing list
List-Unsubscribe: <mailto:x>                                             | newsletter
List-Unsubscribe: <mailto:x> / List-Id: <news.example>                   | newsletter
List-Post: NO / List-Unsubscribe: <mailto:x>                             | newsletter
List-Post: NO                                                            | newsletter
List-Help: <mailto:x>                                                    | newsletter
Precedence: Bulk                                                         | newsletter
Precedence: junk                                                         | newsletter
Feedback-ID: a:b:c:d / List-Unsubscribe: <mailto:x>                      | newsletter
X-Campaign: 7                                                            | newsletter
Feedback-ID: a:b:c:d                                                     | notification
X-GitHub-Reason: mention / List-Id: <r.o.github.example> / Precedence: list | notification
X-GitLab-Project: x / List-Id: <x>                                       | notification
X-JIRA-FingerPrint: 1                                                    | notification
X-Trac-Ticket-ID: 7                                                      | notification
X-Bugzilla-Reason: CC                                                    | notification
X-Zendesk-From-Account-Id: 1                                             | notification
X-OTRS-Loop: yes / X-Loop: x                                             | notification
X-RT-Loop-Prevention: x.example                                          | notification
X-Auto-Generated: yes                                                    | notification
Content-Type: text/calendar; charset=utf-8                               | calendar
Content-Type: multipart/mixed; boundary=x; method=REQUEST                | calendar
Content-Class: urn:content-classes:calendarmessage                       | calendar
Auto-Submitted: auto-generated / Content-Type: text/calendar; method=REPLY | calendar
Auto-Submitted: no                                                       | person
Auto-Submitted: No (a person)                                            | person
X-Autoreply: no                                                          | person
X-Auto-Response-Suppress: All                                            | person
X-Auto-Response-Suppress: OOF, AutoReply                                 | person
Precedence: first-class                                                  | person
Subject: A failure notice came                                           | person
Subject: Out of office: how do I write one?                              | person
Subject: Automatic reply: is yours on?                                   | person
Content-Type: multipart/mixed; boundary="method=x"                       | person
Content-Class: urn:content-classes:message                               | person
X-Mailer: Microsoft Outlook 16.0                                         | person
Importance: high / X-Priority: 1 / Return-Receipt-To: a@x.example        | person
""".strip().split("\n")


def kind_of(section: str, mail_from: str = "ada@x.example") -> Kind:
    raw = section.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    return facts(scan(raw), mail_from).kind


@pytest.mark.parametrize("row", KINDS)
def test_the_header_section_tells_what_kind_of_mail_it_is(row: str) -> None:
    fields, _, category = (part.strip() for part in row.rpartition("|"))
    section = "\n".join(fields.split(" / "))
    found = kind_of(section if "From:" in section else f"From: ada@x.example\n{section}")
    assert found.category == category
    assert bool(found.because) is not found.from_a_person
    assert "example" not in found.because


@pytest.mark.parametrize(
    ("mail_from", "section", "category"),
    [
        ("", "", "bounce"),
        ("", "Subject: Out of office", "out of office"),
        ("", "Subject: Réponse automatique : Ma question", "auto-reply"),
        ("", "Auto-Submitted: auto-replied", "auto-reply"),
        ("", "Content-Type: multipart/report; report-type=disposition-notification", "report"),
        ("MAILER-DAEMON@x.example", "", "bounce"),
        ("MAILER-DAEMON", "", "bounce"),
        ("talk-owner@x.example", "", "mailing list"),
        ("talk-bounces+ada=x.example@y.example", "", "mailing list"),
        ("owner-talk@x.example", "", "mailing list"),
        ("no-reply@x.example", "", "notification"),
        ("bounces+17@mail.example", "", "person"),
        ("ada@x.example", "", "person"),
    ],
)
def test_the_envelope_tells_it_too(mail_from: str, section: str, category: str) -> None:
    assert kind_of(f"From: ada@x.example\n{section}".strip(), mail_from).category == category


@pytest.mark.parametrize(
    ("author", "category"),
    [
        ("no-reply", "notification"),
        ("accounts-noreply", "notification"),
        ("ne-pas-repondre", "notification"),
        ("bounces", "notification"),
        ("mailer-daemon", "bounce"),
        ("postmaster", "bounce"),
        ("talk-request", "mailing list"),
        ("ada", "person"),
        ("billing", "person"),
        ("info", "person"),
    ],
)
def test_an_author_whom_nobody_can_write_to_is_no_person(author: str, category: str) -> None:
    assert kind_of(f"From: {author}@x.example").category == category


def test_every_category_fits_its_column_and_a_person_needs_no_evidence() -> None:
    assert all(0 < len(category) <= 16 for category in Category)
    assert Kind(Category.PERSON, "") == A_PERSON
    assert A_PERSON.from_a_person


@pytest.mark.parametrize("character", [*list('a-_.+;:= "\\("'), "not-", "owner-", "method="])
@pytest.mark.parametrize("name", ["Subject", "Content-Type", "Auto-Submitted", "From"])
def test_a_long_field_costs_no_more_than_its_length(name: str, character: str) -> None:
    value = character * (100_000 // len(character))
    start = process_time()
    for mail_from in ("", "ada@x.example", value[:1000]):
        kind_of(f"{name}: {value}", mail_from)
        kind_of(f"Content-Type: text/plain; report-type={value}", mail_from)
    assert process_time() - start < 1


@pytest.mark.parametrize(
    ("section", "loops"),
    [
        ("X-Loop: ai@us.example", True),
        ("Message-ID: <t@us.example>\nAuto-Submitted: auto-replied", True),
        ("Message-ID: <t@us.example>", False),
        ("Message-ID: <t@x.example>\nAuto-Submitted: auto-replied", False),
        ("In-Reply-To: <t@us.example>", False),
    ],
)
def test_our_own_marks_tell_our_own_mail(section: str, loops: bool) -> None:
    headers = scan(section.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    message_id = facts(headers, "a@x.example").message_id
    found = own_loop(headers, message_id, "us.example")
    assert (found is not None and found.category is Category.OURS) is loops


@pytest.mark.parametrize(
    ("local", "robot"),
    [
        ("no-reply", True),
        ("noreply", True),
        ("NoReply+1", True),
        ("do_not_reply", True),
        ("dmarc-noreply", True),
        ("ne-pas-repondre", True),
        ("nao-responda", True),
        ("non-rispondere", True),
        ("mailer-daemon", True),
        ("postmaster", True),
        ("news-bounces", True),
        ("norbert", False),
        ("reply", False),
        ("noel.replyson", False),
        ("nora.respond", False),
        ("ivan.noreplay", False),
    ],
)
def test_addresses_that_nobody_reads_are_known(local: str, robot: bool) -> None:
    assert answers_no_one(f"{local}@x.example") is robot


@pytest.mark.material
def test_no_real_bounce_or_automatic_reply_has_the_marks_of_a_person(material: object) -> None:
    files = sorted((FOLDER / "auto" / "soe").glob("*.eml"))
    assert len(files) > 100
    missed = []
    for file in files:
        headers = scan(file.read_bytes())
        mail_from = headers.first("return-path").strip("<> ")
        if not headers.has("return-path"):
            mail_from = "unknown@example.org"
        found = facts(headers, mail_from)
        if found.kind.from_a_person and found.author:
            missed.append(file.name)
    assert missed == []
