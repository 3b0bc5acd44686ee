"""Reads dialogues (see README.md) and plays the client's part in them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

FOLDER = Path(__file__).parent
PATIENCE_S = 10.0  # no answer takes as long as this

ORDINARY = {
    "ehlo": ("EHLO client.example.org", "250"),
    "tls-ready": ("STARTTLS", "220 2.0.0 "),
    "mail": ("MAIL FROM:<ada@example.org>", "250 2.1.0 "),
    "rcpt": ("RCPT TO:<ai@house.test>", "250 2.1.5 "),
    "data": ("DATA", "354 "),
}
WAYS = {
    "connect": (),
    "ehlo": ("ehlo",),
    "tls-ready": ("ehlo", "tls-ready"),
    "mail": ("ehlo", "mail"),
    "rcpt": ("ehlo", "mail", "rcpt"),
    "data": ("ehlo", "mail", "rcpt", "data"),
}


@dataclass
class Received:
    """A mail the dialogue says was received; size and raw where it tells them."""

    envelope: str
    raw: bytes | None = None
    size: int | None = None


@dataclass
class Dialogue:
    """One dialogue: its steps are (word, text) in the order of the lines."""

    title: str
    settings: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)


def dialogues() -> Iterator[tuple[str, Dialogue]]:
    """Every dialogue of the folder with its name."""
    for path in sorted(FOLDER.glob("*.txt")):
        for dialogue in parse(path.read_text("ascii")):
            yield f"{path.stem}: {dialogue.title}", dialogue


def parse(text: str) -> list[Dialogue]:
    """The dialogues of one file. Raises ValueError for a line that means nothing."""
    found: list[Dialogue] = []
    for line in text.split("\n"):
        if line.startswith("== "):
            found.append(Dialogue(line[3:]))
        elif line and not line.startswith("#"):
            _add(found[-1], line)
    return found


def _add(dialogue: Dialogue, line: str) -> None:
    word, _, text = line.partition(":")
    text = text.removeprefix(" ")
    if word == "with":
        dialogue.settings = dict(pair.split("=") for pair in text.split())
    elif word == "R":
        dialogue.received.append(Received(text))
    elif word == "R-raw":
        dialogue.received[-1].raw = octets(text)
    elif word == "R-size":
        dialogue.received[-1].size = int(text)
    elif word in _MOVES:
        dialogue.steps.append((word, text))
    else:
        raise ValueError(f"{dialogue.title}: what is {word!r}?")


def octets(text: str) -> bytes:
    """The bytes that an escaped text stands for."""
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def bytes_of(word: str, text: str) -> bytes | None:
    """What a step sends, None for steps that send nothing."""
    if word == "C":
        return text.encode("ascii") + b"\r\n"
    if word == "C-bytes":
        return octets(text)
    if word == "C-hex":
        return bytes.fromhex(text)
    if word == "C-repeat":
        times, _, what = text.partition(" ")
        return b"".join(octets(what.replace("{n}", str(n))) for n in range(int(times)))
    return None


def reset(connection: socket.socket, writer: asyncio.StreamWriter) -> None:
    """Close the connection with a TCP reset instead of a goodbye."""
    linger = struct.pack("ii", 1, 0)  # on, 0 seconds
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


class Client:
    """The peer of a dialogue."""

    def __init__(self, port: int, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def play(self, dialogue: Dialogue) -> None:
        """Walk the dialogue. AssertionError where the server says something else."""
        steps = list(dialogue.steps)
        # Sent before the loop turns: the server cannot have said anything yet.
        while steps and (early := bytes_of(*steps[0])) is not None:
            self._socket.sendall(early)
            del steps[0]
        self._socket.setblocking(False)
        self._reader, self._writer = await asyncio.open_connection(sock=self._socket)
        try:
            async with asyncio.timeout(PATIENCE_S):
                for word, text in steps:
                    await _MOVES[word](self, word, text)
        finally:
            self._writer.transport.abort()

    async def _send(self, word: str, text: str) -> None:
        self._writer.write(bytes_of(word, text) or b"")
        # Whether the server still listens is what the next S line asks.
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def _open(self, word: str, text: str) -> None:
        assert (await self._line()).startswith("220 ")
        for step in WAYS[text]:
            command, expected = ORDINARY[step]
            await self._send("C", command)
            while (line := await self._line()).startswith("250-"):
                pass
            assert line.startswith(expected), line

    async def _line(self) -> str:
        line = await self._reader.readline()
        assert line.endswith(b"\r\n"), f"no whole line: {line!r}"
        return line[:-2].decode("ascii")

    async def _expect(self, word: str, text: str) -> None:
        line = await self._line()
        assert fnmatchcase(line, text), f"{line!r} is not {text!r}"

    async def _expect_many(self, word: str, text: str) -> None:
        times, _, pattern = text.partition(" ")
        for _ in range(int(times)):
            await self._expect(word, pattern)

    async def _expect_end(self, word: str, text: str) -> None:
        assert await self._reader.read(1) == b""

    async def _tls(self, word: str, text: str) -> None:
        await self._writer.start_tls(self._trusted, server_hostname="localhost")

    async def _shutdown(self, word: str, text: str) -> None:
        self._writer.write_eof()

    async def _close(self, word: str, text: str) -> None:
        self._writer.close()

    async def _reset(self, word: str, text: str) -> None:
        reset(self._socket, self._writer)


_MOVES = {
    "open": Client._open,
    "C": Client._send,
    "C-bytes": Client._send,
    "C-hex": Client._send,
    "C-repeat": Client._send,
    "C-shutdown": Client._shutdown,
    "C-close": Client._close,
    "C-reset": Client._reset,
    "C-tls": Client._tls,
    "S": Client._expect,
    "S-repeat": Client._expect_many,
    "S-end": Client._expect_end,
}
