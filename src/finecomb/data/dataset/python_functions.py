"""The functions of Python's own standard library, or of any folder of Python files, read by `ast`; nothing is imported or run.

The functions are taken as by H. Husain et al., "CodeSearchNet Challenge: Evaluating the State of Semantic Code Search", 2019; the body is
made from signature and docstring, or the functions are plain text for language modeling.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finecomb.assets import hash_file
from finecomb.config.schema.dataset import PythonFunctions
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.fetched import read_entry
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw

LICENSE = "PSF-2.0 (Python's standard library)"
_TESTS = frozenset({"test", "tests", "idle_test", "testing"})
# Packages that are no part of the library, and what is no source.
_OTHERS = frozenset({"__pycache__", "site-packages", "dist-packages"})
# A file that says in its first lines that it was generated holds tables and copies of the same few functions.
_GENERATED, _HEAD_LINES = re.compile(r"\b(?:auto)?generated\b", re.IGNORECASE), 5
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class _Source:
    """A function as it is written, without the indentation of its first line."""

    name: str
    line: int
    prompt: str
    body: str
    documented: bool


class PythonFunctionsSource:
    """Reads the .py files of a folder in order of name."""

    def __init__(self, config: PythonFunctions) -> None:
        self._config = config
        self._read: tuple[Path, dict[str, Path], Counter[str]] | None = None

    def _files(self) -> tuple[Path, dict[str, Path], Counter[str]]:
        """The folder, its files by name, and how many were left out for which reason."""
        if self._read is None:
            given = self._config.path
            root = existing(Path(given), "dataset.path") if given else Path(sysconfig.get_path("stdlib"))
            files: dict[str, Path] = {}
            left_out: Counter[str] = Counter()
            for path in sorted(_python_files(root)):
                relative = path.relative_to(root)
                if not _TESTS.isdisjoint(relative.parts[:-1]) or relative.name.startswith("test_"):
                    left_out["files of tests"] += 1
                elif _GENERATED.search("\n".join(_text(path).split("\n", _HEAD_LINES)[:_HEAD_LINES])):
                    left_out["generated files"] += 1
                elif _parsed(_text(path)) is None:
                    left_out["files that are no Python of this version"] += 1
                else:
                    files[relative.as_posix()] = path
            if not files:
                raise ConfigError(Problem("no Python file", str(root), hint="name a folder of .py files: dataset.path=DIR"))
            self._read = root, files, left_out
        return self._read

    def inputs(self) -> dict[str, str]:
        """A hash over the names and contents of the files that are read, and the version of Python, whose parser reads them."""
        digest = hashlib.sha256()
        for name, path in self._files()[1].items():
            digest.update(f"{name}\0{hash_file(path)}\n".encode())
        return {"train": digest.hexdigest(), "python": platform.python_version()}

    def read(self, kind: str) -> Raw:
        """All functions as train; the group is the module, so that its functions are in one split."""
        root, files, left_out = self._files()
        whole = kind == "none" or self._config.target == "text"
        ids: list[str] = []
        texts: list[str] = []
        labels: list[str | None] = []
        lines: list[int] = []
        places: list[str] = []
        counts: Counter[str] = Counter()
        number = 0
        for name, path in files.items():
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            seen: Counter[str] = Counter()
            for function in _functions(_text(path)):
                number += 1
                seen[function.name] += 1
                if self._config.docstring and not function.documented:
                    counts["functions without docstring"] += 1
                elif not whole and not function.body.strip():
                    counts["functions without body"] += 1
                else:
                    again = f"#{seen[function.name]}" if seen[function.name] > 1 else ""
                    ids.append(f"{module}:{function.name}{again}")
                    texts.append(function.prompt + function.body if whole else function.prompt)
                    labels.append(None if whole else function.body)
                    lines.append(function.line)
                    places.append(name)
        groups = [identifier.partition(":")[0] for identifier in ids]
        rows = Rows(ids, texts, None, labels, groups, lines, root.name, files=places)
        own = self._config.path is not None
        source = str(root) if own else f"standard library of Python {platform.python_version()}"
        funnel = read_entry(len(files) + left_out.total(), len(files), dict(left_out), step="files")
        funnel += read_entry(number, len(ids), dict(counts))
        return Raw({"train": [rows]}, source, "unstated" if own else LICENSE, funnel=funnel)


def _python_files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _OTHERS]
        yield from (Path(folder) / name for name in names if name.endswith(".py"))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _functions(text: str) -> Iterator[_Source]:
    """Functions and methods in order; those inside a function are part of its body."""
    lines = text.split("\n")

    def walk(node: ast.AST, prefix: str) -> Iterator[_Source]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _Function):
                yield _cut(child, prefix + child.name, lines)
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            elif not isinstance(child, ast.expr):
                yield from walk(child, prefix)

    tree = _parsed(text)
    return walk(tree, "") if tree is not None else iter(())


def _parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None where the text is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in the strings of others
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError):
            return None


def _cut(node: _Function, name: str, lines: list[str]) -> _Source:
    """A function's lines: the prompt up to the end of its docstring (without one: of its signature), then the body.

    A body in the line of its signature has no prompt of its own lines: such a function has only a prompt.
    """
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    documented = ast.get_docstring(node, clean=False) is not None
    rest = node.body[1:] if documented else node.body
    end = node.end_lineno or node.lineno
    before = (node.body[0].end_lineno or first) if documented else _line_before(node.body[0])
    if not rest or _line_before(rest[0]) < before:
        before = end  # nothing follows, or it follows in the same line
    indent = " " * node.col_offset
    cut = [line.removeprefix(indent) for line in lines[first - 1 : end]]
    split = before - first + 1
    prompt, body = "\n".join(cut[:split]), "\n".join(cut[split:])
    return _Source(name, first, f"{prompt}\n" if body else prompt, body, documented)


def _line_before(statement: ast.stmt) -> int:
    """The last line before a statement, or before its first decorator."""
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)]) - 1
