"""What the mutations of each target start from: input that it understands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.dialogs.script import bytes_of, dialogues
from tests.fuzz.proof_targets import PROOF_SEEDS

FOUND = Path(__file__).parent / "found"
MAILS = Path(__file__).parent.parent / "mails"
SEED_MAX_BYTES = 32768


def seeds(target: str) -> list[bytes]:
    """The target's own, after what was found; every mail where it has none."""
    own = PROOF_SEEDS.get(target) or SEEDS.get(target, _mails)()
    return [*found(target), *own, b""]


def found(target: str) -> list[bytes]:
    """Inputs that this target once failed on."""
    return [path.read_bytes() for path in sorted((FOUND / target).glob("*.bin"))]


def _mails() -> list[bytes]:
    mails = [path.read_bytes() for path in sorted(MAILS.glob("*.eml"))]
    on_the_wire = [mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for mail in mails]
    return [mail[:SEED_MAX_BYTES] for mail in on_the_wire]


def _messages() -> list[bytes]:
    """Behind two octets that decide the cuts: mail up to its dot, and all that clients say."""
    ended = {b"%s\r\n.\r\nQUIT\r\n" % mail for mail in _mails()}
    said = {
        block[:SEED_MAX_BYTES]
        for _, dialogue in dialogues()
        for step in dialogue.steps
        if (block := bytes_of(*step)) and b"." in block
    }
    return [b"\0\1" + wire for wire in sorted(ended | said)]


def _proxy_headers() -> list[bytes]:
    signature, ports = bytes.fromhex("0d0a0d0a000d0a515549540a"), bytes.fromhex("dd3f0019")
    four = bytes.fromhex("cb007107 c6336401") + ports
    six = bytes.fromhex("20010db8").ljust(16, b"\0") * 2 + ports
    return [
        b"PROXY TCP4 203.0.113.7 198.51.100.1 56639 25\r\nEHLO mx.example\r\n",
        b"PROXY TCP6 2001:db8::7 ::ffff:198.51.100.1 56639 25\r\n",
        b"PROXY UNKNOWN\r\n",
        signature + bytes.fromhex("2111000c") + four,
        signature + bytes.fromhex("21210029") + six + bytes.fromhex("0400020000"),
        signature + bytes.fromhex("20000000"),
    ]


SEEDS: Mapping[str, Callable[[], Iterable[bytes]]] = {
    "headers": _mails,
    "message": _messages,
    "proxy": _proxy_headers,
}
