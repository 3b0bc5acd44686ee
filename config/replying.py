"""`server.py mail reply`: a person's own answer to a mail, composed and stored for a worker."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from config.desk import DONE, NotDone, WrongUsage, known_id, opened
from config.rereading import letter_of, record_of
from config.settings import HouseSettings, Settings
from config.wiring import reply_writer
from handlers.courtesy import own_addresses
from handlers.store import replying
from smtpd.addresses import domain_of, untagged
from smtpd.decoding import clean

TEXT_MAX_BYTES = 65_536  # as much as the AI may say (AI_ANSWER_MAX_BYTES)
_STANDARD_INPUT = "-"


async def reply(settings: Settings, arguments: argparse.Namespace) -> int:
    """Store the person's answer; a worker sends it."""
    text = _text(arguments)
    email_id = known_id(arguments.id)
    async with opened(settings) as desk:
        await desk.see(partial(replying.answerable, email_id=email_id))
        record = await record_of(desk, email_id)
        if not record.author:
            raise NotDone("It has no author that an answer could go to")
        if _is_ours(record.author, settings.house):
            raise NotDone("Its author is this house itself")
        letter, _ = await letter_of(settings, record)
        outgoing = reply_writer(settings, desk.keys.return_path).write_by_hand(record, letter, text)
        storing = partial(
            replying.reply,
            email_id=email_id,
            text=text,
            outgoing=outgoing,
            master=desk.master,
            hasher=desk.hasher,
            now=datetime.now(UTC),
        )
        await desk.step(storing)
    sys.stdout.write(
        f"Your answer to {email_id} waits for a worker. The conversation is yours until\n"
        f"server.py mail hand-back {email_id}\n"
    )
    return DONE


def _is_ours(author: str, house: HouseSettings) -> bool:
    """Whether the answer would come back to this server."""
    return domain_of(author) == house.email_domain or untagged(author) in own_addresses(house)


def _text(arguments: argparse.Namespace) -> str:
    """What the person wrote. Raises WrongUsage for what cannot be sent."""
    given = [one for one in (arguments.text, arguments.file, arguments.source) if one is not None]
    if len(given) != 1 or arguments.source not in (None, _STANDARD_INPUT):
        raise WrongUsage(
            "Give the answer once: with --text, with --file, or with - by standard input"
        )
    data = _bytes(arguments)
    if len(data) > TEXT_MAX_BYTES:
        raise WrongUsage(f"The answer is longer than {TEXT_MAX_BYTES // 1024} kB")
    try:
        text = typed(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise WrongUsage("The answer is not UTF-8 text") from None
    if not clean(text).strip():  # nothing that could be seen
        raise WrongUsage("The answer is empty")
    return text


def _bytes(arguments: argparse.Namespace) -> bytes:
    if arguments.text is not None:
        # An argument that is no text of this locale holds its bytes as lone surrogates.
        return str(arguments.text).encode("utf-8", "surrogateescape")
    try:
        if arguments.file not in (None, _STANDARD_INPUT):
            with Path(arguments.file).open("rb") as file:
                return file.read(TEXT_MAX_BYTES + 1)
        # Without a standard input there is nothing in it.
        return sys.stdin.buffer.read(TEXT_MAX_BYTES + 1) if sys.stdin else b""
    except OSError as error:
        raise WrongUsage(f"The file of the answer cannot be read: {error.strerror}") from None


def typed(text: str) -> str:
    """A person's own text, as it is but for its line ends and control characters."""
    lines = ("".join(filter(_is_typed, line)).rstrip() for line in text.splitlines())
    return "\n".join(lines).strip("\n")


def _is_typed(character: str) -> bool:
    return character == "\t" or unicodedata.category(character) not in {"Cc", "Cs"}
