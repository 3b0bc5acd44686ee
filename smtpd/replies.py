"""Every sentence we can say to a peer, and nothing else.

The text is public: it never names a host, a setting, a rule's threshold or an
exception. What we know beyond it goes to the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

LINE_MAX = 400  # RFC 5321 section 4.5.3.1.5 says 512 for all of it, codes and CRLF included


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply (RFC 5321 section 4.2) with its enhanced code (RFC 3463).

    Raises ValueError at birth when the two codes disagree on the class, or when
    one of its lines is no line of printable text.
    """

    code: int
    enhanced: str
    text: str
    further: tuple[str, ...] = ()  # lines behind the first

    def __post_init__(self) -> None:
        if str(self.code)[0] != self.enhanced[0]:
            raise ValueError(f"{self.code} and {self.enhanced} disagree on the class")
        for line in (self.text, *self.further):
            if not (line.isascii() and line.isprintable() and len(line) <= LINE_MAX):
                raise ValueError("a line of a reply is printable ASCII text, and not too long")

    def __str__(self) -> str:
        *lines, last = (self.text, *self.further)
        before = "".join(f"{self.code}-{self.enhanced} {line}\r\n" for line in lines)
        return f"{before}{self.code} {self.enhanced} {last}"

    @property
    def temporary(self) -> bool:
        return self.code // 100 == 4

    def for_ticket(self, ticket_id: str) -> Reply:
        """The same reply, naming the ticket the mail was kept under."""
        return replace(self, text=f"{self.text} as {ticket_id}")

    def with_reference(self, arrival_id: str) -> Reply:
        """The same reply, naming what our log calls the mail that was not taken."""
        return replace(self, further=(*self.further, f"Reference: {arrival_id}"))


# Taken.
QUEUED = Reply(250, "2.0.0", "Message taken")
SENDER_OK = Reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient ok")

# Part of every conversation.
OK = Reply(250, "2.0.0", "Ok")
HELP = Reply(214, "2.0.0", "See RFC 5321")
READY_FOR_TLS = Reply(220, "2.0.0", "Ready to start TLS")
GOODBYE = Reply(221, "2.0.0", "Goodbye")
WILL_NOT_VERIFY = Reply(252, "2.0.0", "Send the mail and see")
CLOSING_DOWN = Reply(421, "4.3.2", "The service is closing, please try again later")
IDLE_TOO_LONG = Reply(421, "4.4.2", "Nothing was heard for too long, closing the connection")
SESSION_TOO_LONG = Reply(421, "4.4.2", "This session lasts too long, please connect again")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, closing the connection")
MAKING_ROOM = Reply(421, "4.3.2", "Others wait for this idle connection, please connect again")

# A command we cannot take.
LINE_TOO_LONG = Reply(500, "5.5.2", "The command line is too long")
UNKNOWN_COMMAND = Reply(500, "5.5.1", "That is no command known here")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "That command is not offered here")
BAD_SYNTAX = Reply(501, "5.5.2", "Syntax error in the command")
BAD_PARAMETER = Reply(501, "5.5.4", "Syntax error in a parameter")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "That parameter is not offered here")
HELLO_FIRST = Reply(503, "5.5.1", "Send EHLO or HELO first")
MAIL_FIRST = Reply(503, "5.5.1", "Send MAIL first")
NESTED_MAIL = Reply(503, "5.5.1", "A mail is under way already")
RECIPIENT_FIRST = Reply(503, "5.5.1", "Send RCPT first, with a recipient that is known here")
TLS_ALREADY = Reply(503, "5.5.1", "This connection is in TLS already")

# Not now.
NO_DNS_ANSWER = Reply(
    451,
    "4.4.3",
    "DNS did not tell enough to prove who wrote this mail, please try again later",
)
SCANNER_AWAY = Reply(451, "4.3.0", "The mail could not be scanned, please try again later")
TROUBLE_HERE = Reply(451, "4.3.0", "Local trouble, please try again later")
TOO_BUSY = Reply(452, "4.3.1", "Too much mail at once, please try again later")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients")
NO_ROOM = Reply(452, "4.3.1", "No room for mail at the moment, please try again later")
TOO_MUCH_WAITS = Reply(451, "4.3.2", "Too much mail waits here already, please try again later")
TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections, please try again later")
TOO_MANY_FROM_ADDRESS = Reply(
    421, "4.7.0", "Too many connections from your address, please try again later"
)
TOO_MANY_FROM_NETWORK = Reply(
    421, "4.7.0", "Too many connections from your network, please try again later"
)
TOO_SLOW = Reply(421, "4.4.2", "The message arrives too slowly, closing the connection")
STILL_TOO_BIG = Reply(421, "4.3.4", "The message does not end, closing the connection")

# Not ever.
BAD_ADDRESS = Reply(553, "5.1.3", "That is not an address we can read")
BAD_SENDER = Reply(553, "5.1.7", "That is not a sender's address we can read")
ADDRESS_NOT_ASCII = Reply(553, "5.6.7", "Addresses outside ASCII are not supported here")
NO_SUCH_USER = Reply(550, "5.1.1", "No such user here")
TOO_BIG = Reply(552, "5.3.4", "The message is larger than we take")
BARE_LINE_END = Reply(
    554, "5.6.11", "Lines must end with CR LF: the message holds a CR or LF alone"
)
LOOP = Reply(554, "5.4.6", "Routing loop detected")
IMPROPER_PIPELINING = Reply(554, "5.5.0", "Input arrived before its turn")
OUR_NAME = Reply(550, "5.7.1", "This server sends the mail of that domain itself")
SENDER_BLOCKED = Reply(550, "5.7.1", "Mail from this sender is not accepted here")
SENDER_NOT_ALLOWED = Reply(550, "5.7.1", "Only known senders are accepted here")
NO_SINGLE_AUTHOR = Reply(
    550, "5.6.0", "There must be one From field with exactly one mail address in it"
)
UNPROVEN = Reply(
    550,
    "5.7.26",
    "We could not prove that this mail comes from the domain in its From field: it has no DKIM "
    "signature of that domain, and no SPF record of that domain names the server that sends "
    "it. Please ask your mail service to set up DKIM or SPF for your domain",
)
UNPROVEN_BROKEN = Reply(
    550,
    "5.7.26",
    "We could not prove that this mail comes from the domain in its From field: its DKIM "
    "signature does not verify, and no SPF record of that domain names the server that sends "
    "it. Please ask your mail service to correct its DKIM key or its SPF record",
)
UNPROVEN_OTHER = Reply(
    550,
    "5.7.26",
    "We could not prove that this mail comes from the domain in its From field: its DKIM or SPF "
    "proves another domain. Please ask your mail service to sign with DKIM for your own domain",
)
NULL_MX = Reply(550, "5.7.27", "The sender's domain says that it takes no mail")
VIRUS = Reply(554, "5.7.1", "The mail carries what a virus scanner knows")
SPAM = Reply(550, "5.7.1", "The mail looks too much like spam")
HEADERS_TOO_LARGE = Reply(552, "5.3.4", "The header section is larger than we take")

# What a person may have to read, in the languages of our templates. SMTP replies are ASCII
# (RFC 5321 section 4.2.1), so the words are chosen that need no accent.
_TRANSLATED: Mapping[str, Mapping[Reply, str]] = {
    "fr": {
        UNPROVEN: "Rien ne prouve que ce message vient du domaine de son champ From : il ne porte "
        "pas de signature DKIM de ce domaine, et aucun enregistrement SPF du domaine ne nomme le "
        "serveur d'envoi. Demandez au service qui envoie vos messages de mettre en place DKIM "
        "ou SPF pour votre domaine",
        UNPROVEN_BROKEN: "Rien ne prouve que ce message vient du domaine de son champ From : sa "
        "signature DKIM n'est pas valable, et aucun enregistrement SPF du domaine ne nomme le "
        "serveur d'envoi. Demandez au service qui envoie vos messages de corriger sa clef DKIM "
        "ou son enregistrement SPF",
        UNPROVEN_OTHER: "Rien ne prouve que ce message vient du domaine de son champ From : DKIM "
        "ou SPF y prouve un autre domaine. Demandez au service qui envoie vos messages de les "
        "signer avec DKIM pour votre propre domaine",
    }
}


def translated(reply: Reply, language: str) -> Reply:
    """The reply with a further line in this language, where it has one."""
    line = _TRANSLATED.get(language, {}).get(reply)
    return replace(reply, further=(*reply.further, line)) if line else reply


# By the first line: further ones say the same in another language, or name a reference.
_KINDS = {
    (reply.code, reply.enhanced, reply.text): name.lower()
    for name, reply in globals().items()
    if isinstance(reply, Reply)
}
KINDS = frozenset(_KINDS.values())


def kind_of(reply: Reply) -> str:
    """The reply's name in lower case: what the log and the counters call it by."""
    return _KINDS.get((reply.code, reply.enhanced, reply.text), "other")
