"""The HTTP API of a running house: the stop switch by it, and its end."""

from __future__ import annotations

import json
import signal
import socket
from http.client import HTTPConnection
from typing import Any, Self

import pytest

from tests.end_to_end.conftest import Street
from tests.end_to_end.core import Core
from tests.end_to_end.house import House, until
from tests.end_to_end.sink_mail import replies, wait_for_replies
from tests.end_to_end.writers import send, write_many
from tests.servers.process import HOST, free_port
from tests.servers.smtp_sink import SmtpSink


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, street: Street) -> House:
    """A house with an API, on each database."""
    more = {}
    if request.param == "postgresql":
        more["database_url"] = request.getfixturevalue("database_url")
    return street.open(api_port=free_port(), **more)


def api_port(house: House) -> int:
    return int(house.settings["API_PORT"])


def heard(house: House, event: str) -> list[dict[str, Any]]:
    return [one for one in house.events() if one["event"] == event]


def new_key(house: House, *scopes: str) -> str:
    words = [word for scope in scopes for word in ("--scope", scope)]
    code, said = house.command_line("api-key", "make", "test", *words)
    assert code == 0, said
    return said.split()[0]


class Client:
    """One kept connection."""

    def __init__(self, house: House, key: str) -> None:
        until(lambda: bool(heard(house, "api_listening")), what="the API is up")
        self.connection = HTTPConnection(HOST, api_port(house), timeout=30)
        self.headers = {"Authorization": f"Bearer {key}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str = "") -> dict[str, Any]:
        self.connection.request(method, f"/api/v1/sending{path}", headers=self.headers)
        response = self.connection.getresponse()
        told: dict[str, Any] = json.loads(response.read())
        return {"status": response.status, **told}


def test_stopped_by_the_api_nothing_is_sent_until_it_resumes(
    house: House, sink: SmtpSink, core: Core
) -> None:
    key = new_key(house, "read", "operate")
    with Client(house, key) as client:
        assert client.ask("GET")["stopped"] is False
        assert client.ask("POST", "/stop")["changed"] is True
        until(lambda: bool(heard(house, "sending_stopped")), what="the workers know")
        mails = write_many(5)
        assert {sent.code for sent in send(house.port, mails)} == {250}
        seen = client.ask("GET")
        assert (seen["stopped"], seen["waiting"], seen["leaving"]) == (True, 5, 0)
        # The command and the API are one switch.
        code, said = house.command_line("stop-sending")
        assert (code, said.startswith("Sending was stopped already")) == (0, True)
        assert (replies(sink), core.count) == ([], 0)
        (house.data_folder / "stop-sending").touch()
        assert client.ask("POST", "/resume")["changed"] is True
        assert not (house.data_folder / "stop-sending").exists()
        house.wait_for(answered=5)
        assert len(wait_for_replies(sink, 5)) == 5
        assert client.ask("POST", "/resume")["changed"] is False
        assert {one["key"] for one in heard(house, "api_used")} == {key[4:12]}
        assert key not in house.log_text()


def test_a_revoked_key_opens_nothing_from_the_next_request_on(street: Street) -> None:
    house = street.open(api_port=free_port())
    key = new_key(house, "read")
    with Client(house, key) as client:
        assert client.ask("GET")["status"] == 200
        assert house.command_line("api-key", "revoke", key.split("_")[1])[0] == 0
        assert client.ask("GET")["status"] == 401
        until(lambda: bool(heard(house, "api_refused")), what="the refusal is on the log")


def test_the_house_drains_though_a_client_keeps_its_connection(street: Street) -> None:
    house = street.open(api_port=free_port())
    with Client(house, new_key(house, "read")) as client:
        assert client.ask("GET")["status"] == 200
        house.stop()
        assert house.exit_code == 0
        assert [one["event"] for one in house.events()][-1] == "stopped"
        assert client.connection.sock is not None
        assert client.connection.sock.recv(1) == b""


def test_the_api_answers_until_the_mail_has_drained(
    street: Street, core: Core, sink: SmtpSink
) -> None:
    core.behave(delay_s=3)
    house = street.open(api_port=free_port(), drain_timeout=20)
    with Client(house, new_key(house, "read")) as client:
        send(house.port, write_many(1))
        until(lambda: core.count == 1, what="the AI core was asked")
        assert house._process is not None
        house._process.send_signal(signal.SIGTERM)
        until(lambda: bool(heard(house, "draining")), what="it drains")
        assert client.ask("GET")["status"] == 200
        assert [one["event"] for one in house.events()].count("answered") == 0
    assert house.wait_for_the_end() == 0
    assert len(replies(sink)) == 1


def test_a_taken_port_keeps_no_mail_from_its_answer(street: Street, sink: SmtpSink) -> None:
    port = free_port()
    with socket.create_server((HOST, port)):
        house = street.open(api_port=port)
        [away] = heard(house, "api_away")
        assert "API_PORT cannot be bound" in away["because"]
        send(house.port, write_many(1))
        house.wait_for(answered=1)
    with Client(house, new_key(house, "read")) as client:
        assert client.ask("GET")["status"] == 200
    assert len(heard(house, "api_away")) == 1


def test_without_a_port_there_is_no_api(street: Street) -> None:
    house = street.open()
    house.stop()
    assert house.exit_code == 0
    assert [one for one in house.events() if one["event"].startswith("api")] == []
