"""HTML to the text a person would see: what is hidden is no part of the letter.

Runs in the cell: a hostile page may take this library long, and the cell kills it.
"""

from __future__ import annotations

import re

from inscriptis.css_profiles import STRICT_CSS_PROFILE  # type: ignore[import-untyped]
from inscriptis.html_engine import Inscriptis  # type: ignore[import-untyped]
from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]
from lxml import etree, html  # type: ignore[import-untyped]

HTML_MAX = 524_288  # characters; what the writer wrote stands at the top
DEPTH_MAX = 200  # nested elements that are laid out; the renderer recurses with them
_QUOTES_MAX = 10  # nested blockquotes that are marked as such

_CONFIG = ParserConfig(css=STRICT_CSS_PROFILE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,64})", re.I)
_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,200}\?>", re.IGNORECASE)

# What hides an element, in an attribute or a style sheet.
_HIDING = {
    "display": re.compile(r"none"),
    "visibility": re.compile(r"hidden|collapse"),
    "mso-hide": re.compile(r"all"),
    "opacity": re.compile(r"0*(?:\.0+)?%?"),
    "font-size": re.compile(r"0*(?:\.0+)?(?:[a-z]{2,3}|%)?"),
}
_ZERO = re.compile(r"0(?:\.0+)?(?:[a-z]{2,3}|%)?")
_STYLE_COMMENT = re.compile(r"/\*.*?\*/|<!--|-->", re.DOTALL)
_RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
_SIMPLE_SELECTOR = re.compile(r"([a-z][a-z0-9]*)?(?:\.([\w-]+)|#([\w-]+))?", re.IGNORECASE)


def to_text(page: str) -> str:
    """The visible text, blockquotes marked with "> " as in plain text; "" for no text."""
    tree = _tree(_DECLARATION.sub("", page[:HTML_MAX], count=1))
    if tree is None:
        return ""
    _drop_hidden(tree)
    if _depth(tree) > DEPTH_MAX:
        etree.strip_elements(tree, "style", "script", "head", with_tail=False)
        return "\n".join(line for line in map(str.strip, tree.itertext()) if line)
    for quote in reversed(list(tree.iter("blockquote"))):
        _mark_quote(quote)
    return _render(tree)


def _tree(page: str) -> html.HtmlElement | None:
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        return html.document_fromstring(page, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):  # no element in it
        return None


def _depth(tree: html.HtmlElement) -> int:
    depth = deepest = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _drop_hidden(tree: html.HtmlElement) -> None:
    selectors = _hiding_selectors(tree)
    doomed = [element for element in tree.iter(etree.Element) if _hidden(element, selectors)]
    for element in doomed:
        if element is not tree and element.getparent() is not None:
            element.drop_tree()  # keeps the text behind it


def _declares_hidden(declarations: str) -> bool:
    given = {}
    for declaration in declarations[:8192].lower().split(";"):
        name, _, value = declaration.partition(":")
        given[name.strip()] = value.replace("!important", "").strip()
    if any(
        value and name in _HIDING and _HIDING[name].fullmatch(value)
        for name, value in given.items()
    ):
        return True
    box = [given.get(name, "") for name in ("height", "max-height", "width", "max-width")]
    return given.get("overflow") == "hidden" and any(map(_ZERO.fullmatch, box))


def _hidden(element: html.HtmlElement, selectors: frozenset[tuple[str, str, str]]) -> bool:
    if element.get("hidden") is not None or _declares_hidden(element.get("style", "")):
        return True
    if not selectors:
        return False
    names = {("", "", "")}
    for class_name in element.get("class", "").split()[:50]:
        names.update((("", class_name, ""), (element.tag, class_name, "")))
    if element_id := element.get("id"):
        names.update((("", "", element_id), (element.tag, "", element_id)))
    return not selectors.isdisjoint(names - {("", "", "")})


def _hiding_selectors(tree: html.HtmlElement) -> frozenset[tuple[str, str, str]]:
    """The (tag, class, id) that the page's own style sheets hide on every screen."""
    found = set()
    for style in tree.iter("style"):
        sheet = _STYLE_COMMENT.sub("", (style.text or "")[:65536])
        for selectors, declarations in _RULE.findall(_without_at_rules(sheet)):
            if not _declares_hidden(declarations):
                continue
            for selector in selectors.split(",")[:50]:
                match = _SIMPLE_SELECTOR.fullmatch(selector.strip())
                if match and (match[2] or match[3]):
                    found.add(((match[1] or "").lower(), match[2] or "", match[3] or ""))
    return frozenset(found)


def _without_at_rules(sheet: str) -> str:
    """The sheet without @media and its like: what they hide is hidden on some screens only."""
    kept, depth, skip_from = [], 0, -1
    for piece in re.split(r"([{}])", sheet):
        if piece == "{":
            depth += 1
        elif piece == "}":
            depth -= 1
        if skip_from < 0 and "@" in piece:
            skip_from = depth
        elif skip_from < 0:
            kept.append(piece)
        elif piece == "}" and depth <= skip_from:
            skip_from = -1
    return "".join(kept)


def _mark_quote(quote: html.HtmlElement) -> None:
    """Replace a blockquote by its own text with "> " before each line.

    Called for the innermost first, so that each is rendered only once per level.
    """
    if sum(1 for _ in quote.iterancestors("blockquote")) >= _QUOTES_MAX:
        return
    tail, quote.tail = quote.tail, None
    lines = _render(quote).split("\n")
    for child in list(quote):
        quote.remove(child)
    quote.tag, quote.tail = "pre", tail
    quote.text = "\n".join(f"> {line}".rstrip() for line in lines)


def _render(tree: html.HtmlElement) -> str:
    text = Inscriptis(tree, _CONFIG).get_text()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(map(str.rstrip, text.split("\n")))).strip("\n")


def meta_charset(page: bytes) -> str:
    """The charset that a page's own first lines claim, "" where they claim none."""
    match = _META_CHARSET.search(page[:4096])
    return match[1].decode("ascii") if match else ""
