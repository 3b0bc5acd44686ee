"""The servers the other tests lean on do what they are trusted with."""

from __future__ import annotations

import base64
import smtplib
import socket
import subprocess

import asyncpg
import dkim
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.servers.opendkim import OpenDkim
from tests.servers.postfix import PostfixRelay
from tests.servers.postgres import PostgresServer, database_name
from tests.servers.process import (
    HOST,
    NotInstalled,
    Server,
    ServerTrouble,
    find_program,
    free_port,
    greeting,
)
from tests.servers.redis import RedisServer
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tls import TlsFiles

MAIL = b"From: Ada <ada@us.example>\r\nTo: b@example.com\r\nSubject: Hello\r\n\r\nHi.\r\n"


class Absent(Server):
    name = "no-such-server"


class Broken(Server):
    """Says why, and ends."""

    name = "sh"

    def command(self) -> list[str]:
        return [find_program("sh"), "-c", "echo the disk is on fire; exit 3"]

    def answers(self) -> bool:
        return False


def test_a_server_that_is_not_installed_says_so() -> None:
    with pytest.raises(NotInstalled, match="no-such-server is not installed"):
        Absent()


def test_a_server_that_ends_while_starting_shows_its_log() -> None:
    with pytest.raises(ServerTrouble, match="the disk is on fire"):
        Broken().start()


def test_a_free_port_is_given_once_and_can_be_bound() -> None:
    ports = {free_port() for _ in range(50)}
    assert len(ports) == 50
    for port in ports:
        with socket.socket() as listener:
            listener.bind((HOST, port))


def test_a_server_leaves_nothing_behind() -> None:
    with RedisServer() as server:
        folder, pid, port = server.folder, server.pid, server.port
        assert folder.is_dir()
    assert not folder.exists()
    assert not psutil.pid_exists(pid)
    assert greeting(port, b"PING\r\n") == b""


def test_a_killed_redis_comes_back_on_its_port_and_has_forgotten_everything() -> None:
    with RedisServer() as server:
        assert greeting(server.port, b"SET a b\r\n") == b"+OK\r\n"
        server.kill()
        assert greeting(server.port, b"PING\r\n") == b""
        server.start()
        assert greeting(server.port, b"GET a\r\n") == b"$-1\r\n"


def test_an_append_only_redis_remembers() -> None:
    with RedisServer(append_only=True) as server:
        assert greeting(server.port, b"SET a b\r\n") == b"+OK\r\n"
        server.stop()
        server.start()
        assert greeting(server.port, b"GET a\r\n") == b"$1\r\nb\r\n"


def test_a_paused_redis_takes_connections_and_says_nothing(redis_server: RedisServer) -> None:
    redis_server.pause()
    try:
        assert greeting(redis_server.port, b"PING\r\n", timeout_s=0.2) == b""
    finally:
        redis_server.resume()
    assert greeting(redis_server.port, b"PING\r\n") == b"+PONG\r\n"


async def test_databases_are_apart_and_made_from_a_template(
    postgres_server: PostgresServer,
) -> None:
    first = await postgres_server.new_database()
    await execute(first, "CREATE TABLE mails (id text)")
    copy = await postgres_server.new_database(template=database_name(first))
    await execute(copy, "INSERT INTO mails VALUES ('a')")
    assert await execute(first, "SELECT FROM mails") == "SELECT 0"
    assert await execute(copy, "SELECT FROM mails") == "SELECT 1"


async def test_a_test_has_a_database_of_its_own(postgres_url: str) -> None:
    assert await execute(postgres_url, "CREATE TABLE mails (id text)") == "CREATE TABLE"


async def test_a_killed_durable_postgres_has_what_was_committed(
    durable_postgres_server: PostgresServer,
) -> None:
    server = durable_postgres_server
    url = await server.new_database()
    assert await execute(url, "SELECT WHERE current_setting('fsync') = 'on'") == "SELECT 1"
    await execute(url, "CREATE TABLE mails (id text)")
    server.kill()
    server.start()
    assert await execute(url, "SELECT FROM mails") == "SELECT 0"


async def execute(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return str(await connection.execute(statement, timeout=10))
    finally:
        await connection.close(timeout=10)


def test_the_sink_keeps_each_mail_with_its_envelope(smtp_sink: SmtpSink) -> None:
    smtp_sink.clear()
    with smtplib.SMTP(HOST, smtp_sink.port, timeout=10) as client:
        client.sendmail("a@us.example", ["b@example.com", "c@example.com"], MAIL)
        client.sendmail("", ["d@example.com"], MAIL)
    second, first = sorted(smtp_sink.wait_for(2), key=lambda mail: mail.mail_from)
    assert (first.mail_from, first.rcpt_to) == ("a@us.example", ("b@example.com", "c@example.com"))
    assert (second.mail_from, second.rcpt_to) == ("", ("d@example.com",))
    assert first.raw == MAIL.replace(b"\r\n", b"\n")


def test_the_load_generator_reaches_the_sink(smtp_sink: SmtpSink) -> None:
    smtp_sink.clear()
    load = ["-s", "3", "-m", "12", "-l", "30000", f"{HOST}:{smtp_sink.port}"]
    subprocess.run([find_program("smtp-source"), *load], check=True, timeout=30)
    assert all(len(mail.raw) > 29000 for mail in smtp_sink.wait_for(12))


def send(port: int, tls: TlsFiles | None) -> None:
    with smtplib.SMTP("localhost", port, timeout=10) as client:
        if tls:
            client.starttls(context=tls.client_context())
        client.sendmail("ai@us.example", ["b@example.com"], MAIL)


def test_the_relay_takes_mail_by_tls_and_passes_it_on(
    postfix_relay: PostfixRelay, smtp_sink: SmtpSink, tls_files: TlsFiles
) -> None:
    smtp_sink.clear()
    send(postfix_relay.port, tls_files)
    context = tls_files.client_context()
    with smtplib.SMTP_SSL("localhost", postfix_relay.tls_port, context=context) as client:
        client.sendmail("ai@us.example", ["b@example.com"], MAIL)
    send(postfix_relay.plain_port, None)
    assert [mail.mail_from for mail in smtp_sink.wait_for(3)] == ["ai@us.example"] * 3


def test_the_plain_port_of_the_relay_offers_no_tls(
    postfix_relay: PostfixRelay, tls_files: TlsFiles
) -> None:
    with pytest.raises(smtplib.SMTPNotSupportedError):
        send(postfix_relay.plain_port, tls_files)


def test_a_holding_relay_keeps_mail_until_it_may_send(
    postfix_relay: PostfixRelay, smtp_sink: SmtpSink, tls_files: TlsFiles
) -> None:
    smtp_sink.clear()
    with postfix_relay.holding():
        send(postfix_relay.port, tls_files)
        assert len(postfix_relay.queued()) == 1
        assert smtp_sink.mails() == []
    assert len(smtp_sink.wait_for(1)) == 1


def test_a_refusing_and_a_deferring_relay_say_so_and_then_take_mail_again(
    postfix_relay: PostfixRelay, smtp_sink: SmtpSink, tls_files: TlsFiles
) -> None:
    smtp_sink.clear()
    for behaving, code in ((postfix_relay.refusing, 550), (postfix_relay.deferring, 450)):
        with behaving(), pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
            send(postfix_relay.port, tls_files)
        assert refusal.value.recipients["b@example.com"][0] == code
    send(postfix_relay.port, tls_files)
    assert len(smtp_sink.wait_for(1)) == 1


def test_opendkim_tells_a_good_signature_from_a_broken_one(opendkim: OpenDkim) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
    records = {"s1._domainkey.us.example": record}
    signed = dkim.sign(MAIL, b"s1", b"us.example", private) + MAIL
    assert opendkim.verify(signed, records).passed
    assert opendkim.verify(signed.replace(b"Hi.", b"Ha."), records).result == "fail"
    assert opendkim.verify(MAIL, records).result == "none"
    assert opendkim.verify(signed, {}).result == "temperror"


@pytest.mark.parametrize("program", ["swaks", "strace", "smtp-source"])
def test_a_tool_is_found_where_it_is_installed(program: str) -> None:
    try:
        assert find_program(program).endswith(f"/{program}")
    except NotInstalled as reason:
        pytest.skip(str(reason))
