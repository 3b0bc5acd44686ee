"""One mail's envelope as it grows: which of MAIL and RCPT is taken, and when. No input or output.

Order of commands: RFC 5321 section 4.1.4.
"""

from __future__ import annotations

from collections.abc import Callable

from smtpd import replies
from smtpd.limits import Conduct
from smtpd.paths import recipient, sender
from smtpd.policy import RecipientClass
from smtpd.replies import Reply


class Transaction:
    """From MAIL to the end of DATA. One object lasts for a session and is reset."""

    def __init__(
        self,
        classify: Callable[[str], RecipientClass],
        conduct: Conduct,
        *,
        recipients_max: int,
        message_max_bytes: int,
    ) -> None:
        self._classify = classify
        self._conduct = conduct
        self._recipients_max = recipients_max
        self._message_max_bytes = message_max_bytes
        self.helo = ""
        self.extended = False  # the peer said EHLO
        self.mail_from: str | None = None  # "" is the null sender, None before MAIL
        self.rcpt_to: list[str] = []

    def hello(self, argument: bytes, *, extended: bool) -> bool:
        """Begin anew with the peer's name; False when that is no name."""
        name = argument.decode("latin-1")
        if not (0 < len(name) <= 255 and name.isascii() and name.isprintable()) or " " in name:
            return False
        self.helo, self.extended = name, extended
        self.reset()
        return True

    def forget(self) -> None:
        """Back to where a session begins, as after STARTTLS (RFC 3207 section 4.2)."""
        self.helo, self.extended = "", False
        self.reset()

    def reset(self) -> None:
        """Drop the envelope; who the peer is stays known."""
        self.mail_from, self.rcpt_to = None, []

    def mail(self, argument: bytes) -> Reply:
        """MAIL FROM. Raises BadPath."""
        if not self.helo:
            return replies.HELLO_FIRST
        if self.mail_from is not None:
            return replies.NESTED_MAIL
        self.mail_from = sender(argument, size_max=self._message_max_bytes, extended=self.extended)
        return replies.SENDER_OK

    def rcpt(self, argument: bytes) -> Reply:
        """RCPT TO: known addresses only, and not too many. Raises BadPath."""
        if self.mail_from is None:
            return replies.MAIL_FIRST
        address = recipient(argument)
        if self._classify(address) is RecipientClass.UNKNOWN:
            return self._conduct.refused_recipient(replies.NO_SUCH_USER)
        if address not in self.rcpt_to:
            if len(self.rcpt_to) >= self._recipients_max:
                return self._conduct.refused_recipient(replies.TOO_MANY_RECIPIENTS)
            self.rcpt_to.append(address)
            return replies.RECIPIENT_OK
        # Else a peer could say it for ever: no session ends within a transaction.
        return self._conduct.idled(replies.RECIPIENT_OK)

    def data(self, argument: bytes) -> Reply | None:
        """Why DATA cannot come now, None where it can."""
        if argument:
            return replies.BAD_SYNTAX
        if self.mail_from is None:
            return replies.MAIL_FIRST
        return None if self.rcpt_to else replies.RECIPIENT_FIRST
