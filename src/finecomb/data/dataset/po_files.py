"""Messages of programs and their translations: gettext catalogues (.po, .mo) of a folder or of installed packages, read by polib."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from finecomb.assets import hash_file
from finecomb.config.schema.dataset import PoFiles
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.fetched import read_entry
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw


class PoFilesSource:
    """Reads the catalogues of one language: `DIR/LANGUAGE/LC_MESSAGES/NAME.po` or `.mo`, or `DIR/LANGUAGE.po`.

    A catalogue that is there as .po and as .mo is read from the .po, which marks what is fuzzy.
    """

    def __init__(self, config: PoFiles) -> None:
        self._config = config
        self._catalogues: dict[str, Path] | None = None

    def _files(self) -> dict[str, Path]:
        """The catalogues by name: relative to the folder, below the name of the package if it is of one."""
        if self._catalogues is None:
            config = self._config
            if config.path:
                roots = {"": existing(Path(config.path), "dataset.path")}
            elif config.packages:
                roots = {f"{name}/": folder for name in config.packages for folder in _folders(name)}
            else:
                hint = "dataset.path=DIR, or dataset.packages=[sphinx] for those of installed packages"
                raise ConfigError(Problem("no catalogues are named", "dataset.path, dataset.packages", hint=hint))
            files = {
                prefix + path.relative_to(root).as_posix(): path
                for prefix, root in roots.items()
                for path in sorted((*root.rglob("*.po"), *root.rglob("*.mo")))
            }
            languages = Counter(filter(None, map(_language, files)))
            named = {name: path for name, path in files.items() if _language(name) == config.language}
            if not named:
                listed = ", ".join(sorted(languages)) or "none"
                what = f"no catalogue of the language {config.language} in {', '.join(map(str, roots.values()))}"
                raise ConfigError(Problem(what, f"dataset.language={config.language}", allowed=f"languages there: {listed}"))
            texts = {name.removesuffix(".po") for name in named if name.endswith(".po")}
            self._catalogues = {name: path for name, path in named.items() if name.endswith(".po") or name.removesuffix(".mo") not in texts}
        return self._catalogues

    def inputs(self) -> dict[str, str]:
        """The hash of each catalogue, and the version of the library that reads it."""
        _polib()
        return {name: hash_file(path) for name, path in self._files().items()} | {"polib": metadata.version("polib")}

    def read(self, kind: str) -> Raw:
        """All translated messages as train; the forms of one message are a group.

        Of a message with plural forms, the singular has the first form and the plural the last; forms between them are left out.
        Untranslated, fuzzy and obsolete messages are left out. All of these are counted.
        """
        ids: list[str] = []
        texts: list[str] = []
        labels: list[str] = []
        lines: list[int] = []
        places: list[str] = []
        groups: list[str] = []
        left_out: Counter[str] = Counter()
        number = 0
        for name, path in self._files().items():
            for entry in _catalogue(path):
                forms = max(1, len(entry.msgstr_plural))
                number += forms
                if reason := _unusable(entry):
                    left_out[reason] += forms
                    continue
                digest = hashlib.sha256(f"{entry.msgctxt or ''}\4{entry.msgid}".encode()).hexdigest()[:16]
                left_out["plural forms between the first and the last"] += max(0, forms - 2)
                for form, source, target in _forms(entry):
                    ids.append(f"{name}:{digest}:{form}")
                    texts.append(source)
                    labels.append(target)
                    lines.append(getattr(entry, "linenum", 0) or number)
                    places.append(name)
                    groups.append(f"{name}:{digest}")
        rows = Rows(ids, texts, None, labels, groups, lines, f"catalogues of {self._config.language}", files=places)
        funnel = read_entry(number, len(ids), dict(left_out))
        where = self._config.path or f"installed packages {', '.join(self._config.packages)}"
        return Raw({"train": [rows]}, str(where), "that of each program", funnel=funnel)


def _folders(name: str) -> list[Path]:
    """The folders of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        hint = "name a package as it is imported, without dots; or a folder: dataset.path=DIR"
        raise ConfigError(Problem(f"no package {name!r} is installed", "dataset.packages", hint=hint))
    return [Path(folder) for folder in spec.submodule_search_locations]


def _language(name: str) -> str | None:
    """The language of a catalogue: the folder above LC_MESSAGES, else the name of the file."""
    parts = Path(name).parts
    if "LC_MESSAGES" in parts[1:]:
        return parts[parts.index("LC_MESSAGES") - 1]
    return Path(name).stem


def _polib() -> Any:
    try:
        import polib
    except ImportError as error:
        problem = Problem("gettext catalogues are read by polib, which is not installed", hint='pip install "finecomb[po]"')
        raise ConfigError(problem) from error
    return polib


def _catalogue(path: Path) -> Any:
    polib = _polib()
    try:
        return polib.mofile(str(path)) if path.suffix == ".mo" else polib.pofile(str(path))
    except (OSError, ValueError, UnicodeDecodeError) as error:  # polib's word for a syntax error is OSError
        raise ConfigError(Problem(f"cannot read {path.name}: {error}", str(path), hint="is it a gettext catalogue?")) from error


def _unusable(entry: Any) -> str | None:
    if getattr(entry, "obsolete", False):
        return "obsolete"
    if getattr(entry, "fuzzy", False):
        return "fuzzy"
    forms = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
    return None if entry.msgid.strip() and forms and all(form.strip() for form in forms) else "untranslated"


def _forms(entry: Any) -> Iterator[tuple[str, str, str]]:
    """Name of the form, message and translation; languages with one form have it for the plural."""
    if not entry.msgid_plural:
        yield "message", entry.msgid, entry.msgstr
        return
    numbers = sorted(entry.msgstr_plural)
    if len(numbers) > 1:
        yield "singular", entry.msgid, entry.msgstr_plural[numbers[0]]
    yield "plural", entry.msgid_plural, entry.msgstr_plural[numbers[-1]]
