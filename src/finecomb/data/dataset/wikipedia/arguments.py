"""`Arguments`: what a template was given, already turned to text."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Arguments:
    """A template's arguments as text.

    positional: those without a name, or named 1, 2, 3 ..., in order. named: the others, names in lower case.
    title: of the page. language: of the wiki, as its dump says.
    """

    positional: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    title: str = ""
    language: str = "en"

    def at(self, index: int) -> str:
        """A positional argument, empty where it was not given."""
        return self.positional[index] if index < len(self.positional) else ""

    def flag(self, name: str) -> bool:
        """Whether a named argument says yes."""
        return self.named.get(name, "").strip().lower() in ("y", "yes", "1", "on", "true")


def arguments(pairs: list[tuple[str | None, str]], title: str, language: str) -> Arguments:
    """Arguments from (name or None, value) in the order they were written; a later one of the same name wins, as in MediaWiki."""
    numbered: dict[int, str] = {}
    named: dict[str, str] = {}
    following = 1
    for name, value in pairs:
        if name is None:
            numbered[following] = value.strip()
            following += 1
        elif name.strip().isdigit() and len(name.strip()) < 3:
            numbered[int(name)] = value.strip()
        else:
            named[name.strip().lower()] = value.strip()
    positional = [numbered.get(index, "") for index in range(1, max(numbered, default=0) + 1)]
    return Arguments(positional, named, title, language)
