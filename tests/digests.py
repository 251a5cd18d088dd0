"""Digests of all code that computes numbers: `make digests` records them, `tests/test_digests.py` compares.

A digest stands for a module's syntax tree without comments, docstrings and its VERSION. digests.json holds one line for each module;
digests.log, why changes were confirmed that raised no version.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECORD, LOG = HERE / "digests.json", HERE / "digests.log"
_NAMED_VERSION = re.compile(r"_?(?:[A-Z]+_)*VERSION")
# Differ between Python versions or hold no meaning.
_IGNORED = ("ctx", "kind", "type_comment", "type_ignores")

Entry = dict[str, str]


def described(source: str) -> Entry:
    """Version and digest of a module's source."""
    tree = ast.parse(source)
    version = " ".join(f"{name}={value}" for name, value in _versions(tree, "") if value != "1") or "1"
    digest = hashlib.sha256(json.dumps(_plain(tree), ensure_ascii=True).encode()).hexdigest()[:16]
    return {"version": version, "digest": digest}


def _versions(node: Any, place: str) -> Iterator[tuple[str, str]]:
    for statement in node.body:
        if name := _sets_version(statement):
            yield f"{place}{name}", str(ast.literal_eval(statement.value))
        elif isinstance(statement, ast.ClassDef):
            yield from _versions(statement, f"{place}{statement.name}.")


def _sets_version(statement: ast.stmt) -> str | None:
    target = (
        statement.targets[0] if isinstance(statement, ast.Assign) else statement.target if isinstance(statement, ast.AnnAssign) else None
    )
    simple = isinstance(target, ast.Name) and isinstance(getattr(statement, "value", None), ast.Constant)
    return target.id if simple and isinstance(target, ast.Name) and _NAMED_VERSION.fullmatch(target.id) else None


def _plain(node: Any) -> Any:
    """A syntax tree as lists, the same for every version of Python that parses it the same."""
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, repr(node.value)]
    if isinstance(node, ast.AST):
        fields = [[name, _plain(value)] for name, value in ast.iter_fields(node) if name not in _IGNORED and value not in (None, [])]
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [_plain(item) for item in node if not _says_nothing(item)]
    return node


def _says_nothing(item: Any) -> bool:
    text = isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
    return text or (isinstance(item, ast.Assign | ast.AnnAssign) and _sets_version(item) is not None)


def current() -> dict[str, Entry]:
    """Version and digest of every computing module as it is now."""
    from finecomb.config import computing

    return {name: described(computing.file_of(name).read_text(encoding="utf-8")) for name in computing.names()}


def recorded() -> dict[str, Entry]:
    """What digests.json says."""
    found: dict[str, Entry] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return found


def changed(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> tuple[list[str], list[str]]:
    """Modules that differ from the record: those that need a decision, and those of which only the record is out of date.

    A decision is needed where the code changed and no version went up, and where a version went down.
    """
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    open_ = [name for name in differing if name in old and name in new and not _went_up(old[name]["version"], new[name]["version"])]
    return open_, [name for name in differing if name not in open_]


def _went_up(old: str, new: str) -> bool:
    before, after = _numbers(old), _numbers(new)
    pairs = [(before.get(name, 1), after.get(name, 1)) for name in {*before, *after}]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _numbers(version: str) -> dict[str, int]:
    return {name: int(number) for name, _, number in (word.partition("=") for word in version.split()) if number}


def record(reason: str) -> int:
    """Write the record anew; returns the exit code. reason: why the changes of code that raised no version change no result."""
    old, new = recorded(), current()
    open_, stale = changed(old, new)
    if open_ and not reason:
        print("The code of these modules changed, and no VERSION in them went up:", *open_, sep="\n  ")
        print('Raise VERSION where a result changes. Where none does, say why: make digests REASON="..."')
        return 1
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(new.items()))
    RECORD.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    if open_:
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d')} {' '.join(reason.split())}: {', '.join(open_)}\n")
    print(f"{len(new)} modules; {len(open_)} confirmed, {len(stale)} new, gone or of another version")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent / "src"))
    sys.exit(record(os.environ.get("REASON", "").strip()))
