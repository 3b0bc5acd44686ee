"""Nothing a person wrote stands readable in the database, in Redis or in the log."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Iterable, Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.end_to_end.conftest import Street
from tests.end_to_end.house import ADDRESS, House
from tests.end_to_end.sink_mail import wait_for_replies
from tests.end_to_end.writers import Mail, send, taken
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.smtp_sink import SmtpSink

# Each stands in one place of the mail, and nowhere else in the world.
WORDS = {
    "address": "vilhelmina.quackenbosch@zumpano-freres.example",
    "name": "Vilhelmina Quackenböösch",
    "subject": "Flibbertigibbet-Angelegenheit",
    "body": "Wüstenfuchsgehege",
    "file name": "krokodilsvertrag.txt",
    "file": "Nashornhüterlohn",
    "Message-ID": "kwyjibo-4711-plugh@zumpano-freres.example",
    "date in the answer": "2003-11-27",
}


def spellings(word: str) -> Iterator[bytes]:
    """A word as it may stand in a file: plain, UTF-16, hexadecimal, quoted-printable, base64."""
    plain = word.encode()
    yield plain
    yield word.encode("utf-16-le")
    yield word.encode("utf-16-be")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield quopri.encodestring(plain).strip()
    yield word.encode("unicode_escape")
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # Whatever stands before and behind it, this part of the code is the same.
            whole = alphabet(b"\0" * offset + plain)
            yield whole[4 if offset else 0 : len(whole) // 4 * 4 - 4]


def readable(files: Iterable[Path], words: Iterable[str]) -> set[str]:
    """Those of the words that stand in a file, in whatever spelling and case."""
    sought = {word: {spelling.lower() for spelling in spellings(word)} for word in words}
    found: set[str] = set()
    for file in files:
        # A running database removes files of its own; what is gone is read by nobody.
        with suppress(FileNotFoundError):
            content = file.read_bytes().lower()
            found |= {word for word, ways in sought.items() if any(way in content for way in ways)}
    return found


def files_of(*places: Path) -> list[Path]:
    """All files in these folders, and these files."""
    return [
        file
        for place in places
        for file in ([place] if place.is_file() else place.rglob("*"))
        if file.is_file() and not file.is_symlink()
    ]


def the_mail() -> Mail:
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = f'"{WORDS["name"]}" <{WORDS["address"]}>'
    mail["To"] = ADDRESS
    mail["Subject"] = WORDS["subject"]
    mail["Message-ID"] = f"<{WORDS['Message-ID']}>"
    mail.set_content(
        f"Hello, I have worked at the {WORDS['body']} since {WORDS['date in the answer']}.\n"
        "What is my notice period?\n"
    )
    mail.add_attachment(f"{WORDS['file']}\n", filename=WORDS["file name"])
    return Mail(
        sender=WORDS["address"],
        message_id=str(mail["Message-ID"]),
        mark=WORDS["date in the answer"],
        raw=mail.as_bytes(),
    )


def answer_one(house: House, sink: SmtpSink) -> None:
    """One mail's whole journey, with everything on the log that it can say."""
    mail = the_mail()
    [sent] = send(house.port, [mail])
    assert taken([sent])
    house.wait_for(answered=1)
    [reply] = wait_for_replies(sink, 1)
    assert mail.mark in reply.text
    told = house.explain(sent.ticket)
    # It is all there, for who has the key.
    assert told["subject"] == WORDS["subject"]
    assert WORDS["file name"] in told["attachments"][0]


def test_sqlite_and_the_log_hold_no_word_of_a_mail(street: Street, sink: SmtpSink) -> None:
    house = street.open(debug="true")
    answer_one(house, sink)
    # Now, with the WAL in use, and after the end, with everything in the file.
    places = (house.data_folder, house.log_file)
    assert any(file.name.endswith("-wal") for file in files_of(*places))
    assert readable(files_of(*places), WORDS.values()) == set()
    house.sql("CREATE TABLE control (word TEXT)")
    for word in WORDS.values():
        house.sql(f"INSERT INTO control VALUES ('{word}')")  # noqa: S608 (our own words)
    assert readable(files_of(*places), WORDS.values()) == set(WORDS.values())
    house.sql("DROP TABLE control")
    house.sql("VACUUM")
    house.stop()
    assert readable(files_of(*places), WORDS.values()) == set()


def test_postgresql_redis_and_the_log_hold_no_word_of_a_mail(
    street: Street,
    database_url: str,
    durable_postgres_server: PostgresServer,
    redis: RedisServer,
    sink: SmtpSink,
) -> None:
    redis.say("CONFIG SET rdbcompression no")
    house = street.open(debug="true", database_url=database_url, redis_url=redis.url)
    answer_one(house, sink)
    house.stop()
    house.sql("CHECKPOINT")
    assert redis.say("SAVE") == "+OK"
    dump = redis.folder / "dump.rdb"
    assert b"email:" in dump.read_bytes()
    places = (durable_postgres_server.folder, dump, house.data_folder, house.log_file)
    assert readable(files_of(*places), WORDS.values()) == set()

    # The same search finds what is not sealed.
    house.sql("CREATE TABLE control (word TEXT)")
    for word in WORDS.values():
        house.sql(f"INSERT INTO control VALUES ('{word}')")  # noqa: S608 (our own words)
    house.sql("CHECKPOINT")
    assert readable(files_of(durable_postgres_server.folder), WORDS.values()) == {*WORDS.values()}
    redis.say("SET control " + WORDS["address"])
    redis.say("SAVE")
    assert readable([dump], WORDS.values()) == {WORDS["address"]}


def test_the_search_finds_every_spelling(tmp_path: Path) -> None:
    word, file = WORDS["body"], tmp_path / "file"
    for hidden in spellings(word):
        file.write_bytes(b"before" + hidden + b"after")
        assert readable([file], [word]) == {word}
    file.write_bytes(the_mail().raw)
    assert message_from_bytes(the_mail().raw)
    assert readable([file], WORDS.values()) >= {WORDS["body"], WORDS["file"], WORDS["address"]}
