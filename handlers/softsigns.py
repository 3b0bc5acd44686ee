"""What only a letter's text tells: signs that a program wrote it, none of them proof.

A person may write any one of these words, so two signs of different facts are needed. A
person asks something: who does is given the benefit of what subject and text say, since
those who write about a robot's mail repeat its words. Pure. Neighbours:
handlers/robotwords.py, questionwords.py and softsubjects.py have the words, smtpd/robots.py
the hard evidence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handlers import questionwords, quotewords, softsubjects
from handlers import robotwords as words
from handlers.letter import Letter
from handlers.quoting import is_reply
from smtpd.addresses import local_of
from smtpd.category import A_PERSON, REPORT_TYPES, Category, Kind

SIGNS_NEEDED = 2
READ_AND_WRITTEN_S = 20  # reading our answer alone takes a person longer

_HEAD_LINES, _TAIL_LINES, _LINE_MAX = 12, 10, 400  # of lines that are not empty
_MARGIN_LINES = 2
_ASKED_MAX = 6000  # characters that are searched for a question
_SENTENCE_MAX = 200
_QUESTION_WORDS, _QUESTION_SIGNS, _ROBOT_QUESTION_WORDS = 3, 4, 8
_INTRODUCTION_MAX = 300  # characters of what stands above a quote by itself

_DIGIT = re.compile(r"\d")
_CITED = re.compile(r'"[^"]{8,2000}"')  # somebody else's words
_QUESTION_MARK = re.compile(r"[?؟](?=[\s\"')*_]|$)")
_SENTENCE_END = re.compile(r"[.!?؟。:] |[?؟。]")
_EAST_ASIAN = re.compile("[\u1100-\u11ff\u3040-\u30ff\u4e00-\u9fff]")
_MACHINE = re.compile(
    r"""(?: (?:.{1,40}[-_.])?
        (?: notifications? | notify | notifier | notices? | alerts? | newsletters? | digest
          | updates? | mailing | autoreply | auto-?confirm | auto-?mailer | autoresponder | robot
          | verify | verification | confirmations? | receipts? | invoices? | promotions? | offers
          | reminders? | tracking | monitoring | calendar | benachrichtigung(?:en)?
          | notificacion(?:es)? | notifiche | notificac(?:ao|oes) | powiadomienia )
        (?:[-_.+\d].{0,40})?
      | bot | mailer | system | daemon | cron | root | www-data | apache | nobody | automat
      | billing | orders? | shipping | news | promo | marketing | jira | jenkins | gitlab | github
      | nagios | zabbix | sentry | grafana )""",
    re.VERBOSE,
)
_WROTE = tuple(map(words.folded, quotewords.VERBS))
# What any program's mail may be.
_GENERAL = (Category.AUTO_REPLY, Category.NOTIFICATION)
# Words at the beginning of a letter that say what it is.
_STATEMENTS = (
    (Category.AUTO_REPLY, words.RECEIVED, "it says that a request was received"),
    (Category.VERIFICATION, words.CODE, "it brings a code, or asks to confirm an address"),
    (Category.VERIFICATION, words.ORDERED, "it tells of an order, a payment or a parcel"),
    (Category.BOUNCE, words.UNDELIVERED, "it says that a mail was not delivered"),
)


@dataclass(frozen=True, slots=True)
class Sign:
    """One fact that speaks for a category; `because` repeats nothing of the letter."""

    category: Category
    because: str


def soft_signs(letter: Letter, author: str, answered_within_s: float | None) -> tuple[Sign, ...]:
    """The signs in a letter, one for each fact.

    `answered_within_s` is the time since the mail of ours that it answers, None where it
    answers none.
    """
    own = _own_lines(letter)
    signs = [*_by_sender(author), *_by_speed(answered_within_s), *_by_parts(letter)]
    signs += [*_by_form(letter, own), *_by_whole_text(own)]
    if not asks(own):
        signs += [*_by_subject(letter.subject), *_by_statements(own)]
    return tuple(signs)


def judged(signs: Sequence[Sign]) -> Kind:
    """The category most signs speak for, of several the one that says more.

    A person wrote what has fewer than two signs.
    """
    if len(signs) < SIGNS_NEEDED:
        return A_PERSON
    spoken_for = Counter(sign.category for sign in signs)
    category = max(spoken_for, key=lambda one: (spoken_for[one], one not in _GENERAL))
    return Kind(category, "; ".join(sign.because for sign in signs))


def asks(lines: Sequence[str]) -> bool:
    """Whether these lines ask something that a person asks."""
    text = f" {words.folded(' '.join(lines)[:_ASKED_MAX])} "
    if _has(text, questionwords.REQUESTS):
        return True
    return any(_a_persons(question) for question in _questions(text))


def _questions(text: str) -> Iterator[str]:
    for mark in _QUESTION_MARK.finditer(text):
        before = text[max(mark.start() - _SENTENCE_MAX, 0) : mark.start()]
        yield _SENTENCE_END.split(before)[-1]


def _a_persons(question: str) -> bool:
    length = len(question.split())
    if length <= _ROBOT_QUESTION_WORDS and _has(question, questionwords.ROBOT_QUESTIONS):
        return False
    # A language without spaces has no words to count.
    return length >= _QUESTION_WORDS or len(_EAST_ASIAN.findall(question)) >= _QUESTION_SIGNS


def _own_lines(letter: Letter) -> list[str]:
    """The lines that the writer wrote: nothing quoted, nothing forwarded, none empty."""
    lines: list[str] = []
    for line in letter.new_text.split("\n"):
        text = line.strip()[:_LINE_MAX]
        if quotewords.FORWARDED.match(text) or quotewords.ORIGINAL.fullmatch(text):
            return lines
        # The repeated header of another mail, which programs set above it.
        if (
            lines
            and quotewords.OTHER_FIELD.match(text)
            and quotewords.SENDER_FIELD.match(lines[-1])
        ):
            return lines[:-1]
        if text and not text.startswith(">"):
            lines.append(text)
    # In a forwarded mail without a mark nobody can tell whose words they are.
    return [] if quotewords.FORWARD_SUBJECT.match(letter.subject) else lines


def _by_sender(author: str) -> Iterator[Sign]:
    if _MACHINE.fullmatch(local_of(author)[:64]):
        yield Sign(Category.NOTIFICATION, "its author's address is named like a program")


def _by_speed(answered_within_s: float | None) -> Iterator[Sign]:
    if answered_within_s is not None and answered_within_s < READ_AND_WRITTEN_S:
        yield Sign(Category.AUTO_REPLY, "it came faster than a person reads and writes")


def _by_parts(letter: Letter) -> Iterator[Sign]:
    types = {attachment.content_type for attachment in letter.attachments}
    if report := next((REPORT_TYPES[name] for name in REPORT_TYPES if name in types), None):
        yield Sign(report, "a part of it is a report that programs read")
    # A person who sends an appointment attaches it as a file with a name.
    if any(
        attachment.content_type == "text/calendar" and not attachment.filename
        for attachment in letter.attachments
    ):
        yield Sign(Category.CALENDAR, "a part of it is an entry for a calendar")


def _by_subject(subject: str) -> Iterator[Sign]:
    # The first that matches: all of them look at the same words.
    if softsubjects.of_absence(subject):
        yield Sign(Category.OUT_OF_OFFICE, "its subject is that of a note of absence")
        return
    for category, pattern in softsubjects.SUBJECTS:
        if pattern.match(subject):
            yield Sign(category, f"its subject is that of a mail of this kind: {category}")
            return


def _by_form(letter: Letter, own: Sequence[str]) -> Iterator[Sign]:
    if own and _has(words.folded(own[0]), words.REPLY_ABOVE):
        yield Sign(Category.AUTO_REPLY, "its first line says where to write an answer")
    replies = is_reply(letter.subject, bool(letter.references))
    if replies and not letter.attachments and _only_quotes(letter.body_text, own):
        yield Sign(Category.AUTO_REPLY, "it answers and says nothing of its own")


def _only_quotes(text: str, own: Sequence[str]) -> bool:
    if not own:
        return any(line.startswith(">") for line in text.split("\n")) or not text.strip()
    introduction = words.folded(" ".join(own))
    return (
        len(introduction) <= _INTRODUCTION_MAX
        and introduction.endswith((":", ">"))
        and _has(introduction, _WROTE)
        and text.strip().split("\n")[-1].startswith(">")
    )


def _by_whole_text(own: Sequence[str]) -> Iterator[Sign]:
    """What a question does not excuse: newsletters and assistants ask, too."""
    head, tail = _ends(own)
    if _has(head, words.WRITTEN_BY_AI) or _has(tail, words.WRITTEN_BY_AI):
        yield Sign(Category.AUTO_REPLY, "it says that an assistant program wrote it")
    # In lines of their own: a person who asks about both has them in one sentence.
    above, below = own[:_MARGIN_LINES], own[_MARGIN_LINES:][-3 * _MARGIN_LINES :]
    if _has(words.folded(" ".join(above)), words.IN_BROWSER):
        yield Sign(Category.NEWSLETTER, "it begins with how to see it in a browser")
    if _has(words.folded(" ".join(below)), words.UNSUBSCRIBE):
        yield Sign(Category.NEWSLETTER, "it ends with how to unsubscribe")


def _by_statements(own: Sequence[str]) -> Iterator[Sign]:
    head, tail = _ends(own)
    # A note of absence says how long, or whom to turn to; a person, what came of it.
    if _has(head, words.AWAY) and (_has(head, words.RETURNS) or _DIGIT.search(head)):
        yield Sign(Category.OUT_OF_OFFICE, "it says that somebody is away")
    # "This is automatic, do not answer" is one fact, however it is put.
    if _has(head, words.ANSWERED_BY_PROGRAM) or _has(tail, words.ANSWERED_BY_PROGRAM):
        yield Sign(Category.AUTO_REPLY, "it says that a program answered")
    elif _has(head, words.WRITTEN_BY_PROGRAM) or _has(tail, words.WRITTEN_BY_PROGRAM):
        yield Sign(Category.NOTIFICATION, "it says that it is automatic, or not to be answered")
    for category, phrases, because in _STATEMENTS:
        if _has(head, phrases):
            yield Sign(category, because)
    if _has(f"{head} {tail}", words.CODE_ENDS):
        yield Sign(Category.VERIFICATION, "it says what to do where nobody asked for a code")


def _ends(own: Sequence[str]) -> tuple[str, str]:
    """How the writer's text begins and how it ends, folded for comparing."""
    return _said(own[:_HEAD_LINES]), _said(own[-_TAIL_LINES:])


def _said(lines: Sequence[str]) -> str:
    # Between spaces, since some phrases begin or end with one.
    return _CITED.sub(" ", f" {words.folded(' '.join(lines))} ")


def _has(text: str, phrases: Sequence[str]) -> bool:
    return any(phrase in text for phrase in phrases)
