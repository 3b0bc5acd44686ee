"""The words of the commands on mail, people, the stop switch and API keys.

Values are taken as they are typed: what they may be is said in one sentence, by who uses
them, instead of by argparse. Loads nothing of the house, so that --help answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

_JSON = "print JSON, for machines"
_ID = "the id we gave with 250, as `mail list` shows it"


def add_mail(parser: ArgumentParser) -> None:
    """The verbs of `mail`."""
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    one = _verb(verbs, "list", "List mail; without --state what needs a person, held and failed.")
    one.add_argument("--state", metavar="STATE", help="mail in this state, or `all`")
    one.add_argument("--from", dest="sender", metavar="ADDRESS", help="mail of this author")
    one.add_argument("--thread", metavar="ID", help="mail of this conversation")
    one.add_argument("--limit", metavar="N", default="50", help="at most so many (50)")
    one.add_argument("--json", action="store_true", help=_JSON)
    one = _verb(
        verbs, "show", "Show one mail: its text, its attachments, why it stands as it does."
    )
    one.add_argument("id", metavar="ID", help=_ID)
    form = one.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="write the message's own bytes")
    form.add_argument("--json", action="store_true", help=_JSON)
    for name, sentence in (
        ("approve", "Have held mail answered, whatever the rules say."),
        ("release", "Have the rules judge held mail again."),
        ("retry", "Have failed mail tried again."),
        ("reject", "Decide that held or failed mail gets no answer."),
    ):
        _verb(verbs, name, sentence).add_argument("id", metavar="ID", nargs="+", help=_ID)
    one = _verb(
        verbs, "reply", "Answer a mail yourself; the AI is silent in its conversation then."
    )
    one.add_argument("id", metavar="ID", help=_ID)
    one.add_argument("--text", metavar="TEXT", help="your answer")
    one.add_argument("--file", metavar="FILE", help="a file of UTF-8 text that holds it")
    one.add_argument("source", metavar="-", nargs="?", help="read it from standard input")
    one = _verb(verbs, "take-over", "Lead this mail's conversation yourself: no AI answers in it.")
    one.add_argument("id", metavar="ID", help=_ID)
    one = _verb(verbs, "hand-back", "Let the AI lead the conversation of this mail again.")
    one.add_argument("id", metavar="ID", help=_ID)


def add_user(parser: ArgumentParser) -> None:
    """The verbs of `user`."""
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    one = _verb(verbs, "list", "List the people who wrote, whoever wrote last first.")
    one.add_argument("--status", metavar="STATUS", help="normal, vip, blocked or stopped")
    one.add_argument("--limit", metavar="N", default="50", help="at most so many (50)")
    one.add_argument("--json", action="store_true", help=_JSON)
    one = _verb(verbs, "show", "Show one person's account.")
    one.add_argument("address", metavar="ADDRESS", help="the address they write from")
    one.add_argument("--json", action="store_true", help=_JSON)
    one = _verb(verbs, "set", "Change how a person is treated.")
    one.add_argument("address", metavar="ADDRESS", help="the address they write from")
    one.add_argument("--status", metavar="STATUS", help="normal, vip, blocked or stopped")
    one.add_argument("--language", metavar="LANGUAGE", help="of the reply's frame, or default")
    one.add_argument("--format", metavar="FORMAT", help="text (without HTML), or default")
    one.add_argument("--answers-per-hour", metavar="N", help="at most so many, or default")
    one.add_argument("--create", action="store_true", help="even if they have not written yet")


def add_switch(parser: ArgumentParser) -> None:
    """The words of `queue`, `stop-sending` and `resume`."""
    parser.add_argument("--json", action="store_true", help=_JSON)


def add_api_key(parser: ArgumentParser) -> None:
    """The verbs of `api-key`."""
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    one = _verb(verbs, "make", "Make a key and print it; it is shown this once.")
    one.add_argument("name", metavar="NAME", help="whose key it is, or what for")
    one.add_argument(
        "--scope",
        dest="scopes",
        metavar="SCOPE",
        action="append",
        default=[],
        help="what it opens: read, operate or privacy; may stand several times",
    )
    one = _verb(verbs, "list", "List the keys, the oldest first.")
    one.add_argument("--json", action="store_true", help=_JSON)
    one = _verb(verbs, "revoke", "Let a key open nothing from now on.")
    one.add_argument("id", metavar="ID", help="the key's id, as `api-key list` shows it")


def _verb(verbs: _SubParsersAction[ArgumentParser], name: str, sentence: str) -> ArgumentParser:
    one = verbs.add_parser(name, help=sentence, description=sentence)
    one.set_defaults(verb=name)
    return one
