"""What can be chosen, in words: each group's choices with a line about each, as the help shows them."""

from __future__ import annotations

from collections.abc import Mapping

from finecomb.config.locate import conf_dir
from finecomb.config.sources import known_groups, offered, read, summary


def catalogue() -> dict[str, list[tuple[str, str, bool]]]:
    """For each group and bundle its choices: name, one line, and whether train.yaml takes it by default."""
    usual = defaults()
    return {group: [(name, summary(group, name), usual.get(group) == name) for name in offered(group)] for group in known_groups()}


def defaults() -> dict[str, str | None]:
    """The choice of each group and bundle in train.yaml."""
    listed = (item for item, _ in read(conf_dir() / "train.yaml").defaults if isinstance(item, Mapping))
    return {str(group): name for item in listed for group, name in item.items() if not str(group).startswith("override ")}


def catalogue_text() -> str:
    """The catalogue as plain text; `*` marks the default."""
    lines = []
    for group, choices in catalogue().items():
        lines.append(f"  {group}=")
        width = max((len(name) for name, _, _ in choices), default=0)
        lines += [f"   {'*' if usual else ' '} {name:<{width}}  {line}".rstrip() for name, line, usual in choices]
    return "\n".join(lines)
