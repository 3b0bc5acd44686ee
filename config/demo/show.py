"""The demonstration: one mail to the house on loopback, its journey and its answer, then another.

`server.py demo` calls `main`. What runs is in `stage.py`, what is written in
`letters.py`, what must be true in `checking.py`, what is printed in `telling.py`.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import uvloop

from config.demo import checking, letters
from config.demo.ai_core import AiCore, Behaviour
from config.demo.ears import Ears, listening
from config.demo.stage import ADDRESS, USUAL_PORT, Stage, stage
from config.demo.telling import Check, Moment, Teller, text_of
from smtpd.errors import Trouble
from smtpd.mail import Arrival

PATIENCE_S = 12.0  # for one reply; usually it takes well under a second
OUT = Path("demo-out")  # below the working directory, git-ignored


class Disappointed(Exception):
    """The demonstration did not show what it promises; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A mail, and the reply that came to it."""

    sent: EmailMessage
    sent_at: datetime
    taken: Moment
    ticket: str
    arrival: Arrival  # the reply, as the relay got it

    @property
    def reply(self) -> EmailMessage:
        return checking.parsed(self.arrival.raw)


def main(keep: bool, behaviour: Behaviour | None = None) -> int:
    """Show it; with `keep`, stay up for mails of one's own. The exit code: 1 when it went wrong."""
    teller = Teller()
    # A key of its own, so that the house shows that it sends one.
    behaviour = replace(
        behaviour or Behaviour(), api_key=secrets.token_urlsafe(16), keeps_requests=not keep
    )
    try:
        uvloop.run(_keep(teller, behaviour) if keep else _show(teller, behaviour))
    except (Disappointed, Trouble, OSError, aiosmtplib.SMTPException) as error:
        teller.say(f"\nThe demonstration failed: {error or type(error).__name__}.")
        return 1
    return 0


async def _show(teller: Teller, behaviour: Behaviour) -> None:
    folder = _out_folder()
    ears = Ears()
    async with stage(behaviour) as scene:
        with listening(ears):
            _introduce(teller, scene)
            checks = await _tell_both(teller, scene, ears, folder)
    teller.say(f"\nBoth mails, both replies, and the replies' HTML are in {folder.resolve()}.")
    failed = [check.claim for check in checks if not check.holds]
    if failed:
        raise Disappointed(f"it is not so that {'; '.join(failed)}")
    teller.say("All is as it should be.")


async def _tell_both(teller: Teller, scene: Stage, ears: Ears, folder: Path) -> list[Check]:
    """The first mail and the follow-up, each told and checked."""
    first = await _exchange(teller, scene, ears, letters.question(ADDRESS, datetime.now(UTC)))
    await _tell(teller, scene, ears, first, "The reply")
    _save(folder, "1", first)
    checks = checking.every_reply(first.sent, first.arrival, scene.dkim_record)
    checks += checking.first_reply(first.arrival)
    teller.checks(checks)

    teller.headline("A follow-up in the same thread, whose right answer needs the first mail")
    teller.say(f"  {' '.join(letters.FOLLOW_UP_TEXT.split())}")
    second = await _exchange(teller, scene, ears, letters.follow_up(first.reply, datetime.now(UTC)))
    await _tell(teller, scene, ears, second, "The reply to the follow-up")
    _save(folder, "2", second)
    later_checks = checking.every_reply(second.sent, second.arrival, scene.dkim_record)
    later_checks += checking.second_reply(second.arrival)
    teller.checks(later_checks)
    return checks + later_checks + await _refuse_a_forger(teller, scene)


async def _refuse_a_forger(teller: Teller, scene: Stage) -> list[Check]:
    """The same question in the author's name, unsigned, and sent by another domain."""
    teller.headline(f"Somebody else writes in the name of {letters.AUTHOR}, and is refused")
    mail = letters.forgery(ADDRESS, datetime.now(UTC))
    try:
        said = (250, await _send(scene, mail.as_bytes(policy=policy.SMTP), letters.FORGER))
    except aiosmtplib.SMTPResponseException as refusal:
        said = (refusal.code, refusal.message)
    for line in said[1].splitlines():
        teller.say(f"  {said[0]} {line}")
    refused = said[0] == checking.UNPROVEN_CODE
    checks = [Check(claim="a forger in the author's name hears 550", holds=refused)]
    teller.checks(checks)
    return checks


async def _send(scene: Stage, raw: bytes, mail_from: str) -> str:
    """What the house said to the mail. Raises aiosmtplib.SMTPResponseException."""
    _, said = await aiosmtplib.send(
        raw,
        sender=mail_from,
        recipients=[ADDRESS],
        hostname="127.0.0.1",
        port=scene.smtp_port,
        start_tls=False,
        timeout=5,
    )
    return said


def _introduce(teller: Teller, scene: Stage) -> None:
    teller.headline("AnswerMX, shown on this machine alone")
    teller.say(
        "The AI core is a demonstration: fixed rules, no model. The relay is a local one that\n"
        "delivers nothing. DNS is a local one, too: there the author's domain publishes SPF, a\n"
        "DKIM key and a DMARC policy, by which the house proves who is writing."
    )
    teller.say(f"\n{letters.AUTHOR} writes to {ADDRESS}: {letters.FIRST_SUBJECT}")


async def _tell(teller: Teller, scene: Stage, ears: Ears, exchange: Exchange, title: str) -> None:
    moments = [exchange.taken, _asked(scene.core), _arrived(exchange.arrival)]
    moments += await ears.journey(exchange.ticket, PATIENCE_S)
    moments.sort(key=lambda moment: moment.at)
    teller.journey(exchange.ticket, exchange.sent_at, moments)
    teller.mail(exchange.reply, title)


def _asked(core: AiCore) -> Moment:
    seen = core.requests[-1]
    earlier = len(seen.body["email_context"]["previous_messages"])
    because = f"the AI core is asked, and given {earlier} earlier messages"
    return Moment(at=seen.at, event="asking", because=because)


def _arrived(arrival: Arrival) -> Moment:
    because = f"the relay has the reply, {len(arrival.raw)} bytes"
    return Moment(at=arrival.received_at, event="arrived", because=because)


async def _exchange(teller: Teller, scene: Stage, ears: Ears, mail: EmailMessage) -> Exchange:
    """Send the mail and wait for its reply. Without one, tells how far it got: Disappointed."""
    sent_at = datetime.now(UTC)
    # As her mail service sends it: signed.
    raw = scene.author.sign(mail.as_bytes(policy=policy.SMTP), sent_at)
    said = await _send(scene, raw, letters.AUTHOR)
    # "Message taken as ID": RFC 5321 leaves the text after 250 to the server.
    ticket = said.rpartition(" ")[2]
    taken = Moment(at=datetime.now(UTC), event="taken", because=f"250 {said}")
    try:
        arrival = await scene.sink.next_mail(PATIENCE_S)
    except TimeoutError:
        teller.journey(ticket, sent_at, [taken, *ears.so_far(ticket)])
        raise Disappointed(f"no reply came within {PATIENCE_S:.0f} seconds") from None
    return Exchange(sent=mail, sent_at=sent_at, taken=taken, ticket=ticket, arrival=arrival)


def _save(folder: Path, number: str, exchange: Exchange) -> None:
    (folder / f"{number}-mail.eml").write_bytes(exchange.sent.as_bytes())
    (folder / f"{number}-reply.eml").write_bytes(exchange.arrival.raw)
    html = text_of(exchange.reply, "html")
    (folder / f"{number}-reply.html").write_text(html, encoding="utf-8")


def _out_folder() -> Path:
    """Where the mails are saved; a folder of its own where the usual one cannot be written."""
    try:
        OUT.mkdir(exist_ok=True)
        (OUT / "1-mail.eml").touch()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="answermx-demo-out-"))
    return OUT


async def _keep(teller: Teller, behaviour: Behaviour) -> None:
    """Stay up until SIGINT or SIGTERM, and print each journey and each reply."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ears = Ears(heard=teller.moment)
    async with stage(behaviour, port=USUAL_PORT, answers_anybody=True) as scene:
        with listening(ears):
            _introduce_kept(teller, scene)
            async with asyncio.TaskGroup() as tasks:
                printing = tasks.create_task(_print_replies(teller, scene), name="replies")
                await stop.wait()
                printing.cancel()
            teller.say("\nClosing.")


async def _print_replies(teller: Teller, scene: Stage) -> None:
    while True:
        arrival = await scene.sink.next_mail(None)
        teller.mail(checking.parsed(arrival.raw), f"The relay got a reply for {arrival.rcpt_to[0]}")


def _introduce_kept(teller: Teller, scene: Stage) -> None:
    port = scene.smtp_port
    teller.headline(f"AnswerMX listens on 127.0.0.1 port {port}, until Ctrl-C")
    teller.say(
        "The AI core is a demonstration: fixed rules, no model. The relay delivers nothing: the\n"
        "replies are printed here. Authors are answered unproven on this loopback address only.\n"
        "Write to it, for example:\n\n"
        f"  swaks --server 127.0.0.1:{port} --from you@example.com --to {ADDRESS} \\\n"
        '      --header "Subject: Mon préavis" --body "Bonjour, quel est mon préavis ?"\n'
    )
