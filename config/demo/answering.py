"""What the demonstration AI core answers: made by rules, the same question always alike.

It is no model. It knows a few paragraphs of French labour law, repeats the dates
it finds in a mail, and searches the earlier messages it was given when it is
asked what was said before. `ai_core.py` serves it over HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

FRENCH, ENGLISH = "fr", "en"

_WORD = re.compile(r"[^\W\d_]+")
# Frequent words of one language that are no words of the other.
_FRENCH_WORDS = frozenset(
    _WORD.findall(
        "je vous nous le la les un une des du est suis quel quelle quels quelles combien mon ma"
        " mes votre vos pour dans avec que qui et au aux ce cette merci bonjour puis ai avez sont"
        " ne pas"
    )
)
_ENGLISH_WORDS = frozenset(
    _WORD.findall(
        "i you we the an of is am are what which how my your for in with that who and this thanks "
        "hello can did do does have has not it to please"
    )
)

_DATE = re.compile(
    r"\b(\d{1,2}(?:er)? (?:janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre"
    r"|novembre|décembre|January|February|March|April|May|June|July|August|September|October"
    r"|November|December) \d{4}|\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4})\b"
)
_RECALL = re.compile(
    r"vous ai-je|vous avais-je|que j'ai mentionné|ai-je (?:dit|écrit|mentionné|indiqué|donné)"
    r"|did i (?:tell|say|write|mention|give)|have i (?:told|mentioned|given)"
    r"|i (?:told you|mentioned) (?:before|earlier)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\b[A-Z]{0,4}-?\d[\d-]*\b")
_CAPITALISED = r"[^\W\d_a-z][\w'-]*"
_NAME = re.compile(
    rf"(?i:je m'appelle|mon nom est|my name is)\s+({_CAPITALISED}(?: {_CAPITALISED})?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One subject of labour law: the words that call it, what to say in each language."""

    words: re.Pattern[str]
    french: tuple[str, ...]
    english: tuple[str, ...]


# Ordered: the first topic whose words occur is taken.
TOPICS = (
    Topic(
        words=re.compile(r"préavis|licenci|notice period|dismiss", re.IGNORECASE),
        french=(
            "moins de six mois d'ancienneté : la loi renvoie à la convention ou à l'usage",
            "de six mois à moins de deux ans : un mois de préavis",
            "deux ans et plus : deux mois de préavis (article L1234-1 du Code du travail)",
        ),
        english=(
            "less than six months of service: the collective agreement or custom decides",
            "six months to less than two years: one month's notice",
            "two years and more: two months' notice (article L1234-1 of the Labour Code)",
        ),
    ),
    Topic(
        words=re.compile(r"cong[ée]s|vacances|paid leave|holiday", re.IGNORECASE),
        french=(
            "deux jours et demi ouvrables par mois de travail effectif",
            "trente jours ouvrables au plus pour une année (article L3141-3 du Code du travail)",
        ),
        english=(
            "two and a half working days for each month of work",
            "thirty working days at most for a year (article L3141-3 of the Labour Code)",
        ),
    ),
    Topic(
        words=re.compile(r"heures supp|temps de travail|overtime|working time", re.IGNORECASE),
        french=(
            "la durée légale est de 35 heures par semaine (article L3121-27)",
            "sans accord, les huit premières heures au-delà sont majorées de 25 %, "
            "les suivantes de 50 % (article L3121-36)",
        ),
        english=(
            "the legal week has 35 hours (article L3121-27)",
            "without an agreement the first eight hours beyond are paid 25 % more, "
            "the following ones 50 % more (article L3121-36)",
        ),
    ),
)
ANY_TOPIC = Topic(
    words=re.compile(""),
    french=(
        "le contrat de travail et la convention collective se lisent d'abord",
        "l'inspection du travail renseigne gratuitement",
    ),
    english=(
        "read the contract and the collective agreement first",
        "the labour inspectorate gives information free of charge",
    ),
)

DEMONSTRATION = {
    FRENCH: "*Réponse de démonstration : elle vient de règles fixes, pas d'une IA.*",
    ENGLISH: "*Demonstration answer: it comes from fixed rules, not from an AI.*",
}
IN_SHORT = {
    FRENCH: "Sur votre question, **en bref** :",
    ENGLISH: "On your question, **in short**:",
}
DATES_READ = {
    FRENCH: "dates lues dans votre message et ses pièces jointes :",
    ENGLISH: "dates read in your message and its attachments:",
}
NOTHING_EARLIER = {
    FRENCH: "Je ne vois aucun message précédent dans cette conversation.",
    ENGLISH: "I see no earlier message in this conversation.",
}
NOTHING_FOUND = {
    FRENCH: "Vos messages précédents ne contiennent ni nom ni numéro.",
    ENGLISH: "Your earlier messages hold neither a name nor a number.",
}
FOUND = {
    FRENCH: "Dans vos messages précédents, vous avez indiqué :",
    ENGLISH: "In your earlier messages you mentioned:",
}


_OWN_WORDS = re.compile("<email>(.*?)</email>", re.DOTALL)


def language_of(text: str) -> str:
    """`fr` or `en`, by counting frequent words of each; `en` where they are level."""
    words = [word.lower() for word in _WORD.findall(text)]
    french = sum(word in _FRENCH_WORDS for word in words)
    english = sum(word in _ENGLISH_WORDS for word in words)
    return FRENCH if french > english else ENGLISH


def answer(prompt: str, earlier: Sequence[str]) -> str:
    """The answer to a mail in Markdown; `earlier` is what its author wrote before, oldest first."""
    # The person's own words decide, not what is said around an attached file.
    own_words = _OWN_WORDS.search(prompt)
    language = language_of(own_words[1] if own_words else prompt)
    if _RECALL.search(prompt):
        return _recall(language, earlier)
    return _advice(language, prompt)


def _advice(language: str, prompt: str) -> str:
    topic = next((topic for topic in TOPICS if topic.words.search(prompt)), ANY_TOPIC)
    points = list(topic.french if language == FRENCH else topic.english)
    if dates := dict.fromkeys(_DATE.findall(prompt)):
        points.append(f"{DATES_READ[language]} {', '.join(dates)}")
    listed = "\n".join(f"- {point}" for point in points)
    return f"{DEMONSTRATION[language]}\n\n{IN_SHORT[language]}\n\n{listed}"


def _recall(language: str, earlier: Sequence[str]) -> str:
    facts = [fact for said in earlier for fact in (*_NAME.findall(said), *_numbers(said))]
    found = list(dict.fromkeys(facts))
    if not earlier:
        told = NOTHING_EARLIER[language]
    elif not found:
        told = NOTHING_FOUND[language]
    else:
        told = FOUND[language] + "\n\n" + "\n".join(f"- {fact}" for fact in found)
    return f"{DEMONSTRATION[language]}\n\n{told}"


def _numbers(text: str) -> list[str]:
    """Numbers a person would ask back: four digits or more, and no part of a date."""
    return [
        number
        for number in _NUMBER.findall(_DATE.sub(" ", text))
        if sum(character.isdigit() for character in number) >= 4
    ]
