"""Our signature as other verifiers see it, and the key's file."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from handlers.signing import OVERSIGNED, Signer, load_key, public_record
from tests.keys import new_key_file, published
from tests.servers.opendkim import OpenDkim

NOW = datetime(2025, 6, 2, 9, 30, tzinfo=UTC)  # verifiers refuse what is of the future
MAIL = (
    b"From: Assistant <ai@us.example>\r\nTo: camille@client.example\r\n"
    b"Subject: Re: Mes\r\n droits\r\nDate: Mon, 02 Jun 2025 09:30:00 +0000\r\n"
    b"Message-ID: <a@us.example>\r\nAuto-Submitted: auto-replied\r\nX-Other: x\r\n"
    b"\r\nBonjour  \r\n\r\n.\r\n a\tb\r\n\r\n\r\n"
)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_key_file(tmp_path_factory.mktemp("keys") / "default.pem")


@pytest.fixture(scope="module")
def key(key_file: Path) -> rsa.RSAPrivateKey:
    return load_key(key_file)


@pytest.fixture(scope="module")
def signer(key: rsa.RSAPrivateKey) -> Signer:
    return Signer("us.example", "default", key)


def verifies(raw: bytes, key: rsa.RSAPrivateKey) -> bool:
    def answer(name: bytes, timeout: float = 5) -> bytes | None:
        return published(key).encode() if name == b"default._domainkey.us.example." else None

    try:
        return bool(dkim.DKIM(raw, minkey=2048).verify(dnsfunc=answer))
    except dkim.DKIMException:
        return False


def test_dkimpy_accepts_our_signature(signer: Signer, key: rsa.RSAPrivateKey) -> None:
    signed = signer.sign(MAIL, NOW)
    assert signed.endswith(b"\r\n" + MAIL)
    assert verifies(signed, key)


def test_opendkim_accepts_our_signature(
    signer: Signer, key: rsa.RSAPrivateKey, opendkim: OpenDkim
) -> None:
    found = opendkim.verify(
        signer.sign(MAIL, NOW), {"default._domainkey.us.example": published(key)}
    )
    assert found.passed, found.said


def test_the_field_says_what_was_agreed(signer: Signer) -> None:
    field = signer.sign(MAIL, NOW).partition(b"\r\nFrom:")[0].decode()
    assert all(len(line) <= 78 for line in field.split("\r\n"))
    tags = dict(
        part.strip().split("=", 1)
        for part in re.sub(r"\s+", " ", field).removeprefix("DKIM-Signature:").split(";")
    )
    assert (tags["a"], tags["c"]) == ("rsa-sha256", "relaxed/relaxed")
    assert (tags["d"], tags["s"], tags["t"]) == ("us.example", "default", str(int(NOW.timestamp())))
    names = tags["h"].replace(" ", "").split(":")
    assert names.count("from") == names.count("auto-submitted") == 2
    assert names.count("cc") == names.count("in-reply-to") == 1
    assert "x-other" not in names


@pytest.mark.parametrize("name", OVERSIGNED)
def test_a_field_added_on_the_way_breaks_the_signature(
    name: bytes, signer: Signer, key: rsa.RSAPrivateKey
) -> None:
    signed = signer.sign(MAIL, NOW)
    assert not verifies(name + b": other\r\n" + signed, key)
    assert not verifies(signed.replace(b"\r\n\r\n", b"\r\n" + name + b": other\r\n\r\n", 1), key)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Bonjour", b"Bonsoir"),
        (b"camille@", b"mallory@"),
        (b"Re: Mes", b"Re: Vos"),
        (b"auto-replied", b"no"),
        (b"t=1748", b"t=1747"),
    ],
)
def test_a_change_on_the_way_breaks_the_signature(
    old: bytes, new: bytes, signer: Signer, key: rsa.RSAPrivateKey
) -> None:
    signed = signer.sign(MAIL, NOW)
    assert old in signed
    assert not verifies(signed.replace(old, new), key)


def test_white_space_that_relays_change_does_not(signer: Signer, key: rsa.RSAPrivateKey) -> None:
    signed = signer.sign(MAIL, NOW)
    changed = signed.replace(b"Subject: Re: Mes\r\n droits", b"SUBJECT:  Re: Mes droits ")
    assert verifies(changed.replace(b"Bonjour  ", b"Bonjour"), key)


_line = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=70)


@given(body=st.lists(_line, max_size=8), subject=_line)
def test_whatever_we_write_verifies(
    signer: Signer, key: rsa.RSAPrivateKey, body: list[str], subject: str
) -> None:
    text = "\r\n".join(body).encode()
    raw = b"From: ai@us.example\r\nSubject: " + subject.encode() + b"\r\n\r\n" + text + b"\r\n"
    assert verifies(signer.sign(raw, NOW), key)


def test_a_mail_without_a_body_verifies(signer: Signer, key: rsa.RSAPrivateKey) -> None:
    assert verifies(signer.sign(b"From: ai@us.example\r\n\r\n", NOW), key)


def test_the_lowest_of_two_equal_fields_is_signed_first(
    signer: Signer, key: rsa.RSAPrivateKey
) -> None:
    raw = b"From: ai@us.example\r\nSubject: one\r\nSubject: two\r\n\r\nx\r\n"
    assert verifies(signer.sign(raw, NOW), key)


@pytest.mark.parametrize(
    "raw",
    [b"", b"From: a@b.example\n\nx", b"no field\r\n\r\nx", b"From: a\nTo: b\r\n\r\nx"],
)
def test_what_is_no_mail_is_not_signed(raw: bytes, signer: Signer) -> None:
    with pytest.raises(ValueError, match="header section"):
        signer.sign(raw, NOW)


@pytest.mark.parametrize(
    ("domain", "selector"),
    [("us.example; l=0", "default"), ("us.example", "a\r\nX: y"), ("", "a"), ("é.example", "a")],
)
def test_a_name_that_would_end_its_tag_is_refused(
    domain: str, selector: str, key: rsa.RSAPrivateKey
) -> None:
    with pytest.raises(ValueError, match="DNS name"):
        Signer(domain, selector, key)


def test_the_record_is_cut_into_strings_a_zone_can_hold(key: rsa.RSAPrivateKey) -> None:
    strings = re.findall(r'"([^"]*)"', public_record(key))
    assert len(strings) == 2
    assert all(len(string) <= 255 for string in strings)
    assert published(key).startswith("v=DKIM1; k=rsa; p=MII")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_can_read_is_refused(mode: int, key_file: Path) -> None:
    key_file.chmod(mode)
    try:
        with pytest.raises(ValueError, match="chmod 600"):
            load_key(key_file)
    finally:
        key_file.chmod(0o600)


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no\.pem cannot be read: No such file"):
        load_key(tmp_path / "no.pem")


def short_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 (to be refused)


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b"") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no key", "no PEM key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "no RSA key"),
        (pem(short_key()), "1024 bits"),
        (pem(short_key(), b"secret"), "without a password"),
    ],
    ids=["text", "ed25519", "short", "locked"],
)
def test_a_file_with_another_thing_in_it_is_refused(
    content: bytes, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        load_key(path)
