"""The house with its compare-and-set taken out: proof that the campaign's count can fail.

Started like server.py. Whoever claimed a mail once may go on for ever, and every state
may follow every other. Nothing of the product can be told to run so.
"""

from __future__ import annotations

import sys
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from handlers.letter import Claim
from handlers.store import claiming
from handlers.store.models import EmailMessage


def _holding(claimed: Claim) -> ColumnElement[bool]:
    return EmailMessage.id == claimed.id


def _advance(
    connection: Connection, claimed: Claim, *_where: ColumnElement[bool], **values: Any
) -> None:
    connection.execute(update(EmailMessage).where(_holding(claimed)).values(**values))


if __name__ == "__main__":
    claiming.holding = _holding
    claiming.advance = _advance

    # Not earlier: other modules take the two names when they are loaded.
    import server

    sys.exit(server.main(sys.argv[1:]))
