"""Person keys: one for each person, committed before anything is sealed with it."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.store.models import PersonKey
from handlers.store.opening import insert_into
from handlers.store.sealing import KEY_BYTES, Seal
from handlers.store.transacting import reading
from handlers.store.writer import Writer

# A key is 32 bytes and its cipher object some hundred: about 4 MB in all.
_REMEMBERED = 10_000


class People:
    """Gives the seal of a person, making the key at the first mail."""

    def __init__(self, engine: AsyncEngine, writer: Writer, master: Seal) -> None:
        self._engine = engine
        self._writer = writer
        self._master = master
        self._seals: OrderedDict[str, Seal] = OrderedDict()

    async def seal(self, person: str) -> Seal:
        """The person's seal; its key is durable when this returns. Raises Temporary."""
        known = self._seals.get(person)
        if known is not None:
            self._seals.move_to_end(person)
            return known
        wrapped = self._master.close(os.urandom(KEY_BYTES), _place(person))
        stored = await self._writer.batched(make_keys, (person, wrapped))
        return self._learn(person, _opened(stored, person, self._master))

    async def known_seal(self, person: str) -> Seal | None:
        """The person's seal, or None where the key is gone: then so is what it sealed."""
        if person in self._seals:
            return self._seals[person]
        ask = partial(stored_seal, person=person, master=self._master)
        seal = await reading(self._engine, ask)
        return None if seal is None else self._learn(person, seal)

    def _learn(self, person: str, seal: Seal) -> Seal:
        self._seals[person] = seal
        if len(self._seals) > _REMEMBERED:
            self._seals.popitem(last=False)
        return seal


def stored_seal(connection: Connection, person: str, master: Seal) -> Seal | None:
    """The person's seal as the database has it, None where the key is gone."""
    query = select(PersonKey.wrapped).where(PersonKey.person == person)
    wrapped = connection.execute(query).scalar_one_or_none()
    return None if wrapped is None else _opened(wrapped, person, master)


def sure_seal(connection: Connection, person: str, master: Seal) -> Seal:
    """The person's seal; a key that is not there is made, and committed with what it seals."""
    wrapped = master.close(os.urandom(KEY_BYTES), _place(person))
    [stored] = make_keys(connection, [(person, wrapped)])
    return _opened(stored, person, master)


def _opened(wrapped: bytes, person: str, master: Seal) -> Seal:
    return Seal.of(master.open(wrapped, _place(person)))


def _place(person: str) -> str:
    return f"person_key:{person}"


def make_keys(connection: Connection, items: Sequence[tuple[str, bytes]]) -> Sequence[bytes]:
    """Store the keys that are new; give for each person the one that counts."""
    offered = dict(reversed(items))  # the first offer for a person wins
    connection.execute(
        insert_into(connection)(PersonKey).on_conflict_do_nothing(),
        [{"person": person, "wrapped": wrapped} for person, wrapped in offered.items()],
    )
    query = select(PersonKey.person, PersonKey.wrapped).where(PersonKey.person.in_(offered))
    stored = {row.person: row.wrapped for row in connection.execute(query)}
    return [stored[person] for person, _ in items]
