"""Keys and values that had another name before.

The old name is an error whose hint gives the new one. Files that earlier versions wrote are read under the new names. Inside the
fingerprint a renamed key keeps its old name, place and value, so that finished runs are found again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from finecomb.config import plugins
from finecomb.config.fields import fields_of
from finecomb.config.schema.train import GROUPS, Config
from finecomb.core.errors import ConfigError, Problem

# Old dotted key -> new dotted key, which may be in another group.
RENAMED: Mapping[str, str] = {
    "retry": "rerun",
    "batch.tokens": "batch.max_tokens",
    "dataset.licence": "dataset.license",
    "model.path": "model.name_or_path",
    "trainer.workers": "trainer.num_workers",
    "trainer.accumulate_grad_batches": "batch.micro_batches",
    "monitor.patience": "callbacks.early_stopping.patience",
    "callbacks.checkpoint_every_n_steps": "callbacks.checkpoint.every_n_steps",
    "callbacks.keep_best": "callbacks.checkpoint.keep_best",
    "callbacks.progress": "callbacks.progress.enabled",
    "callbacks.log_every_n_steps": "trainer.log_every_n_steps",
    "tuning.alpha": "tuning.lora_alpha",
    "tuning.dropout": "tuning.lora_dropout",
    "tuning.rslora": "tuning.use_rslora",
    "tuning.init": "tuning.prompt_tuning_init",
}
# New dotted key -> its old values, as a YAML file or the command line gave them, and the new ones.
VALUES: Mapping[str, Mapping[Any, str]] = {
    "annotator.name": {"labelling_functions": "labeling_functions"},
    "trainer.precision": {32: "32-true", "bf16": "bf16-mixed", 16: "16-mixed"},
    "tuning.prompt_tuning_init": {"vocab": "SAMPLE_VOCAB", "random": "RANDOM"},
}
# Old choice -> what to write for it.
CHOICES: Mapping[tuple[str, str], str] = {
    ("model", f"tiny_{old}"): f"model=tiny model.architecture={new}"
    for old, new in (
        *((name, name) for name in ("bert", "roberta", "distilbert", "electra", "modernbert", "xlnet", "gpt2", "llama", "qwen3")),
        ("deberta_v3", "deberta-v2"), ("xlm_r", "xlm-roberta"),
    )
}  # fmt: skip
_FREE_NAMES = ("dataset", "model")
_KEPT_KEYS = tuple(key for key in VALUES if key not in RENAMED.values())


def choice_before(group: str, name: str) -> str:
    """The name that a choice has inside fingerprints and keys of cached data: its first one."""
    return next((str(old) for old, new in VALUES.get(f"{group}.name", {}).items() if new == name), name)


def current_choices(choices: Mapping[str, str | None]) -> dict[str, str | None]:
    """Recorded choices under the new names."""
    return {group: value_now(f"{group}.name", name) for group, name in choices.items()}


def value_now(key: str, value: Any) -> Any:
    """The new value for an old one of a key under its new name; any other value as it is."""
    known = {str(old): new for old, new in VALUES.get(key, {}).items()}
    return value if isinstance(value, list | Mapping) else known.get(str(value), value)


def require_current(key: str, where: str) -> None:
    """Raise ConfigError for an old key, with the new one as the hint."""
    if key in RENAMED:
        raise ConfigError(Problem(f"{key}: there is no such key", where, hint=f"{key} is now {RENAMED[key]}"))


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """A frozen config, as nested mappings, under the new names; the one place where configs of earlier versions are translated."""
    if not any(_find(config, key) is not None for key in (*RENAMED, *_KEPT_KEYS)):
        return dict(config)
    found = copy.deepcopy(dict(config))
    for old, new in RENAMED.items():
        place, name = _find(found, old) or ({}, "")
        if name in place and _find(found, new) is None and _has(new, lambda group: found[group].get("name")):
            _put(found, new, value_now(new, place.pop(name)))
    for key in _KEPT_KEYS:
        if (there := _find(found, key)) is not None:
            place, name = there
            place[name] = value_now(key, place[name])
    return found


def current_flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a config of dotted keys, as W&B has it."""
    found = dict(config)
    for old, new in RENAMED.items():
        if old in found and new not in found and _has(new, lambda group: found.get(f"{group}.name")):
            found[new] = value_now(new, found.pop(old))
    return found | {key: value_now(key, found[key]) for key in _KEPT_KEYS if key in found}


def current_overrides(overrides: Sequence[str], choices: Mapping[str, str | None] | None = None) -> list[str]:
    """Recorded overrides under the new names. choices: of each group, where the overrides alone do not name them."""
    named = {**(choices or {}), **dict(word.split("=", 1) for word in overrides if word.partition("=")[0] in GROUPS)}
    return [_override(word, named) for word in overrides]


def _override(word: str, choices: Mapping[str, str | None]) -> str:
    key, sign, value = word.partition("=")
    bare = key.lstrip("+~")
    if bare in GROUPS:
        return f"{key}={','.join(value_now(f'{bare}.name', name) for name in value.split(','))}" if f"{bare}.name" in VALUES else word
    new = RENAMED.get(bare, bare)
    still = new.startswith(f"{bare}.") and value.lstrip().startswith("{")
    if not sign or still or (new == bare and bare not in VALUES) or not _has(new, choices.get):
        return word
    return f"{key[: len(key) - len(bare)]}{new}={','.join(value_now(new, part) for part in value.split(','))}"


def as_before(document: dict[str, Any], *, resolved: bool) -> dict[str, Any]:
    """What a fingerprint hashes (nested) with the old names, places and values. resolved: with text for what a file gave as a number."""
    for key, values in VALUES.items():
        if (there := _find(document, key)) is not None:
            place, name = there
            old = next((old for old, new in values.items() if new == place[name]), place[name])
            place[name] = str(old) if resolved else old
    _name_tiny_model(document.get("model", {}))
    for old, new in RENAMED.items():
        if (there := _find(document, new)) is not None:
            place, name = there
            value = place.pop(name)
            _drop_empty(document, new)
            _put(document, old, value)
    return document


def _name_tiny_model(model: dict[str, Any]) -> None:
    """Give model=tiny the name of the choice that each architecture had; model_type says which it is."""
    architecture = model.pop("architecture", None)
    if architecture is not None and model.get("name") == "tiny":
        model["name"] = next(old for (_, old), new in CHOICES.items() if new.endswith(f"model.architecture={architecture}"))


def _find(config: Mapping[str, Any], key: str) -> tuple[Any, str] | None:
    """The mapping that holds a dotted key, with the key's last part; None where there is no such key."""
    place: Any = config
    *parents, name = key.split(".")
    for part in parents:
        place = place.get(part) if isinstance(place, Mapping) else None
    return (place, name) if isinstance(place, Mapping) and name in place else None


def _drop_empty(config: dict[str, Any], key: str) -> None:
    """Remove the mappings on the way to a dotted key that hold nothing any more."""
    *parents, _ = key.split(".")
    for depth in range(len(parents), 0, -1):
        there = _find(config, ".".join(parents[:depth]))
        if there is not None and there[0][there[1]] == {}:
            del there[0][there[1]]


def _put(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, name = key.split(".")
    place = config
    for part in parents:
        place = place.setdefault(part, {})
    place[name] = value


def _has(key: str, name_of: Callable[[str], Any]) -> bool:
    """Whether the schema has a key; name_of(group) is the choice. An old key may be the present one of a plug-in's choice."""
    group, *rest = key.split(".")
    if group not in GROUPS:
        return _reaches(Config, (group, *rest))
    known, name = plugins.schemas(group), str(name_of(group))
    # The name of a dataset or a model is free, and does not say which schema it has.
    candidates = known.values() if group in _FREE_NAMES and name not in known else [cls for cls in (known.get(name),) if cls is not None]
    return any(_reaches(cls, rest) for cls in candidates or [_base(group)])


def _base(group: str) -> type:
    base = fields_of(Config)[group].nested
    assert base is not None
    return base


def _reaches(cls: type | None, parts: Sequence[str]) -> bool:
    for part in parts:
        known = fields_of(cls).get(part) if cls is not None else None
        if known is None:
            return False
        cls = known.nested
    return True
