"""A recipe runs its steps in order over the shards of all splits, counts every row in and out with its reason, and keeps examples.

Steps that judge each text by itself are done together, shard by shard; before a step that looks at the whole corpus every shard has come
so far. Each task's result lies in the cache under a name that follows from the steps, their values and versions, and the shard's content:
asked again, or after it was killed, a recipe does what is not there yet. Neither the order of tasks nor the number of processes shows in
a result.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner import stage
from finecomb.data.cleaner.step import CorpusStep, Scorer, Sketch, Step
from finecomb.data.cleaner.steps.language import LanguageGate
from finecomb.data.engine import Engine, LocalEngine
from finecomb.data.shards import Folder, Shard, absolute, advanced, key_of, load_facts, relative, root, run_tasks, save_facts

# The order in which splits are cleaned and their rows numbered: a text that stands in several of them stays in the first.
PRECEDENCE = ("test", "validation", "train")


@dataclass
class Score:
    """A score of a step over one split. low, high: the bounds applied. parts: for each shard the ids and values of the rows seen."""

    step: str
    score: str
    low: float | None
    high: float | None
    split: str
    parts: Callable[[], Iterator[tuple[list[str], list[float]]]]


@dataclass
class Cleaned:
    """The splits after the recipe, and its record.

    funnel: for each step and split {"step", "split", "rows_in", "rows_out", "bytes_in", "bytes_out", "changed", "reasons": {reason: rows
    dropped}}; bytes are of texts in UTF-8. Of a split that stays whole also "kept": {reason: rows that would have been dropped or cut}.
    examples: for each step and reason at most five rows {"step", "reason", "split", "id", "before", "after"}; after is None when dropped.
    dropped: for each step and split tables of the rows that went, as the step saw them (step, reason, id, text, text_pair, label).
    scores: each score of each step. records: what steps found out about the corpus. seconds: of all processes together, by step.
    """

    splits: dict[str, list[Shard]]
    funnel: list[dict[str, Any]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[tuple[str, Callable[[], Iterator[Any]]]] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    # Scores, as step.score, that number clusters of which no row is to be carved from the others.
    clusters: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Recipe:
    """Named steps in order. `make` builds a fresh step.

    identity: kind, values and VERSION of each step: what a cached result depends on; and what the recipe itself decides. config: what
    another process builds the same steps of by `rebuild`; None: only this process can. keep_given_test: a test set that came with the data
    loses no row, and only steps that rewrite a text by itself change its texts.
    """

    steps: tuple[tuple[str, Callable[[], Step]], ...]
    identity: tuple[Any, ...]
    config: schema.Cleaner | None = None
    keep_given_test: bool = False
    rebuild: Callable[[str], list[tuple[str, Step]]] | None = None

    def run(self, splits: Mapping[str, Sequence[Shard]], engine: Engine | None = None, *, held_out: Collection[str] = ()) -> Cleaned:
        """Clean all splits. Ids never change. held_out: those that were split from train; the others were given."""
        cleaned = Cleaned({split: list(splits[split]) for split in PRECEDENCE if split in splits})
        cleaned.clusters += [f"{name}.{step.groups_by}" for name, step in self.built() if step.groups_by]
        run = _Run(self, engine or LocalEngine(1), cleaned, frozenset(held_out))
        for first, last in _stages([step for _, step in run.steps]):
            run.stage(first, last)
        return cleaned

    def around(self, held_out: Collection[str]) -> tuple[Recipe, Recipe]:
        """The steps before held-out splits are taken from train, and those that run once these exist.

        held_out: the splits to come; without any, all steps run before.
        """
        later = {name for name, make in self.steps if held_out and getattr(make(), "AFTER_SPLIT", False)}
        return (self._only(lambda name: name not in later), self._only(lambda name: name in later)) if later else (self, self._only(_never))

    def _only(self, wanted: Callable[[str], bool]) -> Recipe:
        """The steps of some names."""
        numbers = [number for number, (name, _) in enumerate(self.steps) if wanted(name)]
        steps = tuple(self.steps[number] for number in numbers)
        identity = tuple(self.identity[number] for number in numbers if number < len(self.identity))
        config = self.config and dataclasses.replace(
            self.config, steps={name: values for name, values in self.config.steps.items() if wanted(name)}
        )
        return dataclasses.replace(self, steps=steps, identity=identity, config=config)

    def built(self) -> list[tuple[str, Step]]:
        """The steps, and before each whose rules are of one language the gate that asks whether the texts are."""
        built: list[tuple[str, Step]] = []
        for name, make in self.steps:
            step = make()
            if step.language is not None:
                built.append((f"{name}:language", LanguageGate(step.language, name)))
            built.append((name, step))
        return built

    def facts(self) -> list[Any]:
        """The identity of each of the built steps."""
        facts: list[Any] = []
        for number, (_, make) in enumerate(self.steps):
            own = self.identity[number] if number < len(self.identity) else ["only here", number]
            if (language := make().language) is not None:
                facts.append(["gate", language, LanguageGate.VERSION, *(f"{name} {version(name)}" for name in LanguageGate.LIBRARIES)])
            facts.append(own)
        return facts


def _never(name: str) -> bool:
    return False


def _stages(steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """Runs of steps [first, last) of which only the first may look at the whole corpus."""
    first = 0
    for number in range(1, len(steps) + 1):
        if number == len(steps) or isinstance(steps[number], CorpusStep):
            yield first, number
            first = number


class _Run:
    """One recipe over one set of shards."""

    def __init__(self, recipe: Recipe, engine: Engine, cleaned: Cleaned, held_out: frozenset[str]) -> None:
        self.recipe, self.engine, self.cleaned, self.held_out = recipe, engine, cleaned, held_out
        # Splits of which no row is dropped.
        self.whole = {"test"} & cleaned.splits.keys() - held_out if recipe.keep_given_test else set()
        self.steps, self.facts = recipe.built(), recipe.facts()
        # Steps that no other process can build have no name that would mean the same another time.
        self.alone = recipe.config is None
        self.salt = [id(cleaned)] if self.alone and not recipe.identity else []

    def shards(self) -> list[Shard]:
        return [shard for split in PRECEDENCE for shard in self.cleaned.splits.get(split, [])]

    def stage(self, first: int, last: int) -> None:
        """Plan the first step where it needs one, then take every shard through the steps."""
        state = None
        name, step = self.steps[first]
        if isinstance(step, CorpusStep):
            state = self._planned(first, name, step)
        shards = self.shards()
        starts = np.cumsum([0, *(shard.rows for shard in shards)]).tolist()
        outputs = [
            self._named("stage", self.facts[first:last], state and state.name, shard.split, shard.key, *self._marks(shard))
            for shard in shards
        ]
        specs = [
            {"task": "stage", "name": shard.path.stem, "first": first, "last": last, "shard": shard.plain(), "start": start,
             "state": state and relative(state), "measures": self._measures(first, last), "whole": shard.split in self.whole,
             "output": relative(output)}
            for shard, start, output in zip(shards, starts, outputs, strict=False)
        ]  # fmt: skip
        accounts = self._do(specs, [shard.bytes for shard in shards], f"cleaning: {', '.join(n for n, _ in self.steps[first:last])}")
        self._account(first, last, shards, outputs, accounts)

    def _marks(self, shard: Shard) -> list[str]:
        """What a result depends on besides steps and content: how the shard's split is treated."""
        return ["whole"] * (shard.split in self.whole) + [f"split off: {shard.split}"] * (shard.split in self.held_out)

    def _planned(self, number: int, name: str, step: CorpusStep) -> Path:
        """The folder of a step's plan, made when it is not there."""
        shards = self.shards()
        outputs = [self._named("sketch", _sketched(self.facts[number], step), shard.split, shard.key) for shard in shards]
        specs = [
            {"task": "sketch", "name": shard.path.stem, "step": number, "shard": shard.plain(), "output": relative(o)}
            for shard, o in zip(shards, outputs, strict=True)
        ]
        facts = self._do(specs, [shard.bytes for shard in shards], f"looking: {name}")
        folder = self._named(
            "plan",
            self.facts[number],
            [[shard.split, shard.rows, o.name, *self._marks(shard)] for shard, o in zip(shards, outputs, strict=True)],
        )
        if Folder(folder).facts() is None:
            starts = np.cumsum([0, *(shard.rows for shard in shards)]).tolist()
            plain = [
                {"split": s.split, "start": start, "rows": s.rows, "facts": relative(o), "given": s.split not in self.held_out,
                 "whole": s.split in self.whole}
                for s, start, o in zip(shards, starts, outputs, strict=False)
            ]  # fmt: skip
            sketches, corpus = _sketches(plain), _Rows(shards, starts)
            if (parts := step.plan_parts(sketches)) > 1:
                done = [load_facts(part) for part in self._plan_tasks(number, name, plain, folder, parts)]
                Folder(folder).make(lambda where: save_facts(where, lambda: step.join(done, sketches, corpus)))
            else:
                Folder(folder).make(lambda where: save_facts(where, lambda: step.plan(sketches, corpus)))
        facts.append(Folder(folder).facts() or {})
        # What a gate looks at is looked at for the step behind it.
        behind = name.removesuffix(":language")
        self.cleaned.seconds[behind] = self.cleaned.seconds.get(behind, 0.0) + sum(each.get("seconds", 0.0) for each in facts)
        if record := step.record(load_facts(folder)):
            self.cleaned.records[name] = record
        return folder

    def _plan_tasks(self, number: int, name: str, sketches: list[dict[str, Any]], folder: Path, parts: int) -> list[Path]:
        """The shares of a plan, each the work of a task."""
        folders = [folder.with_name(f"{folder.name}-{part}-of-{parts}") for part in range(parts)]
        specs = [
            {
                "task": "plan",
                "name": f"{name} {part}",
                "step": number,
                "sketches": sketches,
                "part": part,
                "parts": parts,
                "output": relative(o),
            }
            for part, o in enumerate(folders)
        ]
        self._do(specs, [sum(shard.bytes for shard in self.shards()) // parts] * parts, f"planning: {name}")
        return folders

    def _measures(self, first: int, last: int) -> list[str | None]:
        """Where each step that measures keeps its measures."""
        return [
            relative(root() / "measured" / key_of(_measured(self.facts[number], step)))
            if isinstance(step := self.steps[number][1], Scorer) and not self.alone
            else None
            for number in range(first, last)
        ]

    def _named(self, *facts: Any) -> Path:
        return root() / str(facts[0]) / key_of(*facts, *self.salt)

    def _do(self, specs: Sequence[dict[str, Any]], sizes: Sequence[int], what: str) -> list[dict[str, Any]]:
        """Do the tasks that have not been done; return what each says of itself."""
        rebuild = self.recipe.rebuild
        if self.alone or rebuild is None:
            return run_tasks(LocalEngine(1), functools.partial(_work, self.steps), specs, sizes, what)
        return run_tasks(self.engine, functools.partial(work_elsewhere, rebuild, _config(self.recipe)), specs, sizes, what)

    def _account(self, first: int, last: int, shards: list[Shard], outputs: list[Path], accounts: list[dict[str, Any]]) -> None:
        """Merge what the shards' accounts say, step by step and split by split; the shards go on with their deltas."""
        cleaned = self.cleaned
        after = [
            advanced(shard, output / stage.DELTA, key_of("delta", output.name), account["rows"], account["bytes"])
            for shard, output, account in zip(shards, outputs, accounts, strict=True)
        ]
        for number in range(first, last):
            name, step = self.steps[number]
            if isinstance(step, LanguageGate):
                continue
            samples: list[tuple[str, dict[str, Any]]] = []
            entries: dict[str, dict[str, Any]] = {}
            for shard, account in zip(shards, accounts, strict=True):
                counted = account["steps"][number - first]
                samples += [(order, example) for order, example in counted["samples"]]
                entry = entries.setdefault(
                    shard.split,
                    {"step": name, "split": shard.split} | dict.fromkeys(_COUNTS, 0) | {"reasons": Counter(), "kept": Counter()},
                )
                for key in _COUNTS:
                    entry[key] += counted[key]
                entry["reasons"].update(counted["reasons"])
                entry["kept"].update(counted.get("kept", {}))
                cleaned.seconds[name] = cleaned.seconds.get(name, 0.0) + counted["seconds"]
            for entry in entries.values():
                entry["reasons"] = dict(sorted(entry["reasons"].items()))
                if kept := dict(sorted(entry.pop("kept").items())):
                    entry["kept"] = kept
            cleaned.funnel += [entries[split] for split in reversed(PRECEDENCE) if split in entries]
            cleaned.examples += stage.merged(samples)
            for split in entries:
                of_split = [(shard, output) for shard, output in zip(shards, outputs, strict=True) if shard.split == split]
                cleaned.dropped.append((split, functools.partial(_dropped, [output for _, output in of_split], name)))
                for score in next(account["steps"][number - first]["scores"] for account in accounts):
                    low, high = step.thresholds().get(score, (None, None))
                    parts = functools.partial(_score_parts, of_split, number - first, score)
                    cleaned.scores.append(Score(name, score, low, high, split, parts))
        numbered = iter(after)
        cleaned.splits = {split: [next(numbered) for _ in before] for split, before in cleaned.splits.items()}


_COUNTS = ("rows_in", "rows_out", "bytes_in", "bytes_out", "changed")


def _dropped(outputs: Sequence[Path], name: str) -> Iterator[Any]:
    return (stage.dropped_of(output, name) for output in outputs)


def _score_parts(shards: Sequence[tuple[Shard, Path]], number: int, score: str) -> Iterator[tuple[list[str], list[float]]]:
    for shard, output in shards:
        with np.load(output / stage.MEASURED, allow_pickle=False) as measured:
            rows, values = measured[f"{number}:"], measured[f"{number}:{score}"]
        yield shard.table().column("id").take(rows).to_pylist(), values.tolist()


def _sketched(facts: Any, step: CorpusStep) -> Any:
    """The part of a step's identity that its sketch depends on."""
    return facts if step.SKETCHED_BY is None else _part(facts, step.SKETCHED_BY)


def _measured(facts: Any, step: Scorer) -> Any:
    return _part(facts, step.MEASURED_BY)


def _part(facts: Any, names: Sequence[str]) -> Any:
    """Kind, the named values and VERSION, without the step's name and the other values."""
    if not isinstance(facts, list | tuple) or len(facts) < 4:
        return facts
    _, kind, values, version, *files = facts
    return [kind, {name: values[name] for name in names}, version, *files]


def _config(recipe: Recipe) -> str:
    assert recipe.config is not None
    return json.dumps(dataclasses.asdict(recipe.config), default=str)


def work_elsewhere(rebuild: Callable[[str], list[tuple[str, Step]]], config: str, spec: dict[str, Any]) -> None:
    """A task in any process, which builds the steps of the recipe's config."""
    _work(rebuild(config), spec)


def _work(steps: Sequence[tuple[str, Step]], spec: dict[str, Any]) -> None:
    output = absolute(spec["output"])
    if spec["task"] == "plan":
        step = steps[spec["step"]][1]
        assert isinstance(step, CorpusStep)
        stage.plan_part(step, _sketches(spec["sketches"]), spec["part"], spec["parts"], output)
        return
    shard = Shard.of(spec["shard"])
    if spec["task"] == "sketch":
        step = steps[spec["step"]][1]
        assert isinstance(step, CorpusStep)
        stage.sketch(step, shard.table(), shard.split, output)
        return
    stage.run(
        steps[spec["first"] : spec["last"]],
        shard,
        spec["start"],
        state=spec["state"] and absolute(spec["state"]),
        measures=[folder and absolute(folder) for folder in spec["measures"]],
        whole=spec["whole"],
        output=output,
    )


def _sketches(plain: Sequence[Mapping[str, Any]]) -> list[Sketch]:
    return [Sketch(**{**each, "facts": load_facts(absolute(each["facts"]))}) for each in plain]


class _Rows:
    """The corpus as a plan may ask for it: single rows, by their number; a few shards are kept open."""

    def __init__(self, shards: Sequence[Shard], starts: Sequence[int]) -> None:
        self._shards, self._starts = shards, np.asarray(starts[:-1], dtype=np.int64)
        self._open = functools.lru_cache(maxsize=8)(lambda number: self._shards[number].table())

    def _at(self, row: int) -> tuple[int, int]:
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return number, row - int(self._starts[number])

    def _cell(self, row: int, name: str) -> Any:
        number, place = self._at(row)
        return self._open(number).column(name)[place].as_py()

    def text(self, row: int) -> str:
        number, _ = self._at(row)
        text: str = self._cell(row, "text")
        return f"{text}\n{self._cell(row, 'text_pair')}" if "text_pair" in self._open(number).column_names else text

    def id(self, row: int) -> str:
        identifier: str = self._cell(row, "id")
        return identifier

    def label(self, row: int) -> Any:
        return json.loads(self._cell(row, "label"))

    def split(self, row: int) -> str:
        return self._shards[self._at(row)[0]].split
