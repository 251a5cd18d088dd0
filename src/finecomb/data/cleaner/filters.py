"""Steps that drop texts by their length, by patterns and by lists of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finecomb.config.errors import Problem, UserError
from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import Batch, Decision, Step, TextFilter
from finecomb.data.cleaner.words import words


class Length(Step):
    """Keeps texts of a length between two bounds, in characters and in words."""

    def __init__(self, config: schema.Length) -> None:
        self._config = config

    def decide(self, batch: Batch) -> Decision:
        """The lengths are kept as scores."""
        characters = [len(text) for text in batch.text]
        counts = [len(words(text)) for text in batch.text]
        config, drop = self._config, {}
        for row, (length, count) in enumerate(zip(characters, counts, strict=True)):
            if config.min_characters is not None and length < config.min_characters:
                drop[row] = f"fewer than {config.min_characters} characters"
            elif config.max_characters is not None and length > config.max_characters:
                drop[row] = f"more than {config.max_characters} characters"
            elif config.min_words is not None and count < config.min_words:
                drop[row] = f"fewer than {config.min_words} words"
            elif config.max_words is not None and count > config.max_words:
                drop[row] = f"more than {config.max_words} words"
        return Decision(drop, scores={"characters": characters, "words": counts})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The bounds."""
        config = self._config
        return {"characters": (config.min_characters, config.max_characters), "words": (config.min_words, config.max_words)}


def compiled(pattern: str, where: str, *, any_case: bool) -> Any:
    """A pattern of RE2, whose time is linear in the text whatever the pattern. Raises UserError for what it does not know."""
    import re2

    options = re2.Options()
    options.case_sensitive = not any_case
    options.log_errors = False
    options.max_mem = 256 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        told = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        mend = "patterns are those of RE2: no look-around and no back references, so that no text can make them slow"
        raise UserError(Problem(f"the pattern {pattern[:200]!r} cannot be used: {told}", where, mend=mend)) from error


class Patterns(TextFilter):
    """Drops texts that match any of some regular expressions, or that match none of those that one must."""

    def __init__(self, config: schema.Patterns) -> None:
        where = "cleaner.steps.patterns"
        self._drop = [(pattern, compiled(pattern, f"{where}.drop", any_case=config.any_case)) for pattern in config.drop]
        self._keep = [compiled(pattern, f"{where}.keep", any_case=config.any_case) for pattern in config.keep]

    def reason(self, text: str) -> str | None:
        """Names the first pattern that matches."""
        found = next((pattern for pattern, search in self._drop if search.search(text)), None)
        if found is not None:
            return f"matches {found}"
        return None if not self._keep or any(search.search(text) for search in self._keep) else "matches no pattern to keep"


class WordList(TextFilter):
    """Drops texts in which words of a list occur too often. A word counts where no letter or digit touches it; in scripts without spaces
    anywhere."""

    def __init__(self, config: schema.WordList) -> None:
        listed = [*config.words, *_lines(config.file)]
        if not listed:
            raise UserError(Problem("the list of words is empty", "cleaner.steps.word_list", "words: [...] or file: PATH"))
        import re2

        self._most = config.max_count
        escaped = sorted({re2.escape(word.casefold()) for word in listed}, key=lambda word: (-len(word), word))
        spaced = [word for word in escaped if word.isascii() or not _unspaced(word)]
        together = [word for word in escaped if word not in set(spaced)]
        parts = [rf"(?:^|[^\pL\pN_])(?:{'|'.join(spaced)})(?:$|[^\pL\pN_])"] if spaced else []
        self._search = compiled("|".join([*parts, *together]), "cleaner.steps.word_list", any_case=True)

    def reason(self, text: str) -> str | None:
        """Counts words of the list up to one more than may be."""
        start = found = 0
        while (match := self._search.search(text, start)) is not None:
            found += 1
            if found > self._most:
                return f"more than {self._most} words of the list"
            # The character after a word may be the one before the next.
            start = max(match.end() - 1, match.start() + 1)
        return None

    @staticmethod
    def inputs(config: schema.WordList) -> list[str]:
        """What the list says, whatever its file is called."""
        return _lines(config.file)


def _unspaced(word: str) -> bool:
    from finecomb.data.cleaner.words import unspaced_share

    return unspaced_share(word) > 0


def _lines(file: str | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line.strip() for line in Path(file).expanduser().read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(Problem(f"the list of words cannot be read: {error}", str(file), mend="one word on each line, UTF-8")) from error
