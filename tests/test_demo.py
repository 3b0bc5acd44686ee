"""The demonstration as a person starts it: another process, another working directory."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config.demo.checking import is_signed
from config.demo.stage import as_dns_gives_it
from handlers.signing import Signer, new_key, public_record

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 60  # of a whole demonstration on a busy machine; usually it takes a few seconds

# A real installation's settings, which a demonstration must never use.
REAL = {
    "AI_API_URL": "https://ai-api.cryptomaltese.com",
    "SMTP_HOST": "mail.cryptomaltese.com",
    "DATABASE_URL": "postgresql://mail@db.cryptomaltese.com/mail_service",
    "REDIS_URL": "redis://redis.cryptomaltese.com",
}


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | more


def show(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder, with everything its standard input could give gone."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


def show_with(folder: Path, behaviour: str, patience_s: int = 12) -> tuple[int, str]:
    """The demonstration with an AI core that behaves as described."""
    script = (
        "import sys; from config.demo import show; from config.demo.ai_core import *; "
        f"show.PATIENCE_S = {patience_s}; "
        f"sys.exit(show.main(keep=False, behaviour=Behaviour({behaviour})))"
    )
    ended = show(folder, "-c", script)
    return ended.returncode, ended.stdout


def read(path: Path) -> EmailMessage:
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def test_the_demo_shows_a_mail_its_journey_and_its_answer(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("EMAIL_ADDRESS=somebody@real.example\n", encoding="utf-8")
    ended = show(tmp_path, str(ROOT / "server.py"), "demo", **REAL)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "All is as it should be." in ended.stdout
    assert "not so" not in ended.stdout
    for step in ("taken", "claimed", "asking", "asked", "arrived", "answered"):
        assert re.search(rf"\+ *\d+\.\d+ s +{step} ", ended.stdout), step
    assert "The AI core is a demonstration" in ended.stdout
    assert "by which the house proves who is writing" in ended.stdout
    assert "proven_by=both" in ended.stdout
    assert "550 5.7.26 " in ended.stdout

    out = tmp_path / "demo-out"
    first, reply = read(out / "1-mail.eml"), read(out / "1-reply.eml")
    second, last = read(out / "2-mail.eml"), read(out / "2-reply.eml")
    assert reply["In-Reply-To"] == first["Message-ID"]
    assert second["In-Reply-To"] == reply["Message-ID"]
    assert last["References"].split()[0] == first["Message-ID"]
    assert "4711" in (out / "2-reply.html").read_text(encoding="utf-8")
    # The number can come from nowhere but the first mail.
    assert "4711" not in second.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_the_demo_leaves_nothing_but_what_it_says_it_saved(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    ended = show(tmp_path, str(ROOT / "server.py"), "demo", TMPDIR=str(temporary))
    assert ended.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo-out", "tmp"]
    assert list(temporary.iterdir()) == []


def test_the_demo_fails_when_the_core_forgets_the_conversation(tmp_path: Path) -> None:
    code, told = show_with(tmp_path, "forgets=True")
    assert code == 1
    assert "The demonstration failed: it is not so that it knows the first mail" in told


def test_the_demo_fails_with_a_sentence_when_no_answer_comes(tmp_path: Path) -> None:
    code, told = show_with(tmp_path, "fault=Fault.ERROR", patience_s=1)
    assert code == 1
    assert "The demonstration failed: no reply came within 1 seconds." in told
    assert re.search(r"s +claimed ", told)  # and how far it got


def test_a_reply_that_was_changed_on_its_way_is_no_longer_signed() -> None:
    key = load_pem_private_key(new_key(), password=None)
    assert isinstance(key, RSAPrivateKey)
    record = as_dns_gives_it(public_record(key))
    raw = b"From: ai@cryptomaltese.com\r\nTo: you@example.com\r\n\r\nBonjour\r\n"
    signed = Signer("cryptomaltese.com", "default", key).sign(raw, datetime.now(UTC))
    assert is_signed(signed, record)
    assert not is_signed(signed.replace(b"Bonjour", b"Bonsoir"), record)
    assert not is_signed(raw, record)


@contextmanager
def kept_house(folder: Path) -> Iterator[subprocess.Popen[str]]:
    house = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "demo", "--keep"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        yield house
    finally:
        house.kill()
        house.communicate()


def lines_until(house: subprocess.Popen[str], wanted: str) -> str:
    """What it prints, up to the line that holds `wanted`."""
    assert house.stdout is not None
    printed = ""
    for line in house.stdout:
        printed += line
        if wanted in line:
            return printed
    raise AssertionError(f"ended without {wanted!r}:\n{printed}")


def test_a_kept_demo_prints_what_comes_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with kept_house(tmp_path) as house:
        said = lines_until(house, "--body")
        port = re.search(r"swaks --server 127\.0\.0\.1:(\d+) ", said)
        assert port is not None
        mail = EmailMessage()
        mail["From"] = "you@example.com"
        mail["To"] = "ai@cryptomaltese.com"
        mail["Subject"] = "Overtime"
        mail.set_content("Hello, how is my overtime paid?")
        with smtplib.SMTP("127.0.0.1", int(port[1]), timeout=10) as client:
            client.send_message(mail)
        printed = lines_until(house, "The relay got a reply for you@example.com")
        printed += lines_until(house, "35 hours")
        assert "claimed" in printed
        house.send_signal(signal.SIGTERM)
        rest, _ = house.communicate(timeout=TIMEOUT_S)
        assert house.returncode == 0
        assert "Traceback" not in rest
