"""Splits of many files as a stream of rows: ids that hang on nothing else, broken rows set aside, memory for two chunks at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from finecomb.config.schema.dataset import Columns
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.broken import EMPTY_FILE, UNKNOWN_SUFFIX, Broken, Intake
from finecomb.data.dataset.columns import needed, refuse_numbers, to_rows
from finecomb.data.dataset.compressed import Damaged
from finecomb.data.dataset.formats.piece import PIECE, How, Table
from finecomb.data.dataset.kinds import KINDS
from finecomb.data.dataset.rows import Rows


@dataclass(frozen=True)
class Want:
    """What rows are made of and how much may be broken.

    kind, separator, aliases: as in columns.needed and columns.to_rows. strict, most, skip_damaged: as in broken.Intake. source: the data
    set's name, for the provenance of each row. first: how many rows of each split are read, None: all. unlabeled: training rows may lack a
    label.
    """

    columns: Columns
    kind: str
    separator: str
    strict: bool
    most: float
    source: str
    aliases: Mapping[str, Any]
    first: int | None = None
    unlabeled: bool = False
    skip_damaged: bool = False

    @property
    def may_have_ids(self) -> bool:
        """Whether ids can come from a column."""
        return self.columns.id is not None or (self.kind in KINDS and "id" in KINDS[self.kind].defaults)


@dataclass(frozen=True)
class Part:
    """One file of a split, or what stands for one. tables: opens it; it may raise Damaged at its end. size: bytes on disk."""

    name: str
    where: str
    size: int
    tables: Callable[[How], Iterator[Table]]


@dataclass(frozen=True)
class Plan:
    """The parts of one split. single: the name of the only part is no part of ids and places. named: ids are the parts' names.

    how: how files are read, but for the columns. given, key: what the user wrote, and the option that it was written in.
    numbered: ids are numbers that go on from one part to the next. skipped: names of files that are not read, to be counted.
    """

    parts: list[Part]
    single: bool
    named: bool
    how: How
    given: str
    key: str
    numbered: bool = False
    skipped: tuple[str, ...] = ()


def read_splits(
    plans: Mapping[str, Plan], want: Want, funnel: list[dict[str, Any]], rejected: list[dict[str, Any]]
) -> dict[str, Iterable[Rows]]:
    """Chunks of each split. The first chunk of each is read at once, so that what is wrong with a file is told before anything is written,
    for all splits together; `funnel` and `rejected` are filled while the others are read.

    Ids that two splits share, as in files that each count from 0, get the split's name in front, in every split.
    """
    problems: list[Problem] = []
    streams: dict[str, Iterator[Rows]] = {}
    first: dict[str, list[Rows]] = {}
    done: set[str] = set()
    for split, plan in plans.items():
        try:
            streams[split] = _stream(split, plan, want, funnel, rejected)
            first[split] = [next(streams[split])]
            # Is there more? A second chunk is held only where there is one.
            more = next(streams[split], None)
            first[split] += [] if more is None else [more]
            done |= {split} if more is None else set()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    if _share_ids(plans, want, first, done):
        return {split: _prefixed(split, chain(first[split], streams[split])) for split in plans}
    return {split: first[split] if split in done else chain(first[split], streams[split]) for split in plans}


def _prefixed(split: str, chunks: Iterable[Rows]) -> Iterator[Rows]:
    for rows in chunks:
        yield replace(rows, id=[f"{split}:{identifier}" for identifier in rows.id])


def _share_ids(plans: Mapping[str, Plan], want: Want, first: Mapping[str, list[Rows]], done: set[str]) -> bool:
    """Whether two splits have an id in common. Where a split is longer than its first chunks, all are read once more for that."""
    if len(plans) < 2 or (not want.may_have_ids and not any(plan.named for plan in plans.values())):
        return False
    seen: set[str] = set()
    for split, plan in plans.items():
        if not want.may_have_ids:
            keys = {part.name for part in plan.parts}
        else:
            again = _stream(split, plan, replace(want, strict=False, most=1.0), [], [])
            keys = {identifier for rows in (first[split] if split in done else again) for identifier in rows.id}
        if not keys.isdisjoint(seen):
            return True
        seen |= keys
    return False


class _Reader:
    """Reads one split; knows which columns are what, which ids were seen and what was left out."""

    def __init__(self, split: str, plan: Plan, want: Want) -> None:
        self.split, self.plan, self.want = split, plan, want
        self.intake = Intake(split, strict=want.strict, most=want.most, key=plan.key, documents=plan.named, skip_damaged=want.skip_damaged)
        for name in plan.skipped:
            self.intake.add(name, "file", [Broken(None, UNKNOWN_SUFFIX)], 0)
        self._seen: set[str] | None = set() if want.may_have_ids else None
        self._open: dict[str, str] | None = None
        self._known: dict[tuple[str, ...], dict[str, str]] = {}
        self._before = 0

    def rows(self, part: Part) -> Iterator[Rows]:
        """The rows of one part; what cannot be read goes to the intake."""
        how = replace(self.plan.how, choose=lambda names: list(self._named(names, part.name, open_names=False).values()))
        good, any_rows, unit, count = self.intake.good, False, "line", 0
        try:
            for table in part.tables(how):
                any_rows, unit = True, table.unit
                yield from self._kept(table)
                count += len(table) + sum(row.rows for row in table.broken)
            if not any_rows:
                self.intake.add(part.name, unit, [Broken(None, EMPTY_FILE)], 0)
            self.intake.file(part.size)
        except Damaged as error:
            kept, fault = self.intake.good - good, Broken(None, error.reason, error.detail, error.text)
            if kept and not self.plan.named:
                lost = 0 if not error.read else max(1, round(kept * (1 / error.read - 1)))
                self.intake.cut(part.name, unit, replace(fault, rows=lost), kept)
            else:
                self.intake.add(part.name, unit, [fault], 0)
            self.intake.file(part.size, lost=not kept and not self.plan.named)
        self._before += count
        if self.intake.strict:
            self.intake.check()

    def _kept(self, table: Table) -> Iterator[Rows]:
        if table.names and not table.open_names:
            self._named(table.names, table.file, open_names=False)
        if not len(table):
            self.intake.add(table.file, table.unit, table.broken, 0)
            return
        named = self._named(table.names, table.file, open_names=table.open_names)
        want = self.want
        unlabeled = want.unlabeled and self.split == "train"
        rows, broken = to_rows(table, named, want.kind, want.separator, self._ids(table), self._seen, unlabeled=unlabeled)
        broken = sorted([*table.broken, *broken], key=lambda row: row.line or 0)
        self.intake.add(table.file, table.unit, broken, len(rows))
        if self.intake.strict:
            self.intake.check()
        if len(rows):
            yield rows if self.plan.single else self._placed(rows, table.file)

    def _placed(self, rows: Rows, file: str) -> Rows:
        """Rows that name their file. Where a file's name is no part of what the cache goes by, it is no provenance either."""
        count = len(rows)
        provenance: dict[str, list[str | None]] = {"url": [file] * count, "source": [self.want.source] * count}
        return replace(rows, files=[file] * count, provenance=None if self.plan.numbered else provenance)

    def _named(self, names: list[str], file: str, *, open_names: bool) -> dict[str, str]:
        if open_names and self._open is not None:
            return self._open
        key = tuple(names)
        if key not in self._known:
            try:
                self._known[key] = needed(names, self.want.columns, file, self.want.kind, aliases=self.want.aliases)
            except ConfigError as error:
                raise ConfigError(replace(problem, where=f"{problem.where} ({self.plan.key})") for problem in error.problems) from error
        if open_names:
            self._open = self._known[key]
        return self._known[key]

    def _ids(self, table: Table) -> list[str]:
        """Names of the rows by where they stand; with one file as they were before there could be several."""
        if self.plan.named:
            return [table.file] * len(table)
        if self.plan.numbered:
            return [f"{self.split}:{self._before + row}" for row in table.row]
        prefix = self.split if self.plan.single else f"{self.split}:{table.file}"
        return [f"{prefix}:{row}" for row in table.row]

    def nothing(self) -> ConfigError:
        """The error for a split without a row."""
        if problems := self.intake.file_problems({part.name: part.where for part in self.plan.parts}):
            return ConfigError(problems)
        self.intake.check()
        name = self.plan.parts[0].name if len(self.plan.parts) == 1 else self.plan.given
        hint = "a split that is given needs at least one row"
        return ConfigError(Problem(f"{name} holds no row", f"{self.plan.parts[0].where} ({self.plan.key})", hint=hint))


def _joined(parts: Sequence[Rows]) -> Rows:
    """Rows of one split one after another."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]

    def each(name: str) -> list[Any]:
        return [cell for part in parts for cell in getattr(part, name)]

    optional: dict[str, Any] = {name: None if getattr(first, name) is None else each(name) for name in ("text_pair", "group", "files")}
    optional["provenance"] = first.provenance and {
        name: [cell for part in parts for cell in (part.provenance or {})[name]] for name in first.provenance
    }
    return replace(first, id=each("id"), text=each("text"), label=each("label"), line=each("line"), **optional)


def _stream(split: str, plan: Plan, want: Want, funnel: list[dict[str, Any]], rejected: list[dict[str, Any]]) -> Iterator[Rows]:
    """Chunks of about PIECE characters."""
    reader = _Reader(split, plan, want)
    waiting: list[Rows] = []
    size, numbers_checked = 0, False

    def chunk() -> Rows:
        nonlocal size, numbers_checked
        reader.intake.check()
        rows = _joined(waiting)
        if not numbers_checked and not plan.named:
            refuse_numbers(rows, want.columns.text)
        numbers_checked, size = True, 0
        waiting.clear()
        return rows

    left = want.first
    for rows in chain.from_iterable(map(reader.rows, plan.parts)):
        if left is not None:
            reader.intake.good -= max(0, len(rows) - left)
            rows = rows.take(range(len(rows))[:left])
            left -= len(rows)
        if waiting and waiting[0].unit != rows.unit:  # lines of one file, rows of the next
            yield chunk()
        waiting.append(rows)
        size += sum(map(len, rows.text)) + 16 * len(rows)
        if size >= PIECE:
            yield chunk()
        if left == 0:
            break
    if not reader.intake.good:
        raise reader.nothing()
    reader.intake.check()
    reader.intake.check_files()
    rejected += reader.intake.rejected
    if (entry := reader.intake.entry()) is not None:
        funnel.append(entry)
    if waiting:
        yield chunk()
