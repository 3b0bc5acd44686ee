"""`server.py mail …` as an administrator types it, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import json
from dataclasses import replace
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from handlers.letter import Ending, Outgoing, State
from handlers.store.models import MAIL
from handlers.store.recalling import unpack_outgoing
from handlers.store.store import SqlStore
from smtpd.mail import Verdict
from tests.arrivals import HOLD, KEEP, mail
from tests.desks import DeskForTests
from tests.stores import SAID, claimed, erase, keep, put, step, write

PARKED = Ending(
    what=State.FAILED, because="Traceback (most recent call last):\n  in it\nTemporary: away"
)
HOSTILE = mail(
    "[bold]May I?[/bold] \x1b[31mred\x1b[0m \x9b31m",
    subject="=?utf-8?b?G1szMW0=?= [red]free [/]",
)
WITH_A_FILE = mail(
    "--b\nContent-Type: text/plain\n\nSee the file.\n"
    '--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename="list.txt"\n\n'
    "milk\n--b--",
    extra="Content-Type: multipart/mixed; boundary=b",
)


def held(desk: DeskForTests, raw: bytes | None = None, verdict: Verdict = HOLD) -> str:
    return desk.store(partial(put, verdict=verdict, raw=raw))


def parked(desk: DeskForTests) -> str:
    async def work(store: SqlStore) -> str:
        claim = await claimed(store, await keep(store))
        await store.close(claim, PARKED)
        return claim.id

    return desk.store(work)


def listed(desk: DeskForTests, *arguments: str) -> list[str]:
    said = desk.run("mail", "list", "--json", *arguments)
    assert said.code == 0
    return [one["id"] for one in json.loads(said.out)]


def shown(desk: DeskForTests, email_id: str) -> dict[str, Any]:
    said = desk.run("mail", "show", email_id, "--json")
    assert (said.code, said.err) == (0, "")
    told: dict[str, Any] = json.loads(said.out)
    return told


def outgoing(desk: DeskForTests, email_id: str) -> Outgoing:
    async def work(store: SqlStore) -> Outgoing:
        query = select(MAIL.c.outgoing, MAIL.c.person).where(MAIL.c.id == email_id)
        row = await step(store, lambda connection: connection.execute(query).one())
        seal = await store._seal(row.person)
        return unpack_outgoing(seal.open(row.outgoing, f"outgoing:{email_id}"))

    return desk.store(work)


# Looking.


def test_what_needs_a_person_is_listed_oldest_first(desk: DeskForTests) -> None:
    assert desk.run("mail", "list").out == "No mail needs a person.\n"
    first, second = held(desk), parked(desk)
    held(desk, verdict=KEEP)
    assert listed(desk) == [first, second]
    [one, other] = json.loads(desk.run("mail", "list", "--json").out)
    assert (
        one.items()
        >= {
            "state": "held",
            "sender": "ada@example.org",
            "subject": "A question",
            "because": "not proven",
            "setting": "UNPROVEN_SENDER",
            "category": "person",
        }.items()
    )
    assert other["because"] == PARKED.because


def test_a_list_holds_what_was_asked_for(desk: DeskForTests) -> None:
    adas, kept = held(desk), held(desk, verdict=KEEP)
    bobs = held(desk, mail(sender="Bob@example.org"))
    assert listed(desk, "--state", "all") == [bobs, kept, adas]
    assert listed(desk, "--state", "kept") == [kept]
    assert listed(desk, "--from", "bob@EXAMPLE.org") == [bobs]
    assert listed(desk, "--thread", adas.upper()) == [adas]
    assert listed(desk, "--from", "eve@example.org") == []
    assert desk.run("mail", "list", "--state", "answered").out == "There is no such mail.\n"
    said = desk.run("mail", "list", "--json", "--limit", "1")
    assert [one["id"] for one in json.loads(said.out)] == [adas]
    assert said.err == "There are more; see them with a higher --limit.\n"


@pytest.mark.parametrize("columns", [80, 120])
def test_a_list_fits_the_terminal_and_its_ids_can_be_copied(
    desk: DeskForTests, columns: int
) -> None:
    ids = [
        held(desk, mail(sender=f"{'a' * 60}@{'b' * 60}.example", subject="é" * 300)),
        parked(desk),
    ]
    desk.set(COLUMNS=str(columns))
    table = desk.run("mail", "list").out
    assert {len(line) for line in table.splitlines()} == {columns}
    assert [email_id for email_id in ids if email_id in table] == ids
    assert "Temporary: away" in table
    assert "Traceback" not in table


def test_a_stranger_s_words_are_shown_and_never_obeyed(desk: DeskForTests) -> None:
    email_id = held(desk, HOSTILE, replace(HOLD, because="a \x1b[31m [red]host[/] said"))
    answered = desk.store(answered_in_red)
    for arguments in (("list",), ("list", "--json"), ("show", answered), ("show", email_id)):
        said = desk.run("mail", *arguments)
        assert said.code == 0
        assert not {character for character in said.out if character in "\x1b\x9b"}
        assert "[red]" in said.out
    assert "[red]free [/]" in said.out
    assert "[bold]May I?[/bold]" in said.out
    for form in ((), ("--json",)):
        said = desk.run("explain", email_id, *form)
        assert said.code == 0
        assert not {character for character in said.out if character in "\x1b\x9b"}
        assert "[red]host[/] said" in said.out


async def answered_in_red(store: SqlStore) -> str:
    claim = await claimed(store, await keep(store))
    await write(store, claim, said=replace(SAID, text="\x1b[31m[red]Yes"))
    return claim.id


def test_a_mail_no_worker_has_read_is_read_for_the_person(desk: DeskForTests) -> None:
    email_id = held(desk, WITH_A_FILE)
    told = shown(desk, email_id)
    assert told["text"] == "See the file."
    assert told["attachments"] == [
        {
            "filename": "list.txt",
            "content_type": "text/plain",
            "size": 4,
            "what_was_read": "all",
            "because": "",
        }
    ]
    said = desk.run("mail", "show", email_id)
    assert "list.txt, text/plain, 4 bytes; all was read" in said.out
    assert "\nText\nSee the file.\n" in said.out
    assert listed(desk) == [email_id]


def test_a_mail_that_cannot_be_read_is_shown_all_the_same(desk: DeskForTests) -> None:
    email_id = held(desk, HOSTILE)
    desk.set(CELL_TIMEOUT="0.000001")
    told = shown(desk, email_id)
    assert told["text"].startswith("(it could not be read: ")
    assert told["sender"] == "ada@example.org"


def test_a_failed_mail_is_shown_with_its_traceback(desk: DeskForTests) -> None:
    said = desk.run("mail", "show", parked(desk))
    assert "because        Temporary: away" in said.out
    assert f"\nWhy, in full\n{PARKED.because}\n" in said.out


@pytest.mark.parametrize("size", [10, 600_000])
def test_raw_gives_the_message_byte_for_byte(desk: DeskForTests, size: int) -> None:
    raw = mail("x" * size)
    assert desk.run("mail", "show", held(desk, raw), "--raw").out.encode() == raw


def test_of_an_erased_person_the_words_are_gone(desk: DeskForTests) -> None:
    email_id = held(desk)
    desk.store(partial(erase, address="ada@example.org"))
    told = shown(desk, email_id)
    assert {told[name] for name in ("sender", "subject", "text", "because")} == {"(erased)"}
    assert desk.run("mail", "list").code == 0
    said = desk.run("mail", "show", email_id, "--raw")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Its author is erased, and nobody can read it.\n"


# Deciding.


def test_each_of_several_mails_is_decided_for_itself(desk: DeskForTests) -> None:
    first, failed, second = held(desk), parked(desk), held(desk)
    said = desk.run("mail", "approve", first, failed, "nothing", second.upper(), first)
    assert said.code == 1
    will = "will be answered, whatever the rules say"
    assert said.out == f"{first} is approved: it {will}.\n{second} is approved: it {will}.\n"
    assert said.err == (
        f"{failed}: it is failed; only held mail can be approved.\n"
        "nothing: there is no such mail in this database.\n"
    )
    assert listed(desk, "--state", "waiting") == [second, first]


@pytest.mark.parametrize(
    ("verb", "make", "event", "state"),
    [
        ("approve", held, "approved", "waiting"),
        ("release", held, "released", "waiting"),
        ("retry", parked, "retried", "waiting"),
        ("reject", held, "rejected", "unanswered"),
        ("reject", parked, "rejected", "unanswered"),
    ],
)
def test_a_decision_stands_in_the_story(
    desk: DeskForTests, verb: str, make: Any, event: str, state: str
) -> None:
    email_id = make(desk)
    said = desk.run("mail", verb, email_id)
    assert (said.code, said.err) == (0, "")
    told = json.loads(desk.run("explain", email_id, "--json").out)
    assert told["state"] == state
    assert told["story"][-1]["event"] == event


# Answering.


@pytest.mark.parametrize("how", ["text", "file", "standard input"])
def test_a_person_s_answer_waits_for_a_worker(desk: DeskForTests, tmp_path: Path, how: str) -> None:
    email_id = held(desk, mail("May I?", subject="Un été", message_id="<q@example.org>"))
    text = "Yes, you may.\n\nJeanne, été"
    (tmp_path / "answer").write_text(f"\ufeff{text}\r\n", encoding="utf-8")
    given = {
        "text": (("--text", text), b""),
        "file": (("--file", str(tmp_path / "answer")), b""),
        "standard input": (("-",), f"{text}\n".encode()),
    }
    arguments, typed = given[how]
    said = desk.run("mail", "reply", email_id, *arguments, typed=typed)
    assert (said.code, said.err) == (0, "")
    assert f"server.py mail hand-back {email_id}\n" in said.out
    stored = outgoing(desk, email_id)
    assert stored.rcpt_to == "ada@example.org"
    assert stored.mail_from.startswith("bounces+")
    message = message_from_bytes(stored.raw, policy=policy.default)
    assert message["From"] == "ai@us.example"
    assert message["Subject"] == "Re: Un été"
    assert message["In-Reply-To"] == "<q@example.org>"
    assert message["Auto-Submitted"] is None
    assert message.get_content().replace("\r\n", "\n").startswith(f"{text}\n\n")
    assert message.get_content().endswith("> May I?\r\n")
    told = shown(desk, email_id)
    assert (told["state"], told["answer"], told["by_person"]) == ("written", text, True)


def test_a_conversation_is_handed_back(desk: DeskForTests) -> None:
    email_id = held(desk)
    desk.run("mail", "reply", email_id, "--text", "Yes.")
    assert shown(desk, email_id)["led_since"]
    assert "a person, since" in desk.run("mail", "show", email_id).out
    said = desk.run("mail", "hand-back", email_id)
    assert said.out == ("The AI leads this conversation again; none of its mails is held.\n")
    again = desk.run("mail", "hand-back", email_id)
    assert (again.code, again.out.partition(";")[0]) == (0, "No person led this conversation")


@pytest.mark.parametrize(
    ("raw", "because"),
    [
        (mail(extra="From: second@example.org"), "It has no author that an answer could go to."),
        (mail(sender="colleague@us.example"), "Its author is this house itself."),
        (mail(sender="Help+tag@else.example"), "Its author is this house itself."),
    ],
)
def test_nobody_answers_nobody_or_the_house_itself(
    desk: DeskForTests, raw: bytes, because: str
) -> None:
    email_id = held(desk, raw)
    before = desk.everything()
    said = desk.run("mail", "reply", email_id, "--text", "Yes.")
    assert (said.code, said.out, said.err) == (1, "", f"{because}\n")
    assert desk.everything() == before


def test_without_our_key_no_answer_is_stored(desk: DeskForTests) -> None:
    email_id = held(desk)
    before = desk.everything()
    desk.set(DKIM_SIGN="ours", DKIM_KEY_FILE="nowhere.pem")
    said = desk.run("mail", "reply", email_id, "--text", "Yes.")
    assert said.code == 2
    assert "nowhere.pem" in said.err
    assert said.err.count("\n") == 1
    assert desk.everything() == before
