"""People's accounts, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from handlers.store import users
from handlers.store.explaining import ERASED
from handlers.store.store import SqlStore
from handlers.store.users import Account, Standing, Status
from tests.arrivals import mail
from tests.stores import claimed, erase, keep, letter, step

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADA, BOB, EVE = (f"{name}@example.org" for name in ("ada", "bob", "eve"))


async def writes(store: SqlStore, address: str) -> None:
    """A mail of this person is kept and read."""
    claim = await claimed(store, await keep(store, mail(sender=address)))
    name = address.partition("@")[0].title()
    read = replace(letter("Hello"), sender=address, sender_name=name)
    await store.remember(claim, await store.fetch(claim), read)


async def account(store: SqlStore, address: str) -> Account | None:
    person = store._hasher.address(address)
    return await step(store, partial(users.account, person=person, master=store._master))


async def accounts(store: SqlStore, status: Status | None = None, limit: int = 10) -> list[str]:
    asked = partial(users.accounts, master=store._master, status=status, limit=limit)
    return [one.address for one in await step(store, asked)]


async def change(store: SqlStore, address: str, **changes: object) -> bool:
    person = store._hasher.address(address)
    return await step(store, partial(users.change, person=person, changes=changes))


async def create(store: SqlStore, address: str) -> None:
    person = store._hasher.address(address)
    made = partial(users.create, person=person, address=address, master=store._master, now=NOW)
    await step(store, made)


async def test_whoever_wrote_has_an_account(store: SqlStore) -> None:
    assert await account(store, ADA) is None
    await writes(store, ADA)
    await writes(store, ADA)
    found = await account(store, "ADA@example.org")
    assert found is not None
    assert (found.address, found.name, found.mails, found.answers) == (ADA, "Ada", 2, 0)
    assert (found.status, found.language, found.format) == (Status.NORMAL, "", "")


async def test_accounts_are_listed_newest_first_and_by_status(store: SqlStore) -> None:
    for address in (ADA, BOB, EVE):
        await writes(store, address)
    await change(store, BOB, status="vip")
    assert await accounts(store) == [EVE, BOB, ADA]
    assert await accounts(store, limit=1) == [EVE]
    assert await accounts(store, Status.VIP) == [BOB]


async def test_what_is_changed_is_changed_for_one_person_alone(store: SqlStore) -> None:
    for address in (ADA, BOB):
        await writes(store, address)
    assert await change(store, ADA, status="stopped", answers_per_hour=3)
    found, other = await account(store, ADA), await account(store, BOB)
    assert found is not None
    assert (found.status, found.answers_per_hour) == (Status.STOPPED, 3)
    assert other is not None
    assert (other.status, other.answers_per_hour) == (Status.NORMAL, None)
    assert not await change(store, EVE, status="vip")


async def test_an_account_can_be_made_before_the_first_mail(store: SqlStore) -> None:
    await create(store, ADA)
    assert await change(store, ADA, status="vip")
    await writes(store, ADA)
    found = await account(store, ADA)
    assert found is not None
    assert (found.address, found.status, found.mails) == (ADA, Status.VIP, 1)


async def test_making_an_account_that_is_there_changes_nothing(store: SqlStore) -> None:
    await writes(store, ADA)
    before = await account(store, ADA)
    await create(store, ADA)
    assert await account(store, ADA) == before


async def test_an_erased_person_is_listed_without_words(store: SqlStore) -> None:
    for address in (ADA, BOB):
        await writes(store, address)
    await erase(store, ADA)
    found = await account(store, ADA)
    assert found is not None
    assert (found.address, found.name, found.mails) == (ERASED, ERASED, 1)
    assert await accounts(store) == [BOB, ERASED]


async def test_only_whom_we_met_has_a_standing(store: SqlStore) -> None:
    await writes(store, ADA)
    await change(store, ADA, status="vip", answers_per_hour=7)
    persons = [store._hasher.address(address) for address in (ADA, BOB)]
    asked = partial(users.standing, persons=persons)
    assert await step(store, asked) == {
        persons[0]: Standing(status=Status.VIP, answers_per_hour=7),
    }
    assert await step(store, partial(users.standing, persons=[])) == {}


async def test_a_worker_hears_what_the_author_wants(store: SqlStore) -> None:
    first = await store.fetch(await claimed(store, await keep(store, mail(sender=ADA))))
    assert first.wants == ""
    await create(store, BOB)
    await change(store, BOB, format="text")
    later = await store.fetch(await claimed(store, await keep(store, mail(sender=BOB))))
    assert later.wants == "text"
