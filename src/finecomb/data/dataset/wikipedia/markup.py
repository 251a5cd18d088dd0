"""What is done to a page's wikitext before it is read, and to its text afterwards.

Comments and extension tags (ref, math, nowiki ...) are found as MediaWiki's preprocessor does, in one scan from the left: whatever stands
between such a tag and the next closing one belongs to it, markup or not.
"""

from __future__ import annotations

import re
from collections import Counter

from finecomb.data.dataset.wikipedia.templates import subscript, superscript

# Ends a line where HTML does; no marker of lists begins behind it.
LINE = "\ue003"
_PRIVATE = re.compile("[\ue000-\ue003]")
_GONE = (
    "ref", "references", "gallery", "timeline", "templatestyles", "imagemap", "graph", "mapframe", "maplink", "score", "inputbox", "hiero",
    "categorytree", "section", "includeonly", "indicator", "charinsert", "dynamicpagelist", "rss", "templatedata", "math-chem",
)  # fmt: skip
_LITERAL = ("nowiki", "pre", "syntaxhighlight", "source")
_FORMULA = ("math", "chem", "ce")
_OPENING = re.compile(rf"<!--|<(?P<tag>{'|'.join((*_GONE, *_LITERAL, *_FORMULA))})(?P<attributes>\s[^<>]*?|)(?P<closed>/?)>", re.IGNORECASE)
_SCRIPT = re.compile(r"<(?P<tag>su[bp])\b[^<>]*>(?P<inside>[^<>\[\]{}|]*)</(?P=tag)\s*>", re.IGNORECASE)
# HTML that wikitext may hold: what it encloses is text. Tables are found later.
_TAG = re.compile(r"</?(?!table\b)(?P<name>[A-Za-z][A-Za-z0-9]*)(?:\s[^<>]*|)/?>")
_LINE_TAGS = "br p div li dt dd dl ul ol blockquote center tr h1 h2 h3 h4 h5 h6 poem hr"
_INLINE_TAGS = (
    "abbr b bdi bdo big cite code data del dfn em font i ins kbd mark nobr noinclude nowiki onlyinclude q rb rp rt ruby s samp small span "
    "strike strong sub sup td th time translate tt tvar u var wbr references caption thead tbody includeonly ref"
)
_LINES, _INLINE = frozenset(_LINE_TAGS.split()), frozenset(_INLINE_TAGS.split())
_LONE_BRACKET = re.compile(r"\[(?=(?:https?:|ftp:)?//)(?!(?:\[\[[^\[\]\n]*\]\]|[^\[\]\n])*\])")
_COMMENT_LINE = re.compile(r"\n[ \t]*<!--(?:(?!-->).)*-->[ \t]*(?=\n)", re.DOTALL)
_RULE = re.compile(r"(?m)^-{4,}")
_SWITCH = re.compile(r"__[^\W\d_]{3,}__")
_MARKS = re.compile(r"\{{2,}|\}{2,}|\[\[|\]\]|(?m:^[ \t:]*\{\|)|(?m:^[ \t]*\|\})(?!\})|<table\b|</table\s*>", re.IGNORECASE)
_FARTHEST = 40
# Stand for the braces and brackets of marks that have no partner, so that no parser searches the rest of the page for one.
_LONE = {"{": "&#123;", "}": "&#125;", "[": "&#91;", "]": "&#93;", "<": "&lt;"}


def literal(wikitext: str) -> str:
    """Wikitext with line feeds alone, and without the private characters that stand for what is held back."""
    return _PRIVATE.sub("", wikitext.replace("\r\n", "\n"))


def without_extensions(source: str, held: list[str], left_out: Counter[str]) -> str:
    """Wikitext without comments and extension tags. What they print (formulas as LaTeX between dollars, literal text) is held back.

    held: gets the texts; a number between two private characters stands for each.
    """

    def hold(text: str) -> str:
        held.append(text)
        return f"\ue000{len(held) - 1}\ue001"

    if "<!--" in source:
        source = _COMMENT_LINE.sub("", source)
    pieces, at = [], 0
    unclosed: set[str] = set()  # tags that nothing closes from here on: they are looked for once
    while opening := _OPENING.search(source, at):
        pieces.append(source[at : opening.start()])
        tag, at = (opening["tag"] or "").lower(), opening.end()
        if not tag:
            end = source.find("-->", at)
            at = len(source) if end < 0 else end + 3
            continue
        closing = None if opening["closed"] or tag in unclosed else re.compile(rf"</{tag}\s*>", re.IGNORECASE).search(source, at)
        if closing is None and not opening["closed"]:
            unclosed.add(tag)
            continue
        inside = source[at : closing.start()] if closing else ""
        at = closing.end() if closing else at
        if tag in _GONE:
            left_out[tag] += 1
        elif inside.strip():
            pieces.append(hold(f"${inside.strip()}$" if tag in _FORMULA else inside))
    source = _RULE.sub("", _SWITCH.sub("", "".join([*pieces, source[at:]])))
    return _LONE_BRACKET.sub("&#91;", without_tags(source) if "<" in source else source)


def without_tags(source: str) -> str:
    """Wikitext without HTML but tables: lines end where HTML ends them, digits are raised and lowered. Other angle brackets are text."""
    source = _SCRIPT.sub(lambda m: (superscript if m["tag"][-1] in "pP" else subscript)(m["inside"]), source)

    def tag(match: re.Match[str]) -> str:
        name = match["name"].lower()
        return LINE if name in _LINES else "" if name in _INLINE else match[0].replace("<", "&lt;")

    return re.sub(r"<(?!/?table\b)", "&lt;", _TAG.sub(tag, source), flags=re.IGNORECASE)


def blocks(source: str) -> list[str]:
    """Wikitext in pieces that can be read one by one: lines, and runs of lines that a template, link or table holds together.

    Marks that have no partner become character references. A parser that looks for the missing end of a mark may read the rest of the page
    again for each: time that grows with the square.
    """
    covered, lone = _paired(source)
    ready: list[str] = []
    begin, pair, single, at = 0, 0, 0, source.find("\n")
    while True:
        end = len(source) if at < 0 else at
        while pair < len(covered) and covered[pair][1] <= end:
            pair += 1
        if at >= 0 and pair < len(covered) and covered[pair][0] < at:
            at = source.find("\n", covered[pair][1])
            continue
        pieces, last = [], begin
        while single < len(lone) and lone[single][0] < end:
            start, stop = lone[single]
            pieces += [source[last:start], "".join(_LONE.get(letter, letter) for letter in source[start:stop])]
            last, single = stop, single + 1
        ready.append("".join([*pieces, source[last:end]]))
        if at < 0:
            return ready
        begin, at = at + 1, source.find("\n", at + 1)


def _paired(source: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where the outermost pairs of marks begin and end, and the marks without a partner, both in order."""
    opened: list[tuple[str, int, int]] = []
    pairs: list[tuple[int, int]] = []
    lone: list[tuple[int, int]] = []

    def close(kinds: tuple[str, ...]) -> tuple[str, int, int] | None:
        """Take the nearest open mark of these kinds; those that were opened since have no partner."""
        for depth in range(len(opened) - 1, max(-1, len(opened) - 1 - _FARTHEST), -1):
            if opened[depth][0] in kinds:
                lone.extend(span[1:] for span in opened[depth + 1 :])
                taken = opened[depth]
                del opened[depth:]
                return taken
        return None

    for match in _MARKS.finditer(source):
        mark, (start, end) = match[0].strip(" \t:").lower(), match.span()
        if mark[0] == "{" and mark != "{|":
            while (size := min(end - start, 3 if (end - start) % 2 else 2)) >= 2:
                # Five braces are a template whose name begins with a parameter: the pair is the outer one.
                size = 2 if end - start > 3 else size
                opened.append(("{" * size, start, start + size))
                start += size
        elif mark[0] == "}":
            while end - start >= 2:
                taken = close(("{{", "{{{"))
                if taken is None:
                    lone.append((start, end))
                    break
                start = min(end, start + len(taken[0]))
                pairs.append((taken[1], start))
        elif mark in ("[[", "{|", "<table"):
            opened.append((mark, start, end))
        else:
            taken = close(({"]": "[[", "|": "{|", "<": "<table"}[mark[0]],))
            if taken is None:
                lone.append((start, end))
            else:
                pairs.append((taken[1], end))
    lone += [span[1:] for span in opened]
    covered: list[tuple[int, int]] = []
    for start, end in sorted(pairs):
        if not covered or start >= covered[-1][1]:
            covered.append((start, end))
    return covered, sorted(lone)


def clean(text: str) -> str:
    """Text as paragraphs: without the traces of dropped templates, with single spaces and at most one empty line in a row."""
    mark = "\ue002"
    if mark in text:
        text = re.sub(rf"[(（][\s,;:]*(?:{mark}[\s,;:]*)+[)）]", mark, text)
        text = re.sub(rf"([(（])(?:[\s,;]*{mark})+[\s,;]*", r"\1", text)
        text = re.sub(rf"[\s,;]*{mark}[ \t]*(?=[)）])", "", text)
        text = re.sub(rf"[ \t]*(?:{mark}[ \t]*)+(?=[.,;:!?]|$)", "", text, flags=re.MULTILINE)
        text = re.sub(rf"(?<=[ \t]){mark}[ \t]*", "", text).replace(mark, "")
    text = text.replace("\u00a0", " ").replace(LINE, "\n")
    text = re.sub(r"[ \t]{2,}|\t", " ", text)
    text = re.sub(r" \n", "\n", re.sub(r"\n ", "\n", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()
