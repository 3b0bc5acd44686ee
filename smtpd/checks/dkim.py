"""DKIM (RFC 6376, RFC 8301, RFC 8463): every signature up to the cap, by OpenSSL.

`questions` is cheap and may run anywhere; `verify` reads the whole mail and runs in the
cell. Neighbours: smtpd/checks/dkim_tags.py, smtpd/checks/dkim_canonical.py.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from config.checks_settings import ChecksSettings
from smtpd.checks.dkim_canonical import SignedMail
from smtpd.checks.dkim_tags import (
    SIGNATURE_MAX_BYTES,
    Flaw,
    Key,
    Signature,
    Tags,
    key_name,
    key_of,
    looks_like_a_key,
    names_of,
    signature_of,
    tags_of,
)
from smtpd.evidence import DkimFinding, Result
from smtpd.headers import Headers
from smtpd.questions import Answer, Answers, Kind, Question

RSA_MAX_BITS = 4096
RSA_EXPONENT_MAX = 2**32  # everybody's is 65537; the time to verify grows with its length


class DkimCaps(NamedTuple):
    """What DKIM may cost, and what is too weak."""

    signatures_max: int
    rsa_min_bits: int

    @classmethod
    def of(cls, settings: ChecksSettings) -> DkimCaps:
        """The caps that the settings say."""
        return cls(
            signatures_max=settings.dkim_signatures_max, rsa_min_bits=settings.dkim_rsa_min_bits
        )


def questions(headers: Headers, caps: DkimCaps) -> tuple[Question, ...]:
    """What DNS has to be asked for the first signatures."""
    names = []
    for value in headers.raw("dkim-signature")[: caps.signatures_max]:
        try:
            names.append(key_name(_tags(value)))
        except Flaw:
            continue
    return tuple(Question(name, Kind.TXT) for name in dict.fromkeys(names) if name)


def verify(raw: bytes, answers: Answers, caps: DkimCaps, now: float) -> tuple[DkimFinding, ...]:
    """A finding for each of the first signatures, topmost first; `now` in seconds since 1970."""
    mail = SignedMail(raw)
    return tuple(
        _finding(mail, place, answers, caps, now)
        for place in mail.signatures()[: caps.signatures_max]
    )


def _tags(value: bytes) -> Tags:
    if len(value) > SIGNATURE_MAX_BYTES:
        raise Flaw(Result.PERMERROR, "it is larger than is read")
    return tags_of(value)


def _finding(
    mail: SignedMail, place: int, answers: Answers, caps: DkimCaps, now: float
) -> DkimFinding:
    named: dict[str, str] = {}
    try:
        tags = _tags(mail.value(place))
        named = _named(tags)
        signature = signature_of(tags, now)
        answer = answers.get(Question(key_name(tags), Kind.TXT))
        key = _key(answer, signature)
        because = _objection(mail, place, signature, key, caps)
    except Flaw as flaw:
        return DkimFinding(result=flaw.result, because=flaw.because, **named)
    result = Result.FAIL if because else Result.PASS
    if key.testing:  # section 3.6.1: treated like any other, and told
        because = "; ".join(filter(None, (because, "its key says that it is a test")))
    return DkimFinding(result=result, because=because, **named)


def _named(tags: Tags) -> dict[str, str]:
    """What a signature claims, for whoever wants to know which one it was."""
    selector, domain = names_of(tags)
    return {
        "domain": domain,
        "selector": selector,
        "algorithm": tags.get(b"a", b"")[:32].decode("ascii", "replace"),
        # RFC 6008: enough of b= to tell it from the others.
        "signature": b"".join(tags.get(b"b", b"").split())[:8].decode("ascii", "replace"),
    }


def _key(answer: Answer | None, signature: Signature) -> Key:
    """The one key that DNS gave. Raises Flaw."""
    if answer is None or answer.unanswered:
        raise Flaw(Result.TEMPERROR, "DNS gave no answer about its key")
    records = [one for one in answer.texts if looks_like_a_key(one)]
    if not records:
        raise Flaw(Result.PERMERROR, "there is no key")
    # Section 3.6.2.2: of several nobody knows which one is meant.
    if len(records) > 1:
        raise Flaw(Result.PERMERROR, "there is more than one key")
    return key_of(records[0], signature)


def _objection(mail: SignedMail, place: int, signature: Signature, key: Key, caps: DkimCaps) -> str:
    """Why the mail is not the one that was signed, "" where it is. Raises Flaw."""
    verifier = _ed25519(key) if signature.key_type == "ed25519" else _rsa(key, caps)
    relaxed, length = signature.body_relaxed, signature.length
    size = len(mail.body(relaxed)) if length is not None else 0
    if length is not None and length > size:
        raise Flaw(Result.PERMERROR, "it signs more of the body than there is")
    if mail.body_hash(relaxed, length) != signature.body_hash:
        return "the body is not the one that was signed"
    signed = mail.signed(place, signature.fields, signature.header_relaxed)
    try:
        if isinstance(verifier, RSAPublicKey):
            verifier.verify(signature.data, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            # RFC 8463 section 3: what is signed is the hash.
            digest = hashes.Hash(hashes.SHA256())
            digest.update(signed)
            verifier.verify(signature.data, digest.finalize())
    except InvalidSignature:
        return "the header is not the one that was signed"
    if length is not None and length < size:
        raise Flaw(Result.POLICY, "it leaves the end of the body unsigned")
    return ""


def _rsa(key: Key, caps: DkimCaps) -> RSAPublicKey:
    """The key in the form of RFC 6376 section 3.6.1 or its erratum 3017. Raises Flaw."""
    try:
        found = serialization.load_der_public_key(key.data)
    except (ValueError, UnsupportedAlgorithm):
        raise Flaw(Result.PERMERROR, "its key cannot be read") from None
    if not isinstance(found, RSAPublicKey):
        raise Flaw(Result.PERMERROR, "its key is of another type")
    if found.key_size < caps.rsa_min_bits:
        raise Flaw(Result.POLICY, "its key is too short (RFC 8301)")
    exponent = found.public_numbers().e
    if found.key_size > RSA_MAX_BITS or exponent >= RSA_EXPONENT_MAX:
        raise Flaw(Result.PERMERROR, "its key is larger than is used")
    return found


def _ed25519(key: Key) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(key.data)
    except (ValueError, UnsupportedAlgorithm):
        raise Flaw(Result.PERMERROR, "its key cannot be read") from None
