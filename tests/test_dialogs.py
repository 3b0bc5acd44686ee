"""Every dialogue of dialogs/, against the real listener."""

from __future__ import annotations

import re

import pytest

from config.settings import DoorSettings
from smtpd import replies
from smtpd.limits import Patience
from smtpd.listener import Listener
from smtpd.mail import Arrival
from smtpd.policy import RecipientClass
from smtpd.replies import Reply
from smtpd.tls import server_context
from tests.dialogs.script import Client, Dialogue, Received, dialogues, parse
from tests.servers.tls import TlsFiles

DIALOGUES = dict(dialogues())
KNOWN = re.compile(r"ai[0-9]{0,4}@house\.test|postmaster(@house\.test)?", re.IGNORECASE)

WELL_BEHAVED = """== a well-behaved mail
open: data
C-bytes: Subject: well\\r\\n\\r\\nbehaved\\r\\n.\\r\\n
S: 250 2.0.0 *
C: QUIT
S: 221 2.0.0 *
S-end
R: <ada@example.org> -> <ai@house.test>
R-raw: Subject: well\\r\\n\\r\\nbehaved\\r\\n
"""


def classify(address: str) -> RecipientClass:
    known = KNOWN.fullmatch(address)
    return RecipientClass.ANSWERING if known else RecipientClass.UNKNOWN


def listener_for(dialogue: Dialogue, arrivals: list[Arrival], tls_files: TlsFiles) -> Listener:
    given = dict(dialogue.settings)
    context = server_context(tls_files.cert_file, tls_files.key_file)
    tls = (lambda: context) if given.pop("tls", "") else None
    patience = Patience(data_window_s=float(given.pop("data_window_s", 30)))

    async def receive(arrival: Arrival) -> Reply:
        arrivals.append(arrival)
        return replies.QUEUED.for_ticket(arrival.id)

    return Listener(
        DoorSettings.model_validate({"listen_host": "127.0.0.1", "listen_port": 0, **given}),
        classify=classify,
        hostname="mx.house.test",
        receive=receive,
        tls=tls,
        patience=patience,
    )


def received(arrival: Arrival, like: Received) -> Received:
    """The arrival as the dialogue would name it, as far as it does."""
    recipients = ", ".join(f"<{address}>" for address in arrival.rcpt_to)
    return Received(
        f"<{arrival.mail_from}> -> {recipients}",
        raw=None if like.raw is None else arrival.raw,
        size=None if like.size is None else len(arrival.raw),
    )


@pytest.mark.parametrize("name", DIALOGUES)
async def test_the_dialogue_goes_as_written_and_leaves_the_server_well(
    name: str, tls_files: TlsFiles
) -> None:
    dialogue, well_behaved = DIALOGUES[name], parse(WELL_BEHAVED)[0]
    trusted = tls_files.client_context()
    arrivals: list[Arrival] = []
    listener = listener_for(dialogue, arrivals, tls_files)
    ((_, port),) = await listener.start()
    try:
        await Client(port, trusted).play(dialogue)
        await Client(port, trusted).play(well_behaved)
    finally:
        await listener.stop(drain_s=5)
    expected = [*dialogue.received, *well_behaved.received]
    assert len(arrivals) == len(expected)
    assert [received(*pair) for pair in zip(arrivals, expected, strict=True)] == expected
    assert listener.connections == 0
    assert listener.held_bytes == 0
