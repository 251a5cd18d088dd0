"""The fenced code blocks of the documentation, with what the HTML comment before each says about it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,})(?P<language>\S*).*")
_COMMENT = re.compile(r" *<!-- no-run: (?P<reason>.+?) -->")
_ENDS = {"&&", "||", "|", ";"}


@dataclass(frozen=True)
class Block:
    """A fenced code block. no_run: why it is not executed; None: it is."""

    path: Path
    line: int
    language: str
    text: str
    no_run: str | None

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """The blocks of a Markdown file. Directives (```{toctree}) are Sphinx's and left out."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    number = 0
    while number < len(lines):
        opening = _FENCE.fullmatch(lines[number])
        if opening is None:
            number += 1
            continue
        start, indent = number, len(opening["indent"])
        closing = re.compile(rf" *{opening['ticks']}`* *")
        end = next(at for at in range(start + 1, len(lines)) if closing.fullmatch(lines[at]))
        comment = _COMMENT.fullmatch(lines[start - 1]) if start else None
        text = "\n".join(line[indent:] for line in lines[start + 1 : end])
        if not opening["language"].startswith("{"):
            found.append(Block(path, start + 1, opening["language"], text, comment["reason"] if comment else None))
        number = end + 1
    return found


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block as words; comments are left out, continued lines joined, `a && b` is two commands."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        command: list[str] = []
        for word in shlex.split(line, comments=True):
            if word in _ENDS:
                found.append(command)
                command = []
            else:
                command.append(word)
        found.append(command)
    return [command for command in found if command]


def sessions(text: str) -> list[tuple[str, str]]:
    """Of a console block each command after its prompt, with the output shown below it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), ""))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def file_name(text: str) -> str | None:
    """The file that a block is the content of: a comment at its top is the path, as in `# my_choices/conf/tuning/wide.yaml`."""
    # Hydra wants its own comment first.
    named = re.match(r"(?:# @package \S+\n)?# (\S+/\S+\.\w+)\n", text)
    return named[1] if named else None
