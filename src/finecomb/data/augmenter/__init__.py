"""Augmenters: altered copies of training rows, each operation seeded and counted by itself.

To add an operation: its values as a dataclass in config/schema/augmenter.py (and in OPERATIONS there), its class in this folder, a line
in `_operation`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from finecomb.config.fields import complaint, fields_of
from finecomb.config.plugins import find_build
from finecomb.config.schema import augmenter as schema
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.augmenter import noise, rewording
from finecomb.data.augmenter.back_translation import BackTranslation, Translate
from finecomb.data.augmenter.counterfactual import Counterfactual, terms
from finecomb.data.augmenter.operation import UNCHANGED, Edit, Operation, Refusal
from finecomb.data.augmenter.word_spans import Protection, negations
from finecomb.data.chance import Draws, share

KNOWN, HELD_OUT = "the same as another row", "the same as a row of validation or test"
Texts = tuple[str, ...]


@dataclass(frozen=True)
class New:
    """A new row: the number of its origin, the number of the copy from 1 on, and its texts."""

    origin: int
    copy: int
    texts: Texts


@dataclass
class Added:
    """The new rows of one operation, and why rows that were asked for were not made."""

    rows: list[New] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Augment:
    """Named operations. identity: what decides the new rows. language: of the lists that are used, None where none is."""

    operations: tuple[tuple[str, float, Operation], ...]
    seed: int
    identity: tuple[Any, ...]
    language: str | None

    def run(
        self, ids: Sequence[str], texts: Sequence[Sequence[str]], held_out: Callable[[Texts], bool] = lambda _: False
    ) -> Iterator[tuple[str, Added]]:
        """For each operation in order its new rows. Every operation sees the rows as they came; no row is added that is there already.

        texts: one or two columns of the training rows. held_out: whether validation or test has a row of such texts; then it is not added.
        Of equal new rows the first by id is kept, so that the order of the rows changes nothing.
        """
        known = set(zip(*texts, strict=True))
        for name, rate, operation in self.operations:
            yield name, self._one(name, rate, operation, ids, texts, known, held_out)

    def _one(
        self,
        name: str,
        rate: float,
        operation: Operation,
        ids: Sequence[str],
        texts: Sequence[Sequence[str]],
        known: set[Texts],
        held_out: Callable[[Texts], bool],
    ) -> Added:
        by_id = sorted(range(len(ids)), key=ids.__getitem__)
        asked = [(row, copy) for row in by_id for copy in range(1, self._copies(name, rate, ids[row]) + 1)]
        columns = []
        for number, column in enumerate(texts):
            draws = [Draws(self.seed, f"augmenter {name} {copy} {number}", ids[row]) for row, copy in asked]
            columns.append(operation.apply([column[row] for row, _ in asked], draws))
        added = Added()
        for at, (row, copy) in enumerate(asked):
            made = [column[at] for column in columns]
            new = tuple(texts[number][row] if isinstance(each, Refusal) else each for number, each in enumerate(made))
            reason = _refusal(made) or (KNOWN if new in known else HELD_OUT if held_out(new) else None)
            if reason is None:
                known.add(new)
                added.rows.append(New(row, copy, new))
            else:
                added.refused[reason] += 1
        return added

    def _copies(self, name: str, rate: float, key: str) -> int:
        return int(rate) + (share(self.seed, f"augmenter {name} rate", key) < rate % 1)


def _refusal(made: Sequence[str | Refusal]) -> str | None:
    """Why there is no new row: no text changed, or one must not be changed."""
    reasons = [each for each in made if isinstance(each, Refusal)]
    if hard := [refusal for refusal in reasons if refusal != UNCHANGED]:
        return hard[0].reason
    return UNCHANGED.reason if len(reasons) == len(made) else None


def build(config: schema.Augmenter, *, translate: Translate | None = None) -> Augment | None:
    """The augmenter of a config, None where no rows are added.

    translate: the function of back-translation operations. Raises ConfigError for operations that cannot be used.
    """
    if (own := find_build("augmenter", config.name)) and translate is None:
        augment: Augment = own(config)
        return augment
    if not isinstance(config, schema.Operations):
        return None
    if not config.operations:
        raise ConfigError(Problem("there is no operation", "augmenter.operations", ", ".join(schema.OPERATIONS), "or augmenter=none"))
    problems: list[Problem] = []
    built, identity, speaks = [], [], False
    protection = _protection(config)
    for name, values in config.operations.items():
        try:
            kind, settings = _settings(name, dict(values or {}))
            operation = _operation(kind, settings, config.language, f"augmenter.operations.{name}", protection, translate)
        except ConfigError as error:
            problems += error.problems
            continue
        built.append((name, settings.rate, operation))
        speaks = speaks or operation.speaks
        # Lists count by what they say, not by where they lie.
        plain = {key: value for key, value in dataclasses.asdict(settings).items() if key not in ("file", "terms")}
        identity.append([name, kind, plain, operation.VERSION, operation.inputs()])
    if problems:
        raise ConfigError(problems)
    speaks = speaks or schema.NEGATIONS in config.protect
    about = (config.name, config.seed, sorted(protection.words), *identity)
    return Augment(tuple(built), config.seed, about, config.language if speaks else None)


def _protection(config: schema.Operations) -> Protection:
    words = [word for word in config.protect if word != schema.NEGATIONS]
    if schema.NEGATIONS not in config.protect:
        return Protection(words)
    return negations(config.language, words)


def _settings(name: str, values: dict[str, Any]) -> tuple[str, Any]:
    where = f"augmenter.operations.{name}"
    kind = values.pop("operation", name)
    if kind not in schema.OPERATIONS:
        raise ConfigError(Problem(f"unknown operation {kind!r}", where, ", ".join(schema.OPERATIONS), _meant(kind, schema.OPERATIONS)))
    cls: type = schema.OPERATIONS[kind]
    fields = fields_of(cls)
    problems = [Problem(f"unknown key {key!r}", where, ", ".join(fields), _meant(key, fields)) for key in values if key not in fields]
    if missing := [key for key in fields if key not in values]:
        problems.append(Problem(f"missing value: {', '.join(missing)}", where, ", ".join(fields)))
    for key, value in values.items():
        if key in fields and (wrong := complaint(fields[key], value)):
            problems.append(Problem(f"{key}={value} {wrong}", f"{where}.{key}", fields[key].allowed_text))
    if problems:
        raise ConfigError(problems)
    return kind, cls(**values)


def _meant(name: str, names: Any) -> str:
    near = nearest(name, names)
    return f"did you mean {near}?" if near else ""


def _operation(kind: str, config: Any, language: str, where: str, protection: Protection, translate: Translate | None) -> Operation:
    match kind:
        case "deletion":
            return rewording.Deletion(config, protection)
        case "swap":
            return rewording.Swap(config, protection)
        case "synonyms":
            return rewording.Synonyms(config, protection, rewording.thesaurus(config.file, language, where))
        case "insertion":
            return rewording.Insertion(config, protection, rewording.thesaurus(config.file, language, where))
        case "keyboard":
            return noise.Keyboard(config, protection)
        case "ocr":
            return noise.Ocr(config, protection)
        case "case":
            return noise.Case(config, protection)
        case "counterfactual":
            return Counterfactual(terms(config.terms, language, where))
        case "back_translation":
            return BackTranslation(translate, where)
    raise ValueError(f"no operation named {kind}")


__all__ = ["Added", "Augment", "Edit", "New", "Operation", "Refusal", "build"]
