"""Rules between the settings of generated texts and the rest of a config. `validate` applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from finecomb.config import plugins
from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Config
from finecomb.core.errors import Problem

KEY = "evaluate.generate"


def generation(config: Config, where: Callable[[str], str]) -> Iterator[Problem]:
    """What the settings demand of each other, and of the monitored metric and the strategy."""
    settings, facts = config.evaluate.generate, plugins.task_facts(variant(config.task))
    if settings.do_sample and settings.num_beams > 1:
        what = f"{KEY}.do_sample=true draws one token at a time; {KEY}.num_beams={settings.num_beams} searches for the best text"
        yield Problem(what, where(f"{KEY}.do_sample"), hint=f"set {KEY}.num_beams=1, or {KEY}.do_sample=false")
    if facts is None or not facts.generated:
        return
    metric = facts.monitor if config.monitor.metric == "auto" else config.monitor.metric
    if metric in facts.generated and (settings.every != 1 or settings.examples == 0):
        what = f"monitor.metric={metric} is a metric of generated texts, and not every validation generates them"
        key = f"{KEY}.examples" if settings.examples == 0 else f"{KEY}.every"
        others = [name for name in facts.metrics if name not in facts.generated]
        hint = f"set {KEY}.every=1{' and a number of examples' if settings.examples == 0 else ''}, or monitor.metric={others[0]}"
        yield Problem(what, where(key), "1" if settings.examples != 0 else "a number of examples, or null", hint)
    if config.trainer.strategy == "fsdp" and settings.examples != 0:
        what = f"task={config.task.name} generates texts, which trainer.strategy=fsdp cannot: each step gathers the weights on all devices"
        yield Problem(what, where(f"{KEY}.examples"), "0", f"set {KEY}.examples=0 to evaluate without generation, or trainer.strategy=ddp")
