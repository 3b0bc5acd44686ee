"""Two copies of this server set against each other, by a relay that takes every mark away.

What is left for both is what the other one says. The count of mails until silence is the
measure: `pytest -s` prints it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from config.demo.ai_core import JsonObject
from tests.end_to_end.carrier import Carrier, wait_for_silence
from tests.end_to_end.conftest import CAMPAIGN, Street
from tests.end_to_end.core import Core, Says
from tests.end_to_end.house import House
from tests.end_to_end.post import Post, compose, hand_in, taken

THEM = "ai@them.example"
MAILS_MAX = 6  # the first one, which somebody wrote by hand, among them
MARKS = ("auto-submitted", "x-*", "precedence", "references")
_DELAY_S = 0.3
_WORDS = 40
BY_THE_BOOK = "A month, as it is written in the book of law, is usual."

Change = Callable[[Post], Post]


def saying_always(text: str) -> Says:
    return lambda _: (text, "About your mail")


def saying_something_else(seed: int) -> Says:
    """Another answer and another subject each time."""
    rng = random.Random(seed)  # noqa: S311 (a test's own)
    numbers = itertools.count(1)
    letters = "abcdefghijklmnopqrstuvwxyz"

    def says(_: JsonObject) -> tuple[str, str]:
        words = ["".join(rng.choices(letters, k=6)) for _ in range(_WORDS)]
        return " ".join(words), f"Thought {words[0]} {next(numbers)}"

    return says


@dataclass(frozen=True, slots=True)
class Game:
    us: House
    them: House
    carrier: Carrier

    def begin(self, *, subject: str) -> None:
        """Somebody writes the first mail by hand, and both write until there is silence."""
        text = "Good morning, what do you know about notice periods in a small shop?"
        taken(self.us, compose(THEM, text, subject=subject))
        wait_for_silence(self.carrier, self.us, self.them)

    @property
    def mails(self) -> int:
        return 1 + len(self.carrier.carried)

    @property
    def held(self) -> list[dict[str, object]]:
        """The stories of the held mails of both."""
        return [
            house.explain(email_id)
            for house in (self.us, self.them)
            for email_id, state in house.mails().items()
            if state == "held"
        ]


def game(street: Street, carrier: Carrier, other: Core, change: Change) -> Game:
    us = street.open(relay_port=carrier.port)
    them = street.open(relay_port=carrier.port, email_address=THEM, ai_url=other.url)
    carrier.bring("us.example", lambda post: hand_in(us, change(post)))
    carrier.bring("them.example", lambda post: hand_in(them, change(post)))
    return Game(us, them, carrier)


@pytest.fixture
def other() -> Iterator[Core]:
    """The other house's AI core."""
    with Core(delay_s=_DELAY_S) as other:
        yield other


_numbers = itertools.count(1)


def anonymous(*fields: str) -> Change:
    """A relay that takes these fields away, and gives every mail a new name and a new sender."""

    def change(post: Post) -> Post:
        number = next(_numbers)
        bare = post.without(*fields).given(Message_ID=f"<{number}.{id(post)}@relay.example>")
        return Post(mail_from=post.author, rcpt_to=post.rcpt_to, raw=bare.raw)

    return change


def words_alone(post: Post) -> Post:
    """The answer's own words in a mail that a person's program might have made."""
    own = post.text.partition("Bonjour,")[2].partition("Cordialement,")[0].strip()
    return compose(
        post.author, own, subject=post.subject, fields={"To": ", ".join(post.rcpt_to)}
    ).addressed_to(*post.rcpt_to)


# What each of the two says, made anew for each game.
TALKS: dict[str, Callable[[], tuple[Says, Says]]] = {
    "something else each time": lambda: (saying_something_else(1), saying_something_else(2)),
    "always the same": lambda: (
        saying_always("In a small shop the law of the land decides how long it lasts, a month."),
        saying_always("Thank you for asking us: please tell us more about the shop and its town."),
    ),
    "both the same": lambda: (saying_always(BY_THE_BOOK), saying_always(BY_THE_BOOK)),
}

CHANGES: dict[str, Change] = {
    "no threading": anonymous(*MARKS, "in-reply-to"),
    "In-Reply-To kept": anonymous(*MARKS),
    "bare words": words_alone,
}
# What differs in each row has its own way of being found; CAMPAIGN=1 plays all of them.
SHORT = [
    ("no threading", "A question", "something else each time"),
    ("In-Reply-To kept", "", "something else each time"),
    ("In-Reply-To kept", "A question", "always the same"),
    ("bare words", "A question", "both the same"),
]
LONG = list(itertools.product(CHANGES, ("A question", ""), TALKS))


@pytest.mark.campaign
@pytest.mark.parametrize(("change", "subject", "talk"), LONG if CAMPAIGN else SHORT)
def test_two_houses_fall_silent_and_one_fuse_is_told(
    street: Street,
    carrier: Carrier,
    core: Core,
    other: Core,
    change: str,
    subject: str,
    talk: str,
) -> None:
    core.behave(delay_s=_DELAY_S)
    for one, says in zip((core, other), TALKS[talk](), strict=True):
        one.say(says)
    played = game(street, carrier, other, CHANGES[change])
    played.begin(subject=subject)
    [held] = played.held
    print(  # noqa: T201 (figures for whoever asks with -s)
        f"{change}, {talk}, subject {subject!r}: {played.mails} mails, "
        f"then held: {held['because']} ({held['setting']})"
    )
    assert played.mails <= MAILS_MAX
    assert played.us.states()["answered"] + played.them.states()["answered"] == played.mails - 1
    [told] = [*played.us.notices("fuse"), *played.them.notices("fuse")]
    assert str(held["id"]) in told
    assert str(held["because"]) in told
