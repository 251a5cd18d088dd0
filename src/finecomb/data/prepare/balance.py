"""Augmenting and sampling of the training rows, after splits are carved and limited; other splits are never touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from finecomb.config import plugins
from finecomb.config.computing import raised
from finecomb.config.schema import augmenter as augmenter_schema
from finecomb.config.schema import sampler as sampler_schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.data import augmenter as augmenters
from finecomb.data import sampler as samplers
from finecomb.data.chance import rank
from finecomb.data.cleaner.steps.language import require_language
from finecomb.data.cleaner.word_pattern import spaced
from finecomb.data.dataset.manifest import Manifest
from finecomb.data.dataset.rows import Rows

# Goes up when the same augmenter and sampler give other rows.
VERSION = 1
EXAMPLES = 5
_SHOWN = 200


@dataclass
class Balanced:
    """The splits after it, and what is told of it: see `cleaner.Cleaned` for funnel, examples, dropped and records."""

    splits: dict[str, Rows]
    funnel: list[dict[str, Any]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Balancing:
    """An augmenter, a sampler, both or neither."""

    augment: augmenters.Augment | None
    sample: samplers.Sample | None
    # What a cached result depends on; empty where nothing is done.
    identity: tuple[Any, ...]

    def __bool__(self) -> bool:
        return self.augment is not None or self.sample is not None

    def run(self, splits: Mapping[str, Rows], label_names: Sequence[str] | None) -> Balanced:
        """Change the training rows and say how. label_names: of labels that are indices; others stay as they are."""
        done = Balanced(dict(splits))
        if self.augment is not None:
            _augment(self.augment, done)
        if self.sample is not None:
            _sample(self.sample, done, label_names)
        return done


def build(augmenter: augmenter_schema.Augmenter | None, sampler: sampler_schema.Sampler | None) -> Balancing:
    """What the configs ask for. Raises ConfigError for what cannot be used."""
    augment = None if augmenter is None else augmenters.build(augmenter)
    sample = None if sampler is None else samplers.build(sampler)
    identity = []
    if augment is not None:
        identity.append(["augmenter", VERSION, *augment.identity, *_code("augmenter", augmenter), *raised("augmenter")])
    if sample is not None:
        identity.append(["sampler", VERSION, samplers.VERSION, vars(sampler), *_code("sampler", sampler)])
    return Balancing(augment, sample, tuple(identity))


def _code(group: str, config: augmenter_schema.Augmenter | sampler_schema.Sampler | None) -> list[str]:
    return [] if config is None else plugins.code(group, config.name)


def refuse_twice(manifest: Manifest, balancing: Balancing, limit: int | None) -> None:
    """Raise ConfigError where prepared rows that were balanced before are to be balanced again, or cut."""
    steps = [entry["step"] for entry in manifest.funnel if entry.get("balance")]
    if not steps:
        return
    done, hint = ", ".join(dict.fromkeys(steps)), "prepare the rows anew, with all that is wanted at once"
    if balancing:
        raise ConfigError(Problem(f"the training rows of this folder have been balanced before: {done}", "augmenter, sampler", hint=hint))
    if limit is not None and limit < manifest.rows["train"]:
        raise ConfigError(Problem(f"a part of rows that were balanced ({done}) is not balanced", "dataset.limit.train", hint=hint))


def _augment(augment: augmenters.Augment, done: Balanced) -> None:
    train = done.splits["train"]
    if augment.language is not None:
        require_language(train.text, augment.language, "the augmenter", "augmenter.language")
    columns = [train.text] if train.text_pair is None else [train.text, train.text_pair]
    held_out = {_plain(texts) for split, rows in done.splits.items() if split != "train" for texts in _texts(rows)}
    size, count = sum(map(_bytes, columns)), len(train)
    made: list[tuple[int, int, str, tuple[str, ...]]] = []
    ids = list(train.id)
    for number, (name, added) in enumerate(augment.run(ids, columns, lambda texts: _plain(texts) in held_out)):
        step = f"augmenter.{name}"
        new = [(row.origin, number, f"{ids[row.origin]}+{name}{row.copy}", row.texts) for row in added.rows]
        grown = size + sum(_bytes(texts) for *_, texts in new)
        done.funnel.append(_entry(step, count, count + len(new), {"rows added": len(new)}, size, grown))
        done.records[step] = {"added": len(new), "not_added": dict(sorted(added.refused.items()))}
        done.examples += _examples(step, train, new)
        made, size, count = made + new, grown, count + len(new)
    done.splits["train"] = _with_new(train, made)


def _texts(rows: Rows) -> Sequence[tuple[str, ...]]:
    return [(text,) for text in rows.text] if rows.text_pair is None else list(zip(rows.text, rows.text_pair, strict=True))


def _plain(texts: Sequence[str]) -> tuple[str, ...]:
    """Texts as leakage is counted: case, space and punctuation do not."""
    return tuple(spaced(text.lower()) or text for text in texts)


def _with_new(train: Rows, made: Sequence[tuple[int, int, str, tuple[str, ...]]]) -> Rows:
    """New rows behind their origins, with the labels, groups and provenance of these."""
    own = [(row, -1, identifier, texts) for row, (identifier, texts) in enumerate(zip(train.id, _texts(train), strict=True))]
    every = sorted([*own, *made], key=lambda each: each[:2])
    ids = _unique([identifier for _, _, identifier, _ in every])
    texts = [texts[0] for *_, texts in every]
    pairs = None if train.text_pair is None else [texts[1] for *_, texts in every]
    return replace(train.take([row for row, *_ in every]), id=ids, text=texts, text_pair=pairs)


def _unique(ids: Sequence[str]) -> list[str]:
    """Ids of the data may look like those of copies; then the copy's gets a mark."""
    seen: set[str] = set()
    found = []
    for identifier in ids:
        while identifier in seen:
            identifier += "'"
        seen.add(identifier)
        found.append(identifier)
    return found


def _sample(sample: samplers.Sample, done: Balanced, label_names: Sequence[str] | None) -> None:
    train = done.splits["train"]
    labels = [label_names[label] if label_names is not None and isinstance(label, int) else label for label in train.label]
    names = list(train.id)
    found = sample(names, labels, train.group)
    ids = [names[row] if copy == 1 else f"{names[row]}#{copy}" for row, copy in zip(found.rows, found.copies, strict=True)]
    after = replace(train.take(found.rows), id=_unique(ids), weight=found.weights)
    kept = set(found.rows)
    gone = [row for row in range(len(train)) if row not in kept]
    copies = len(after) - len(kept)
    reasons = {"copies added": copies} if copies else {"left out for balance": len(gone)} if gone else {}
    done.funnel.append(_entry("sampler", len(train), len(after), reasons, _size(train), _size(after)))
    done.records["sampler"] = found.record
    done.dropped += [_dropped(train, row, labels[row]) for row in gone]
    done.splits["train"] = after


def _dropped(rows: Rows, row: int, label: Any) -> dict[str, Any]:
    pair = None if rows.text_pair is None else rows.text_pair[row]
    where = {"step": "sampler", "reason": "left out for balance", "split": "train", "id": rows.id[row]}
    return where | {"text": rows.text[row], "text_pair": pair, "label": label}


def _entry(step: str, rows_in: int, rows_out: int, reasons: Mapping[str, int], bytes_in: int, bytes_out: int) -> dict[str, Any]:
    sizes = {"rows_in": rows_in, "rows_out": rows_out, "changed": 0, "bytes_in": bytes_in, "bytes_out": bytes_out}
    return {"step": step, "split": "train", **sizes, "reasons": {why: count for why, count in reasons.items() if count}, "balance": True}


def _size(rows: Rows) -> int:
    return _bytes(rows.text) + _bytes(rows.text_pair or ())


def _bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _examples(step: str, train: Rows, new: Sequence[tuple[int, int, str, tuple[str, ...]]]) -> list[dict[str, Any]]:
    """A few new rows beside their origins, chosen by their ids alone."""
    chosen = sorted(new, key=lambda each: rank(0, step, each[2]))[:EXAMPLES]
    before = _texts(train)
    return [
        {"step": step, "reason": "added", "split": "train", "id": identifier, "before": _cut(before[row]), "after": _cut(texts)}
        for row, _, identifier, texts in chosen
    ]


def _cut(texts: Sequence[str]) -> str:
    return " | ".join(text if len(text) <= _SHOWN else text[:_SHOWN] + " ..." for text in texts)
