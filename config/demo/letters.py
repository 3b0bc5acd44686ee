"""The two mails of the demonstration, made as a mail client makes them. Pure but for their ids."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

AUTHOR_NAME = "Camille Laurent"
DOMAIN = "example.com"
AUTHOR = f"camille.laurent@{DOMAIN}"
FORGER = "somebody@else.example"  # the envelope sender of the forged mail
FILE_NUMBER = "4711"  # what the follow-up asks for, said in the first mail only
SIGNED_ON = "3 mars 2022"  # stands in the attached file only

FIRST_SUBJECT = "Préavis après un licenciement"
FIRST_TEXT = f"""\
Bonjour,

je m'appelle {AUTHOR_NAME} et mon numéro de dossier est le {FILE_NUMBER}. J'ai été
licenciée après plus de deux ans dans l'entreprise ; mon contrat est joint.
Quel est mon préavis ?

Merci d'avance,
{AUTHOR_NAME}
"""
CONTRACT = f"""\
CONTRAT DE TRAVAIL À DURÉE INDÉTERMINÉE
Signé le {SIGNED_ON} entre la société Exemple et {AUTHOR_NAME}.
"""
FOLLOW_UP_TEXT = f"""\
Bonjour,

merci pour cette réponse. Pour mon courrier à l'employeur : quel numéro de
dossier vous ai-je donné, et à quel nom ?

{AUTHOR_NAME}
"""


def question(to: str, now: datetime) -> EmailMessage:
    """The first mail: text and HTML alternatives, and an attached text file."""
    mail = _begun(to, FIRST_SUBJECT, now)
    mail.set_content(FIRST_TEXT)
    paragraphs = "".join(f"<p>{part}</p>" for part in FIRST_TEXT.strip().split("\n\n"))
    mail.add_alternative(f"<!DOCTYPE html><html><body>{paragraphs}</body></html>", subtype="html")
    mail.add_attachment(CONTRACT, filename="contrat.txt")
    return mail


def follow_up(reply: EmailMessage, now: datetime) -> EmailMessage:
    """An answer to the reply, in its thread, quoting what was new in it."""
    subject = str(reply["Subject"])
    mail = _begun(str(reply["From"]), subject, now)
    mail["In-Reply-To"] = str(reply["Message-ID"])
    mail["References"] = " ".join([str(reply["References"] or ""), str(reply["Message-ID"])])
    body = reply.get_body(("plain",))
    lines = body.get_content().splitlines() if body else []
    # Quoted twice, the first mail would stand in the follow-up, which must not hold its facts.
    quoted = "".join(f"> {line}\n" for line in lines if not line.startswith(">"))
    on = f"{now:%d/%m/%Y %H:%M}"
    mail.set_content(f"{FOLLOW_UP_TEXT}\nLe {on}, {reply['From']} a écrit :\n\n{quoted}")
    return mail


def forgery(to: str, now: datetime) -> EmailMessage:
    """A mail in the author's name by somebody else: nothing in it looks wrong."""
    mail = _begun(to, FIRST_SUBJECT, now)
    mail.set_content(FIRST_TEXT)
    return mail


def _begun(to: str, subject: str, now: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = f"{AUTHOR_NAME} <{AUTHOR}>"
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=DOMAIN)
    return mail
