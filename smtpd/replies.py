"""Every sentence we can say to a peer, and nothing else.

The text is public: it never names a host, a setting, a rule's threshold or an
exception. What we know beyond it goes to the log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply (RFC 5321 section 4.2) with its enhanced code (RFC 3463).

    Raises ValueError at birth when the two codes disagree on the class, or when
    the text is not one line of printable text.
    """

    code: int
    enhanced: str
    text: str

    def __post_init__(self) -> None:
        if str(self.code)[0] != self.enhanced[0]:
            raise ValueError(f"{self.code} and {self.enhanced} disagree on the class")
        if not (self.text.isascii() and self.text.isprintable()):
            raise ValueError("a reply is one line of printable ASCII text")

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.text}"

    @property
    def temporary(self) -> bool:
        return self.code // 100 == 4

    def for_ticket(self, ticket_id: str) -> Reply:
        """The same reply, naming the ticket the mail was kept under."""
        return replace(self, text=f"{self.text} as {ticket_id}")


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
TROUBLE_HERE = Reply(451, "4.3.0", "Local trouble, please try again later")
TOO_BUSY = Reply(452, "4.3.1", "Too much mail at once, please try again later")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients")
TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections, please try again later")
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
UNPROVEN = Reply(
    550,
    "5.7.26",
    "We could not prove that this mail is from the domain in its From field: "
    "neither SPF nor DKIM passed for it",
)
HEADERS_TOO_LARGE = Reply(552, "5.3.4", "The header section is larger than we take")
