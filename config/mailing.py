"""`server.py mail …`: what a person sees of the mail, and decides about it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from config import picturing
from config.desk import (
    DONE,
    NOT_DONE,
    Desk,
    WrongUsage,
    address,
    complain,
    done,
    known_id,
    one_of,
    opened,
    whole_number,
)
from config.rereading import letter_of, record_of
from config.settings import Settings
from handlers.letter import UNDECIDED, State
from handlers.store import deciding, looking
from handlers.store.deciding import APPROVE, REJECT, RELEASE, RETRY, Decision
from handlers.store.explaining import ERASED
from handlers.store.looking import File, Whole
from smtpd.decoding import one_line
from smtpd.errors import Permanent, Trouble

_ALL = "all"


def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do what was asked; the exit code."""
    return done(_VERBS[arguments.verb](settings, arguments))


async def _list(settings: Settings, arguments: argparse.Namespace) -> int:
    limit = whole_number("--limit", arguments.limit, most=picturing.LIST_MAX)
    states = _states(arguments.state)
    author = address(arguments.sender) if arguments.sender is not None else ""
    thread_id = _thread(arguments.thread)
    async with opened(settings) as desk:
        query = partial(
            looking.listed,
            master=desk.master,
            states=states,
            person=desk.hasher.address(author) if author else "",
            thread_id=thread_id,
            limit=limit + 1,
        )
        found = await desk.see(query)
    asked = arguments.state or author or thread_id
    none = "There is no such mail." if asked else "No mail needs a person."
    picturing.show_list(found, limit, picturing.mails, as_json=arguments.json, none=none)
    return DONE


def _states(word: str | None) -> Sequence[State]:
    if word is None:
        return UNDECIDED
    chosen = one_of("--state", word, (*State, _ALL))
    return () if chosen == _ALL else (State(chosen),)


def _thread(text: str | None) -> str:
    if text is None:
        return ""
    if thread_id := known_id(text):
        return thread_id
    raise WrongUsage("--thread must be the id of a conversation, as `mail show` names it")


async def _show(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.raw and sys.stdout.isatty():
        # They could be commands to the terminal.
        raise WrongUsage("--raw gives a stranger's bytes: send them to a file or a program")
    async with opened(settings) as desk:
        if arguments.raw:
            record = await record_of(desk, known_id(arguments.id))
            sys.stdout.buffer.write(record.arrival.raw)
            return DONE
        whole = await desk.see(
            partial(looking.look, email_id=known_id(arguments.id), master=desk.master)
        )
        if whole.text is None:
            whole = await _read(desk, settings, whole)
    if arguments.json:
        picturing.write_json(picturing.mail_for_machines(whole))
        return DONE
    picturing.show(picturing.mail(whole))
    if "\n" in whole.entry.because:
        picturing.show(picturing.passage("Why, in full", whole.entry.because))
    picturing.show(picturing.passage("Text", whole.text or ""))
    if whole.answer:
        who = "a person" if whole.by_person else "the AI"
        sent = "sent" if whole.answered else "not sent"
        picturing.show(picturing.passage(f"Answer by {who}, {sent}", whole.answer))
    return DONE


async def _read(desk: Desk, settings: Settings, whole: Whole) -> Whole:
    """The same mail with its text, which no worker has read yet."""
    try:
        record = await record_of(desk, whole.entry.id)
    except Permanent:
        return replace(whole, text=ERASED)
    letter, because = await letter_of(settings, record)
    return replace(
        whole,
        text=f"(it could not be read: {because})" if because else letter.body_text,
        attachments=tuple(
            File(
                filename=one.filename,
                content_type=one.content_type,
                size=one.size,
                what_was_read=one.what_was_read,
                because=one.because,
            )
            for one in letter.attachments
        ),
    )


async def _decide(settings: Settings, arguments: argparse.Namespace, *, decision: Decision) -> int:
    code = DONE
    async with opened(settings) as desk:
        # Each mail for itself: what is wrong with one keeps no other from its answer.
        for name in dict.fromkeys(known_id(text) or one_line(text, 40) for text in arguments.id):
            deciding_it = partial(
                deciding.decide,
                email_id=known_id(name),
                decision=decision,
                master=desk.master,
                now=datetime.now(UTC),
            )
            try:
                await desk.step(deciding_it)
            except Trouble as error:
                complain(f"{name}: {error.because}")
                code = NOT_DONE
            else:
                sys.stdout.write(f"{name} is {decision.event}: {decision.then}.\n")
    return code


async def _hand_back(settings: Settings, arguments: argparse.Namespace) -> int:
    async with opened(settings) as desk:
        handing = partial(
            deciding.hand_back,
            email_id=known_id(arguments.id),
            master=desk.master,
            now=datetime.now(UTC),
        )
        back = await desk.step(handing)
    leads = (
        "The AI leads this conversation again" if back.led else "No person led this conversation"
    )
    still = {0: "none of its mails is held", 1: "one of its mails is held still"}
    told = still.get(back.held, f"{back.held} of its mails are held still")
    sys.stdout.write(f"{leads}; {told}.\n")
    for email_id in back.released:
        sys.stdout.write(f"{email_id} is released: {RELEASE.then}.\n")
    return DONE


async def _take_over(settings: Settings, arguments: argparse.Namespace) -> int:
    email_id = known_id(arguments.id)
    async with opened(settings) as desk:
        taking = partial(
            deciding.take_over, email_id=email_id, master=desk.master, now=datetime.now(UTC)
        )
        taken = await desk.step(taking)
    now = "The conversation is yours" if taken else "A person leads this conversation already"
    sys.stdout.write(f"{now}: the AI is silent in it until server.py mail hand-back {email_id}\n")
    return DONE


async def _reply(settings: Settings, arguments: argparse.Namespace) -> int:
    # It loads what the server is made of, which takes as long as all the rest together.
    from config.replying import reply

    return await reply(settings, arguments)


Verb = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, int]]

_VERBS: dict[str, Verb] = {
    "list": _list,
    "show": _show,
    "approve": partial(_decide, decision=APPROVE),
    "release": partial(_decide, decision=RELEASE),
    "retry": partial(_decide, decision=RETRY),
    "reject": partial(_decide, decision=REJECT),
    "reply": _reply,
    "take-over": _take_over,
    "hand-back": _hand_back,
}
