"""Single values with their origins, and the check of each key and value against the schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from finecomb.config import interpolations, plugins, renamed
from finecomb.config.fields import Field, complaint, fields_of, leaf_keys
from finecomb.config.overrides import override
from finecomb.config.schema.base import UNSET
from finecomb.config.schema.train import GROUPS, Config
from finecomb.config.sources import Entry, Origin, offered, schema_of
from finecomb.core.errors import Problem, nearest


@dataclass(frozen=True)
class Setting:
    """A value set once, by one line of a file or by one override."""

    value: Any
    origin: Origin


@dataclass
class Collected:
    """What a command line selects and sets.

    overrides: those of the command line. auto: groups whose choice is `auto`, with what it stands for. values: the last setting of each
    dotted key. classes: the chosen schema of each group.
    picked: what made each choice. unknown: groups whose choice is wrong, so that their keys cannot be judged.
    """

    overrides: list[str] = field(default_factory=list)
    values: dict[str, Setting] = field(default_factory=dict)
    choices: dict[str, str | None] = field(default_factory=dict)
    classes: dict[str, type] = field(default_factory=dict)
    picked: dict[str, Origin] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    auto: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def for_hydra(self) -> list[str]:
        """The overrides with each `auto` replaced by what it stands for."""
        return [*(f"{group}={name}" for group, name in self.auto.items()), *(line for line in self.overrides if not self._is_auto(line))]

    def _is_auto(self, line: str) -> bool:
        group, _, name = line.partition("=")
        return group in self.auto and name.strip() == "auto"

    def origins(self) -> dict[str, Origin]:
        """Where each key was set last; for a group or bundle, what chose it."""
        return {**self.picked, **{key: setting.origin for key, setting in self.values.items()}}

    def walk(self, cls: type, entries: Mapping[str, Entry], prefix: str, source: str) -> None:
        """Take every key of a mapping that is merged at `prefix`, whose schema is `cls`."""
        for name, entry in entries.items():
            key = f"{prefix}.{name}" if prefix else name
            origin = Origin(source, entry.line)
            known = fields_of(cls).get(name)
            if key in self.unknown:
                continue
            if known is None:
                self.problems.append(self.unknown_key(key, origin, cls, entry.value))
                continue
            nested = self.classes.get(key, known.nested)
            if nested is not None and entry.children is not None:
                self.walk(nested, entry.children, key, source)
            elif nested is not None:
                self.problems.append(self.not_a_value(key, entry.value, origin, nested))
            elif known.is_dict and entry.children is not None:
                self.set_in_dict(key, entry, source)
            else:
                self.set(key, known, entry.value, origin)

    def set(self, key: str, known: Field, value: Any, origin: Origin) -> None:
        """Take one value, or note what is wrong with it; a wrong one leaves the earlier value in place."""
        if not self._resolvable(key, value, origin):
            return
        wrong = complaint(known, value)
        if wrong is None:
            self.values[key] = Setting(value, origin)
            return
        guess = nearest(value, map(str, known.allowed)) if known.allowed and isinstance(value, str) else None
        now = renamed.value_now(key, value)
        guess = now if now != value else guess
        hint = f"did you mean {guess}?" if guess else ""
        self.problems.append(Problem(f"{key}={_text(value)} {wrong}", str(origin), known.allowed_text, hint))

    def _resolvable(self, key: str, value: Any, origin: Origin) -> bool:
        problem = interpolations.problem_of(key, value, origin)
        self.problems += [] if problem is None else [problem]
        return problem is None

    def set_in_dict(self, key: str, entry: Entry, source: str) -> None:
        """Take a mapping with keys of the user's own. It is merged key by key: each is a setting with its own line."""
        if entry.children:
            self.values.pop(key, None)
            for name, child in entry.children.items():
                self.set_in_dict(f"{key}.{name}", child, source)
        elif entry.children is None:
            self._resolvable(key, entry.value, Origin(source, entry.line))
            self.drop(key)
            self.values[key] = Setting(entry.value, Origin(source, entry.line))
        elif not self.below(key):
            self.values[key] = Setting({}, Origin(source, entry.line))

    def below(self, key: str) -> list[str]:
        """The keys set at `key` or inside it."""
        return [name for name in self.values if name == key or name.startswith(f"{key}.")]

    def drop(self, key: str) -> None:
        """Forget `key` and everything inside it."""
        for name in self.below(key):
            del self.values[name]

    def unknown_key(self, key: str, origin: Origin, cls: type, value: Any = None) -> Problem:
        """The problem of a key that `cls` has not, with its present name, or the nearest one that exists."""
        prefix, _, name = key.rpartition(".")
        known = list(fields_of(cls))
        choice = self.choices.get(prefix)
        what = f"{key}: there is no such key" + (f" with {prefix}={choice}" if choice else "")
        return Problem(what, str(origin), ", ".join(known), self._present_name(key, value) or self._way_out(prefix, name, known))

    def not_a_value(self, key: str, value: Any, origin: Origin, nested: type) -> Problem:
        """The problem of a plain value where a group of keys belongs, with the key that now holds such a value."""
        off = getattr(nested, "OFF", None) if value is None else None
        hint = f"to switch it off, write {key}.{off}" if off else self._present_name(key, value)
        allowed = ", ".join(f"{key}.{name}" for name in fields_of(nested))
        return Problem(f"{key}={_text(value)}: {key} holds keys of its own", str(origin), allowed, hint)

    def _present_name(self, key: str, value: Any) -> str:
        """Where a key that was renamed is now; empty for any other key."""
        new = renamed.RENAMED.get(key)
        if new is None:
            return ""
        hint = f"{key} is now {new}" + ("" if value is None else f": write {override(new, renamed.value_now(new, value))}")
        prefix, _, name = new.rpartition(".")
        cls = self.classes.get(prefix)
        return hint if cls is None or name in fields_of(cls) else f"{hint}; {self._way_out(prefix, name, list(fields_of(cls)))}"

    def _way_out(self, prefix: str, name: str, known: list[str]) -> str:
        guess = nearest(name, known)
        if guess is not None:
            return f"did you mean {prefix}.{guess}?" if prefix else f"did you mean {guess}?"
        schemas = {choice: schema_of(prefix, path) for choice, path in offered(prefix).items()} if prefix in GROUPS else {}
        having = [
            f"{prefix}={choice}" for choice, cls in schemas.items() if choice != "auto" and cls is not None and name in fields_of(cls)
        ][:3]
        elsewhere = [leaf for leaf in leaf_keys(Config, self.classes) if leaf.rpartition(".")[2] == name]
        if having:
            return f"{' and '.join(having)} have it" if len(having) > 1 else f"{having[0]} has it"
        return f"did you mean {elsewhere[0]}?" if elsewhere else ""

    def check_steps(self) -> None:
        """The steps of a cleaner: a step's kind is its key, or what `step:` names; null removes it."""
        steps: dict[str, dict[str, Setting]] = {}
        for key, setting in self.values.items():
            if key.startswith("cleaner.steps."):
                name, _, rest = key.removeprefix("cleaner.steps.").partition(".")
                steps.setdefault(name, {})[rest] = setting
        for name, given in steps.items():
            if "" in given:
                self._check_bare_step(name, given[""])
            else:
                self._check_step(name, given)

    def _check_bare_step(self, name: str, setting: Setting) -> None:
        if setting.value is None:
            return
        if setting.value == {}:
            self._check_step(name, {}, setting.origin)
            return
        hint = f"write cleaner.steps.{name}.KEY=VALUE, or null to leave the step out"
        self.problems.append(Problem(f"cleaner.steps.{name}={setting.value}: a step holds keys of its own", str(setting.origin), hint=hint))

    def _check_step(self, name: str, given: Mapping[str, Setting], origin: Origin | None = None) -> None:
        key = f"cleaner.steps.{name}"
        kind = str(given["step"].value) if "step" in given else name
        where = origin or next(iter(given.values())).origin
        kinds = plugins.cleaning_steps()
        if kind not in kinds:
            guess = nearest(kind, kinds)
            hint = f"did you mean {guess}? A step under another name says its kind: {key}.step={guess or 'KIND'}"
            self.problems.append(Problem(f"{key}: there is no kind of step {kind}", str(where), ", ".join(kinds), hint))
            return
        known = fields_of(kinds[kind])
        for part, setting in given.items():
            if part in known:
                wrong = complaint(known[part], setting.value)
                if wrong:
                    what = f"{key}.{part}={_text(setting.value)} {wrong}"
                    self.problems.append(Problem(what, str(setting.origin), known[part].allowed_text))
            elif part != "step":
                self.problems.append(self.unknown_key(f"{key}.{part}", setting.origin, kinds[kind]))
        missing = [part for part, field in known.items() if part not in given and field.before is UNSET]
        if missing:
            what = f"{key}: {', '.join(missing)} is missing"
            self.problems.append(Problem(what, str(where), hint=f"set {key}.{missing[0]}, {known[missing[0]].allowed_text}"))

    def check_entries(self) -> None:
        """The keys of mappings that may be empty, such as the callbacks of plug-ins: known, of their type, and all given or none."""
        for group, cls in self.classes.items():
            for name, known in fields_of(cls).items():
                if known.entry is not None:
                    self._check_entry(f"{group}.{name}", known.entry)

    def _check_entry(self, key: str, cls: type) -> None:
        given = {name.removeprefix(key).lstrip("."): self.values[name] for name in self.below(key)}
        given = {name: setting for name, setting in given.items() if name or setting.value}
        if not given:
            return
        if "" in given:
            self.problems.append(self.not_a_value(key, given[""].value, given[""].origin, cls))
            return
        known = fields_of(cls)
        for name, setting in given.items():
            wrong = complaint(known[name], setting.value) if name in known else None
            if name not in known:
                self.problems.append(self.unknown_key(f"{key}.{name}", setting.origin, cls))
            elif wrong is not None:
                self.problems.append(Problem(f"{key}.{name}={_text(setting.value)} {wrong}", str(setting.origin), known[name].allowed_text))
        where = str(next(iter(given.values())).origin)
        for name, each in known.items():
            if name not in given and each.before is UNSET:
                hint = f"give {key}.{name}=..., {each.help} ({each.allowed_text})"
                self.problems.append(Problem(f"{key}.{name} has no value", where, hint=hint))


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
