"""Blocks of a study.yaml that make arms: every combination, value with value, a list, and the three classical ablations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finecomb.config.overrides import override, value_text
from finecomb.studies.plan.study_file import StudyFile

BLOCKS = ("grid", "zip", "list", "ablate")


@dataclass(frozen=True)
class Draft:
    """An arm as a file gives it. seeds, space: its own, None where the study's apply."""

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...] | None = None
    space: Mapping[str, Any] | None = None


def override_list(file: StudyFile, key: str, given: Any) -> tuple[str, ...]:
    """Overrides written as one text, a list of texts, or a mapping of key to value."""
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Mapping):
        return tuple(override(name, value) for name, value in given.items())
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return tuple(given)
    file.problem(key, f"{given!r} are no overrides", "key=value, a list of such, or a mapping key: value")
    return ()


def expand(file: StudyFile, block: str) -> list[Draft]:
    """The arms of all blocks of one kind."""
    given = file.content.get(block) or []
    if not isinstance(given, list):
        file.problem(block, f"{block} is a list of blocks", f"{block}: [{{...}}]")
        return []
    makers: dict[str, Callable[[StudyFile, str, Any], Iterator[Draft]]] = {"grid": _grid, "zip": _zip, "list": _list, "ablate": _ablate}
    found: list[Draft] = []
    for number, each in enumerate(given):
        key = f"{block}.{number}"
        if not isinstance(each, Mapping):
            file.problem(key, f"a block of {block} is a mapping", "key: [values]")
            continue
        found += makers[block](file, key, each)
    return found


def _values(file: StudyFile, key: str, block: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """Keys and their lists of values."""
    found = []
    for name, values in block.items():
        if not isinstance(values, list) or not values:
            file.problem(f"{key}.{name}", f"{name} has no list of values", f"{name}: [1, 2, 3]")
            continue
        found.append((str(name), values))
    return found


def _setting(name: str, value: Any) -> str:
    """How an arm's name tells a setting: the choice of a group alone, otherwise the last part of the key and the value."""
    return value_text(value) if "." not in name else f"{name.rpartition('.')[2]}={value_text(value)}"


def _combination(names: Sequence[str], values: Sequence[Any]) -> Draft:
    pairs = list(zip(names, values, strict=True))
    return Draft(" ".join(_setting(name, value) for name, value in pairs), tuple(override(name, value) for name, value in pairs))


def _grid(file: StudyFile, key: str, block: Mapping[str, Any]) -> Iterator[Draft]:
    """Every combination, the last key running fastest."""
    given = _values(file, key, block)
    names = [name for name, _ in given]
    return (_combination(names, values) for values in itertools.product(*(values for _, values in given)) if values)


def _zip(file: StudyFile, key: str, block: Mapping[str, Any]) -> Iterator[Draft]:
    """Value i of each key with value i of the others."""
    given = _values(file, key, block)
    if len({len(values) for _, values in given}) > 1:
        file.problem(key, "the lists of a zip differ in length: " + ", ".join(f"{name} {len(values)}" for name, values in given))
        return
    names = [name for name, _ in given]
    yield from (_combination(names, values) for values in zip(*(values for _, values in given), strict=True))


def _list(file: StudyFile, key: str, block: Mapping[str, Any]) -> Iterator[Draft]:
    """One arm, spelled out."""
    file.only(("name", "overrides", "seeds", "space"), key)
    overrides = override_list(file, f"{key}.overrides", block.get("overrides"))
    seeds = file.seeds(f"{key}.seeds") if "seeds" in block else None
    yield Draft(str(block.get("name") or " ".join(overrides) or "defaults"), overrides, seeds, block.get("space"))


def _ablate(file: StudyFile, key: str, block: Mapping[str, Any]) -> Iterator[Draft]:
    """The three classical ablations of one starting point.

    one_factor: {key: [values]}: the start, and the start with one value changed at a time.
    leave_one_out: {part: overrides}: all parts, and all but one. ladder: {part: overrides}: the parts added one after the other.
    """
    file.only(("from", "name", "one_factor", "leave_one_out", "ladder"), key)
    start = override_list(file, f"{key}.from", block.get("from"))
    name = str(block.get("name") or " ".join(word.partition("=")[2] or word for word in start) or "start")
    if not any(kind in block for kind in ("one_factor", "leave_one_out", "ladder")):
        file.problem(key, "the block ablates nothing", "one_factor, leave_one_out or ladder")
    if "one_factor" in block:
        yield Draft(name, start)
        for factor, values in _values(file, f"{key}.one_factor", file.mapping(f"{key}.one_factor")):
            for value in values:
                if override(factor, value) not in start:
                    yield Draft(f"{name}, {_setting(factor, value)}", (*start, override(factor, value)))
    yield from _leave_one_out(name, start, _parts(file, f"{key}.leave_one_out"))
    yield from _ladder(name, start, _parts(file, f"{key}.ladder"))


def _parts(file: StudyFile, key: str) -> dict[str, tuple[str, ...]]:
    return {str(name): override_list(file, f"{key}.{name}", given) for name, given in file.mapping(key).items()}


def _leave_one_out(name: str, start: tuple[str, ...], parts: Mapping[str, tuple[str, ...]]) -> Iterator[Draft]:
    if parts:
        yield Draft(f"{name}, all", (*start, *itertools.chain(*parts.values())))
    for left in parts:
        yield Draft(f"{name}, without {left}", (*start, *itertools.chain(*(words for part, words in parts.items() if part != left))))


def _ladder(name: str, start: tuple[str, ...], parts: Mapping[str, tuple[str, ...]]) -> Iterator[Draft]:
    if parts:
        yield Draft(name, start)
    overrides, label = start, name
    for part, words in parts.items():
        overrides, label = (*overrides, *words), f"{label} + {part}"
        yield Draft(label, overrides)
