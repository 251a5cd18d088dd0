"""`finecomb explain`: the composed config with the origin of each value, problems, fingerprint, parameters, memory and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from finecomb.config.estimate import Estimate, estimate, num_outputs
from finecomb.config.fingerprint import difference_name, fingerprint
from finecomb.config.plain import flatten, to_plain
from finecomb.config.resolve import resolve
from finecomb.config.schema.train import Config
from finecomb.config.validate import problems_of
from finecomb.core.errors import ConfigError, problems_text
from finecomb.core.machine import Machine, this_machine

if TYPE_CHECKING:
    from finecomb.config.compose import Composition
    from finecomb.config.sources import Origin


def show(composition: Composition, console: Console | None = None, machine: Machine | None = None) -> bool:
    """Print the explanation; returns whether the config is sound."""
    console = console or Console(highlight=False)
    machine = machine or this_machine()
    problems = problems_of(composition.config, composition.origins)
    resolved, note = _resolved(composition.config, machine)
    _show_config(console, composition, resolved)
    _line(console)
    if problems:
        _line(console, f"problems: {len(problems)}")
        _line(console, problems_text(problems))
        return False
    _line(console, "problems: none")
    if resolved is None:
        _line(console, f"on this machine: {note}")
    _show_identity(console, composition, resolved)
    _show_estimate(console, resolved or composition.config, estimate(resolved or composition.config, machine))
    return True


def _line(console: Console, text: str = "") -> None:
    console.print(text, markup=False, soft_wrap=True)


def _resolved(config: Config, machine: Machine) -> tuple[Config | None, str]:
    try:
        return resolve(config, machine=machine), ""
    except ConfigError as error:
        return None, "; ".join(problem.what for problem in error.problems)


def _show_config(console: Console, composition: Composition, resolved: Config | None) -> None:
    """Key, value (auto with what it stands for here) and origin; one line each."""
    values = flatten(to_plain(composition.config))
    final = flatten(to_plain(resolved)) if resolved is not None else {}
    rows = [(key, _value(value, final.get(key, value)), _origin(key, composition.origins)) for key, value in values.items()]
    widths = [min(max(len(row[column]) for row in rows), limit) for column, limit in ((0, 40), (1, 44))]
    for key, value, origin in rows:
        if console.is_terminal:
            text = f"{key:<{widths[0]}}  {_cut(value, widths[1])}"
            console.print(text, markup=False, end="  ", soft_wrap=True)
            console.print(origin, markup=False, style="yellow" if origin.startswith("command line") else "dim", soft_wrap=True)
        else:
            print(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}", file=console.file)


def _cut(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 1]}…"


def _value(asked: Any, final: Any) -> str:
    text = _text(asked)
    return text if asked == final or str(asked) == str(final) else f"{text} -> {_text(final)}"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _origin(key: str, origins: dict[str, Origin]) -> str:
    """A key of a mapping has its own origin; one that a mapping was given whole has the mapping's."""
    while key not in origins and "." in key:
        key = key.rpartition(".")[0]
    return str(origins.get(key, ""))


def _show_identity(console: Console, composition: Composition, resolved: Config | None) -> None:
    config = resolved or composition.config
    _line(console, f"run directory: {config.output_dir}/{difference_name(config, composition.choices)}-FINGERPRINT")
    if resolved is not None:
        text = f"fingerprint of the config alone: {fingerprint(resolved, {})}"
        _line(console, f"{text} (the run's own also hashes data, weights and code versions, which are not read here)")


def _show_estimate(console: Console, config: Config, found: Estimate | None) -> None:
    if found is None:
        _line(console, f"parameters, memory, time: not known before the weights of model={config.model.name} are read")
        return
    total, trainable = found.parameters.total, found.parameters.trainable
    assumed = "" if num_outputs(config) is not None else ", with 2 outputs; the data will tell how many"
    _line(console, f"parameters: {total:,} total, {trainable:,} trainable ({trainable / total:.2%}){assumed}")
    _line(console, f"memory: about {_bytes(found.memory)} for each process at the longest batch")
    _line(console, f"  = {found.memory_formula}")
    if found.seconds is None:
        _line(console, f"time: {found.seconds_formula}")
    else:
        _line(console, f"time: very roughly {_duration(found.seconds)} of training on this machine, without evaluation")
        _line(console, f"  = {found.seconds_formula}")


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
