"""Programs that answer, lists, and our own answers come back: each ends, and `explain` says why.

`pytest -s` prints how many answers each of them got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import make_msgid

import pytest

from handlers.signing import load_key, public_record
from handlers.subjects import bare
from tests.conftest import installed
from tests.end_to_end.carrier import Carrier, wait_for_silence
from tests.end_to_end.conftest import Street
from tests.end_to_end.house import ADDRESS, House
from tests.end_to_end.post import Post, compose, taken
from tests.servers.knot import KnotServer

QUESTION = "Good morning, how long is the notice period in a small shop?"
AWAY = "Hello, I am out of the office until November {n} and will read your mail then."
NOBODY = "Hello, on November {n} nobody of the team looks after this mailbox of the firm."
TICKET = "Good day, we thank you for the following words, our colleague Mr. Martin looks into it."
DOMAIN_FUSE = "10 answers within an hour went to its sender's domain"


Change = Callable[[Post], Post]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Answers each mail it gets; {n} is how many that were. Then what should end it, and when."""

    sender: str = "help"
    text: str = TICKET
    subject: str = ""  # Re: and that of the answered mail
    threads: bool = True  # it names the mail that it answers
    marks: Mapping[str, str] = field(default_factory=dict)

    answers_max: int  # of ours
    state: str  # of its last mail
    because: str

    def answer(self, domain: str, number: int, post: Post) -> Post:
        quote = "".join(f"> {line}\n" for line in post.text.splitlines())
        return compose(
            f"{self.sender.format(n=number)}@{domain}",
            f"{self.text.format(n=number)}\n\n{quote}",
            subject=self.subject.format(n=number) or f"Re: {bare(post.subject)}",
            answers=post if self.threads else None,
            fields=self.marks,
        )


PROGRAMS = {
    "a note of absence that says so in its header section": Program(
        text=AWAY,
        sender="desk-{n}",
        marks={"Auto-Submitted": "auto-replied"},
        answers_max=1,
        state="kept",
        because="the Auto-Submitted field says that it is automatic",
    ),
    "one whose subject and text say so": Program(
        text=AWAY,
        sender="desk-{n}",
        subject="Out of office",
        answers_max=1,
        state="held",
        because="it says that somebody is away",
    ),
    "one that only its repetition gives away": Program(
        text=NOBODY, sender="desk-{n}", answers_max=10, state="held", because=DOMAIN_FUSE
    ),
    "one with a number in its subject, too": Program(
        text=NOBODY,
        sender="desk-{n}",
        subject="Case {n}-B: your mail",
        answers_max=10,
        state="held",
        because=DOMAIN_FUSE,
    ),
    "a ticket system": Program(
        subject="[#123] Re: My question",
        answers_max=3,
        state="held",
        because="it came faster than a person reads and writes",
    ),
    "a ticket system that names no mail of ours": Program(
        subject="[#123] Re: My question",
        threads=False,
        answers_max=3,
        state="held",
        because="2 answers on this subject went to this new sender",
    ),
    "one that opens a ticket for each mail": Program(
        subject="[#12{n}] Re: My question",
        threads=False,
        answers_max=9,
        state="held",
        because="8 answers within a day went to this sender",
    ),
}


@dataclass
class Talk:
    """One program at one domain, and what the house said to its mails."""

    house: House
    program: Program
    domain: str
    tickets: list[str]

    def receive(self, post: Post) -> None:
        answer = self.program.answer(self.domain, len(self.tickets) + 1, post)
        self.tickets += taken(self.house, answer)


def test_programs_that_answer_are_left_alone_soon(street: Street, carrier: Carrier) -> None:
    house = street.open(relay_port=carrier.port, fuse_per_sender_per_day=8)
    talks = {
        name: Talk(house, program, f"robots{number}.example", [])
        for number, (name, program) in enumerate(PROGRAMS.items())
    }
    for talk in talks.values():
        carrier.bring(talk.domain, talk.receive)
        somebody = f"somebody@{talk.domain}"
        taken(house, compose(somebody, QUESTION, subject="My question"))
    wait_for_silence(carrier, house)
    for name, talk in talks.items():
        told = house.explain(talk.tickets[-1])
        answers = len(carrier.to(talk.domain))
        print(  # noqa: T201 (figures for whoever asks with -s)
            f"{name}: {answers} answers, then {told['state']}: {told['because']}"
        )
        assert talk.program.because in told["because"], name
        assert (told["state"], told["id"]) == (talk.program.state, talk.tickets[-1])
        assert answers <= talk.program.answers_max, name
    assert house.states()["answered"] == len(carrier.carried)
    blown = [one for one in PROGRAMS.values() if "answers" in one.because]
    assert len(house.notices("fuse")) == len(blown)


LIST_FIELDS = {
    "List-Id": "Staff <staff.lists.example>",
    "List-Post": "<mailto:staff@lists.example>",
}


def test_a_mailing_list_that_we_are_on_gets_no_answer(street: Street, carrier: Carrier) -> None:
    house = street.open(relay_port=carrier.port)
    to_all = {"To": "Staff <staff@lists.example>"}
    marked, unmarked = taken(
        house,
        compose("ada@people.example", QUESTION, subject="To all", fields=to_all | LIST_FIELDS),
        compose("bob@people.example", QUESTION, subject="To all", fields=to_all),
    )
    wait_for_silence(carrier, house)
    assert carrier.carried == []
    told = house.explain(marked)
    assert (told["state"], told["because"]) == ("kept", "it has the field List-Post")
    told = house.explain(unmarked)
    assert (told["state"], told["because"], told["setting"]) == (
        "held",
        "none of our addresses is in To or Cc",
        "ANSWER_UNADDRESSED",
    )


def from_the_mailbox(post: Post) -> Post:
    """As a forwarding that makes the mail its own: a new author, and no mark of ours left."""
    bare = post.without("auto-submitted", "x-*", "dkim-signature", "content-language")
    return bare.given(From_=f"The mailbox <{post.rcpt_to[0]}>")


# What a mailbox that forwards to us does to our answer; how many it gets, and what ends it.
FORWARDINGS: dict[str, tuple[Change, int, tuple[str, str]]] = {
    "unchanged": (lambda post: post, 1, ("kept", "it is our own mail, signed with our key")),
    "its own author": (from_the_mailbox, 1, ("held", "none of our addresses is in To or Cc")),
    "its own author, to us": (
        lambda post: from_the_mailbox(post).given(To=ADDRESS),
        1,
        ("kept", "its Message-ID is one of ours"),
    ),
    "a mail of its own": (
        lambda post: from_the_mailbox(post).given(
            To=ADDRESS, Message_ID=make_msgid(domain="mailbox.example")
        ),
        2,
        ("held", "2 answers on this subject went to this new sender"),
    ),
}


@pytest.fixture
def dns() -> Iterator[KnotServer]:
    with installed(lambda: KnotServer({"example": "", "us.example": ""})) as dns:
        yield dns


def test_our_own_answer_that_is_forwarded_to_us_gets_no_answer(
    street: Street, carrier: Carrier, dns: KnotServer
) -> None:
    house = street.open(relay_port=carrier.port, dns_servers=dns.address)
    key = load_key(house.folder / "dkim.pem")
    dns.publish("us.example", f"default._domainkey TXT {public_record(key)}")
    back: dict[str, str] = {}  # the newest ticket of each
    for number, (name, (change, _, _)) in enumerate(FORWARDINGS.items()):
        mailbox = f"ada@mailbox{number}.example"

        def forward(post: Post, name: str = name, change: Change = change) -> None:
            changed = Post(mail_from=post.rcpt_to[0], raw=change(post).raw)
            [back[name]] = taken(house, changed)

        carrier.bring(mailbox.partition("@")[2], forward)
        taken(house, compose(mailbox, QUESTION, subject="My question"))
    wait_for_silence(carrier, house)
    for number, (name, (_, answers, ending)) in enumerate(FORWARDINGS.items()):
        told = house.explain(back[name])
        assert (told["state"], told["because"]) == ending, name
        assert len(carrier.to(f"mailbox{number}.example")) == answers, name
