"""The hash of a plug-in's code: its file, and the modules of its own folder that it imports."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path


def hash_of_code(path: Path) -> str:
    """SHA-256 of a plug-in's file; with the modules of its own folder that it imports, of all these files and their names."""
    root = path.resolve().parent
    found, waiting = {path.resolve()}, [path.resolve()]
    while waiting:
        new = set(_imports_within(waiting.pop(), root)) - found
        found |= new
        waiting += new
    hashes = {file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}
    return hashes[path.name] if len(hashes) == 1 else hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _imports_within(path: Path, root: Path) -> Iterable[Path]:
    """Files below `root` that a file imports, anywhere in it, by any name that `root` may have on the path."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            imported = [([root, root.parent], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            bases = [path.parents[node.level - 1]] if node.level else [root, root.parent]
            imported = [(bases, f"{node.module}.{alias.name}" if node.module else alias.name) for alias in node.names]
        else:
            continue
        for bases, dotted in imported:
            parts = dotted.split(".")
            for stem in (base.joinpath(*parts[:count]) for base in bases for count in range(1, len(parts) + 1)):
                for file in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
                    if file.is_file() and file.resolve().is_relative_to(root):
                        yield file.resolve()
