"""The AI's Markdown as a few harmless HTML tags, and as plain text. Pure.

Nothing remote survives: no images, no styles and no raw HTML of the model's, and
links lead to http, https and mailto only. A text that would keep the parser busy is
shown as it stands, so that all of this may run in the event loop.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

# How often a sign may stand in a text that is read as Markdown: each costs the parser
# time or memory, and an answer with so many of one is no letter.
COSTLY = {"|": 2000, "*": 5000, "_": 5000, "~": 5000, "\n": 5000}
# Each opening bracket may cost one more reading of all that follows it, at most a fifth
# of a microsecond a character: 0.2 s for this product of brackets and characters.
BRACKETS_BY_LENGTH = 1_000_000

_SCHEMES = {"http", "https", "mailto"}
_TAGS = {"p", "ul", "ol", "li", "b", "strong", "i", "em", "s", "code", "pre", "blockquote"}
_TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "br", "hr", "a"}
# Mail readers show these bare, and drop style sheets. Put in after the cleaning, so
# that no style can be the model's.
_CELL = "border: 1px solid #ccc; padding: 4px 8px; text-align: left;"
_STYLES = {
    "<table>": '<table style="border-collapse: collapse; margin: 10px 0;">',
    "<th>": f'<th style="{_CELL}">',
    "<td>": f'<td style="{_CELL}">',
    "<pre>": '<pre style="background-color: #eee; padding: 10px; white-space: pre-wrap;">',
    "<blockquote>": '<blockquote style="border-left: 3px solid #ccc; margin: 10px 0;'
    ' padding-left: 10px;">',
}

_PARSER = MarkdownIt("js-default", {"html": False, "breaks": True, "linkify": False})


def both(markdown: str) -> tuple[str, str]:
    """The allowed HTML of a Markdown text, and the text as a person would type it."""
    if _is_costly(markdown):
        lines = html.escape(markdown.strip()).replace("\n", "<br>\n")
        return f"<p>{lines}</p>", markdown.strip()
    tokens = _modest(_PARSER.parse(markdown))
    rendered = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return _allowed(rendered), _Plain().written(tokens)


def _is_costly(markdown: str) -> bool:
    return markdown.count("[") * len(markdown) > BRACKETS_BY_LENGTH or any(
        markdown.count(sign) > most for sign, most in COSTLY.items()
    )


def _allowed(rendered: str) -> str:
    cleaned = nh3.clean(
        rendered,
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}, "*": set()},  # else title and lang stay
        url_schemes=_SCHEMES,
        url_relative="deny",
        link_rel="noopener",
    )
    # In cleaned HTML a "<" begins a tag and nothing else.
    for tag, styled in _STYLES.items():
        cleaned = cleaned.replace(tag, styled)
    return cleaned


def _modest(tokens: list[Token]) -> list[Token]:
    """Headings as bold paragraphs, images as what they are said to show."""
    for token in tokens:
        if token.type == "inline":
            token.children = [_described(child) for child in token.children or ()]
    for opening, inside in itertools.pairwise(tokens):
        if opening.type == "heading_open" and inside.children:
            bold = Token("strong_open", "strong", 1), Token("strong_close", "strong", -1)
            inside.children = [bold[0], *inside.children, bold[1]]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = "p"
    return tokens


def _described(token: Token) -> Token:
    return Token("text", "", 0, content=token.content) if token.type == "image" else token


def _inline_text(children: Iterable[Token]) -> str:
    parts: list[str] = []
    links: list[tuple[str, int]] = []
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "link_open":
            links.append((str(child.attrGet("href") or ""), len(parts)))
        elif child.type == "link_close":
            href, start = links.pop()
            shown = "".join(parts[start:])
            known = href.partition(":")[0].lower() in _SCHEMES
            if known and shown not in (href, href.removeprefix("mailto:")):
                parts.append(f" ({href})")
        else:
            parts.append(child.content)
    return "".join(parts)


class _Plain:
    """Lines of plain text, written block by block behind a margin of quotes and indents."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._margin: list[str] = []
        self._marker = ""  # of a list item whose first line is not written yet
        self._cells: list[str] | None = None  # of the table row that is being read
        self._gap = False  # an empty line is due before the next block

    def written(self, tokens: Iterable[Token]) -> str:
        for token in tokens:
            self._take(token)
        return "\n".join(self._lines).strip("\n")

    def _take(self, token: Token) -> None:
        if token.nesting == 1:
            self._open(token)
        elif token.nesting == -1:
            self._close(token)
        elif token.type == "inline":
            self._inline(_inline_text(token.children or ()))
        else:
            code = token.content.rstrip("\n").replace("\n", "\n    ")
            self._put("---" if token.type == "hr" else f"    {code}")
            self._gap = True

    def _open(self, token: Token) -> None:
        match token.type:
            case "blockquote_open":
                # The empty line before a quotation is not part of it.
                self._close_gap()
                self._margin.append("> ")
            case "list_item_open":
                self._marker = f"{token.info}{token.markup} " if token.info else "- "
                self._margin.append(" " * len(self._marker))
            case "tr_open":
                self._cells = []

    def _close(self, token: Token) -> None:
        match token.type:
            case "blockquote_close":
                self._margin.pop()
            case "list_item_close":
                if self._marker:
                    self._put("")
                self._margin.pop()
            case "tr_close":
                self._put(" | ".join(self._cells or ()))
                self._cells = None
        rows = ("list_item_close", "tr_close", "th_close", "td_close", "thead_close")
        if token.type not in rows and not token.hidden:
            self._gap = True

    def _inline(self, text: str) -> None:
        if self._cells is None:
            self._put(text)
        else:
            self._cells.append(text.replace("\n", " "))

    def _close_gap(self) -> None:
        if self._gap:
            self._lines.append("".join(self._margin).rstrip())
            self._gap = False

    def _put(self, text: str) -> None:
        self._close_gap()
        margin = "".join(self._margin)
        first = margin
        if self._marker:
            # An item's own margin is as wide as its marker; a quotation may follow it.
            outer = "".join(self._margin[: self._item_depth()])
            first = outer + self._marker + margin[len(outer) + len(self._marker) :]
            self._marker = ""
        for line in text.split("\n"):
            self._lines.append((first + line).rstrip())
            first = margin

    def _item_depth(self) -> int:
        """Where in the margins the item stands whose marker waits."""
        return max(at for at, part in enumerate(self._margin) if not part.strip())
