"""How mail to postmaster@ and abuse@ is passed on."""

from __future__ import annotations

from handlers.letter import Outgoing
from handlers.store.store import SqlStore
from smtpd.errors import Permanent, Trouble
from tests.arrivals import mail
from tests.operators import Clock, Postbox, filed, operator_at, text_of


async def test_filed_mail_comes_attached_each_in_a_mail_of_its_own(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    raws = [mail("é"), mail("plain")]
    for raw in raws:
        await filed(store, raw)
    await operator_at(store, box, clock).look()
    assert box.subjects == ["[us.example] Mail to abuse@"] * 2
    for outgoing, raw in zip(box.taken, raws, strict=True):
        assert raw in outgoing.raw


async def test_a_relay_without_8bitmime_gets_the_mail_as_a_file(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    box.refuse = lambda sent: None if sent.raw.isascii() else Permanent("no 8BITMIME")
    raw = mail("é")
    await filed(store, raw)
    await operator_at(store, box, clock).look()
    [attached] = box.mails[0].iter_attachments()
    assert attached.get_filename() == "message.eml"
    assert attached.get_content() == raw
    assert "no 8BITMIME" in text_of(box.mails[0])


async def test_a_relay_that_takes_no_form_of_it_takes_its_name(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    def refuse(sent: Outgoing) -> Trouble | None:
        return Permanent("554 content of <x@y.example>") if b"multipart" in sent.raw else None

    box.refuse = refuse
    email_id = await filed(store)
    operator = operator_at(store, box, clock)
    await operator.look()
    await operator.look()
    assert box.asked == 3
    assert email_id in text_of(box.mails[0])
    assert "554 content of …" in text_of(box.mails[0])


async def test_filed_mail_of_an_erased_person_is_only_named(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    email_id = await filed(store)
    async with store._engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM person_key")
    await operator_at(store, box, clock).look()
    assert f"server.py mail show {email_id}" in text_of(box.mails[0])
    assert not list(box.mails[0].iter_attachments())


async def test_a_large_mail_comes_by_its_header_section(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    raw = mail("x\r\n" * 600_000, subject="Large")
    await filed(store, raw, local="postmaster")
    await operator_at(store, box, clock).look()
    [attached] = box.mails[0].iter_attachments()
    assert attached.get_content_type() == "text/rfc822-headers"
    assert "Subject: Large" in attached.get_content()
    assert len(box.taken[0].raw) < 4000
    assert f"It has {len(raw)} bytes" in text_of(box.mails[0])
