"""`finecomb sweep`."""

from __future__ import annotations

from pathlib import Path

from finecomb.cli.arguments import parser_of
from finecomb.core.errors import ConfigError, Problem

SUMMARY = "run a W&B sweep.yaml without W&B's server, or check it before it is run"


def main(args: list[str]) -> int:
    """Run or check a sweep.yaml."""
    examples = """  finecomb sweep sweep.yaml --count 20              twenty runs in all; asked again, it goes on where it was
  finecomb sweep sweep.yaml --slots 2 logger=none   two at once, with overrides for every run
  finecomb sweep --lint sweep.yaml                  everything that would break, told at once; exit code 2
  wandb sweep sweep.yaml && wandb agent ID          the same file, with the server"""
    parser = parser_of("sweep", SUMMARY, examples)
    parser.add_argument("file", type=Path, help="a sweep.yaml as W&B has it")
    parser.add_argument("overrides", nargs="*", help="overrides for every run")
    parser.add_argument("--lint", action="store_true", help="only check it")
    parser.add_argument("--count", type=int, help="runs in all, those of earlier commands included (default: run_cap; a grid: all)")
    parser.add_argument("--slots", type=int, help="runs at once (default: one for each set of GPUs, one on a CPU)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search (default: 0)")
    given = parser.parse_intermixed_args(args)
    if not given.file.is_file():
        raise ConfigError(Problem(f"there is no file {given.file}", "command line", hint="finecomb sweep sweep.yaml"))
    from finecomb.studies.wandb_sweep import lint, run

    if given.lint:
        print("\n".join(lint.summary(lint.lint(given.file, given.overrides))))
        return 0
    from finecomb.launch.policy import Policy

    return run.run(given.file, count=given.count, policy=Policy(given.slots), extra=given.overrides, seed=given.seed)
