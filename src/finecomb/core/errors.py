"""The user's errors: what is wrong, where, what is allowed, and how to fix it. The command line shows them on one screen, exit code 2."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing the user can correct.

    what: what is wrong, with the value that was given.
    where: the file (and line) or the command-line override it comes from.
    allowed: the values or names that would be right.
    hint: how to fix it.
    """

    what: str
    where: str = ""
    allowed: str = ""
    hint: str = ""


class ConfigError(Exception):
    """Raised for everything that the user can correct, with every problem at once.

    `problems` holds one entry per problem, with the fields `what`, `where`, `allowed` and `hint`. The command line shows them on one screen
    and exits with code 2.

    Example:
        >>> try:
        ...     finecomb.compose("tuning=lorra", "batch.size=0")
        ... except finecomb.ConfigError as error:
        ...     for problem in error.problems:
        ...         print(problem.what)
        tuning=lorra: there is no such choice
        batch.size=0 is below 1
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("; ".join(problem.what for problem in self.problems))
        # Python prints notes under a traceback: a script or a notebook shows hints as the command line does.
        self.add_note(problems_text(self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Problem]]]:
        """Of the problems, not of the message: errors come back from other processes."""
        return type(self), (self.problems,)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is close."""
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return matches[0] if matches else None


def problems_text(problems: Sequence[Problem], width: int = 100) -> str:
    """Every problem: what is wrong, where, what is allowed, and a hint how to fix it."""
    blocks = []
    for number, problem in enumerate(problems, start=1):
        head = f"{number}. " if len(problems) > 1 else ""
        lines = [_wrapped(head, problem.what, width)]
        parts = (("where", problem.where), ("allowed", problem.allowed), ("hint", problem.hint))
        lines += [_wrapped(f"{' ' * len(head)}   {name:<8}", text, width) for name, text in parts if text]
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def _wrapped(head: str, text: str, width: int) -> str:
    indent = " " * len(head)
    lines = [
        textwrap.fill(line, width, initial_indent=head if number == 0 else indent, subsequent_indent=indent, break_long_words=False)
        for number, line in enumerate(text.splitlines() or [""])
    ]
    return "\n".join(lines)
