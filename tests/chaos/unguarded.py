"""The house with its compare-and-set taken out: proof that the campaign's count can fail.

Started like server.py. Whoever claimed a mail once goes on with it, whoever took it over
meanwhile. Nothing of the product can be told to run so.
"""

from __future__ import annotations

import sys
from typing import Any

from sqlalchemy import Connection, Select, Update, select

from handlers.letter import Claim
from handlers.store import claiming
from handlers.store.models import MAIL


def _advance(
    connection: Connection, claimed: Claim, statement: Update = claiming.ADVANCE, **values: Any
) -> None:
    connection.execute(statement, {**_newest(connection, claimed), **values})


def _held(connection: Connection, claimed: Claim, query: Select[*tuple[Any, ...]]) -> Any:
    return connection.execute(query, _newest(connection, claimed)).one()


def _newest(connection: Connection, claimed: Claim) -> dict[str, Any]:
    """The parameters of a claim that is never out of date."""
    newest = select(MAIL.c.claim).where(MAIL.c.id == claimed.id)
    return {"mail": claimed.id, "number": connection.execute(newest).scalar_one()}


if __name__ == "__main__":
    claiming.advance = _advance
    claiming.held = _held

    # Not earlier: other modules take the name when they are loaded.
    import server

    sys.exit(server.main(sys.argv[1:]))
