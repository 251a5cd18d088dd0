"""`finecomb explain`."""

from __future__ import annotations

SUMMARY = "the composed config: what set each value, problems, parameters, memory and time; trains nothing"
HELP = """\
usage: finecomb explain [GROUP=CHOICE ...] [KEY=VALUE ...]

Composes what `finecomb train` with the same overrides would run, and trains nothing: each value with the file and line or the override
that set it, problems, the fingerprint, parameters, and estimates of memory and time where the architecture is known.

examples:
  finecomb explain
  finecomb explain model=bert_base tuning=lora trainer=gpu
  finecomb explain --config-dir my_choices tuning=my_method"""


def main(args: list[str]) -> int:
    """Show the composed config and where each value comes from."""
    from finecomb.config import hydra_app

    given = hydra_app.read_one(args, "explain")
    if given.help:
        print(HELP)
        return 0
    from finecomb.config.compose import compose
    from finecomb.config.explain import show

    return 0 if show(compose(given.overrides)) else 2
