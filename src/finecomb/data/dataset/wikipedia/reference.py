"""A block of wikitext read by mwparserfromhell and turned to text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol


class Renderer(Protocol):
    """What things print."""

    def link(self, target: str, shown: str | None) -> str:
        """A wikilink."""

    def template(self, name: str, pairs: Callable[[], list[tuple[str | None, str]]]) -> str:
        """A template."""

    def released(self, text: str) -> str:
        """Text with what was held back in its place."""

    def inline(self, text: str) -> str:
        """Running text."""


def render(block: str, say: Renderer, left_out: Counter[str]) -> str:
    """The text of a block."""
    import mwparserfromhell

    return _Walk(say, left_out).code(mwparserfromhell.parse(block, skip_style_tags=True))


class _Walk:
    def __init__(self, say: Renderer, left_out: Counter[str]) -> None:
        self._say, self._left_out = say, left_out

    def code(self, code: Any) -> str:
        text = ""
        for node in code.nodes if code is not None else ():
            # In `; term: meaning` the colon is a mark of lists to the parser, and a colon to the reader.
            colon = type(node).__name__ == "Tag" and node.wiki_markup == ":" and text.rpartition("\n")[2].strip()
            text += ":" if colon else self._node(node)
        return text

    def _node(self, node: Any) -> str:
        kind = type(node).__name__
        if kind == "Text":
            return self._say.inline(str(node))
        if kind == "HTMLEntity":
            return self._say.inline(str(node))
        if kind == "Wikilink":
            return self._say.link(self.code(node.title), None if node.text is None else self.code(node.text))
        if kind == "Template":
            return self._say.template(self._say.released(self.code(node.name)), lambda: self._pairs(node))
        if kind == "ExternalLink":
            return self.code(node.title).strip() if node.brackets else str(node.url)
        if kind == "Heading":
            return "\n" + self.code(node.title) + "\n"
        if kind == "Argument":
            return self.code(node.default)
        return self._tag(node) if kind == "Tag" else ""

    def _pairs(self, node: Any) -> list[tuple[str | None, str]]:
        found = [(self.code(each.name) if each.showkey else None, self.code(each.value)) for each in node.params]
        return [(name, self._say.released(value)) for name, value in found]

    def _tag(self, node: Any) -> str:
        name = str(node.tag).strip().lower()
        if name == "table":
            self._left_out["table"] += 1
            return ""
        # What else the parser makes tags of are the marks of lists.
        return self.code(node.contents) if not node.wiki_markup else ""
