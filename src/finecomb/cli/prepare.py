"""`finecomb prepare`."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.cli.arguments import parser_of
from finecomb.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from finecomb.data.engine import Engine

SUMMARY = "collect, clean and split data, and say what became of every row; trains nothing"
HELP = """\
usage: finecomb prepare [GROUP=CHOICE ...] [KEY=VALUE ...] [--output DIR] [--workers N] [--engine ray] [--wandb]

Reads the dataset, runs the cleaner, carves the splits, augments and balances train exactly as `finecomb train` with the same overrides
does, and writes a folder:
train.parquet, validation.parquet, test.parquet, dropped.parquet (every row that went, with step and reason), scores.parquet, data.json and
report.html. Its path is the last line. `finecomb train dataset=prepared dataset.path=DIR` trains on it.

  --output DIR   where to write (default: prepared/<dataset>-<cleaner>-<hash>)
  --workers N    processes (default: one for each core); their number changes nothing but the time
  --engine ray   run the tasks on a Ray cluster; every node must share the cache (FINECOMB_CACHE); default: local
  --address A    of the cluster, such as 10.0.0.1:6379 or auto (default: a cluster on this machine alone)
  --wandb        also log funnel, overlap and samples to W&B, as logger.* says: online with an account, else offline in the folder

Killed and asked again it goes on where it was. What another command has read, measured or cleaned before is not done again.

examples:
  finecomb prepare
  finecomb prepare dataset=files dataset.files.train=reviews.csv dataset.columns.label=stars cleaner=classification
  finecomb prepare dataset=files 'dataset.files.train=manual/**/*.rst.gz' dataset.format=document dataset.columns.label=null cleaner=web
  finecomb prepare cleaner=web cleaner.steps.near_duplicates.threshold=0.9 cleaner.steps.length.min_words=5
  finecomb prepare augmenter=eda sampler=balanced sampler.by=label
  finecomb prepare dataset=files 'dataset.files.train=/shared/pages/*.jsonl' cleaner=web --engine ray --address auto
  finecomb prepare dataset.require.rows=5000 dataset.require.languages=[en] dataset.require.min_label_share=0.2"""


def main(args: list[str]) -> int:
    """Prepare data and print what became of it."""
    from finecomb.config import hydra_app

    words, options = _options(args)
    given = hydra_app.read_one(words, "prepare")
    if given.help:
        print(HELP)
        return 0
    from finecomb.api.composing import compose

    config = compose(*given.overrides)
    if options.wandb:
        from finecomb.config.compose import Composition
        from finecomb.launch.freeze import check_logger

        check_logger(Composition.of(config))
    from finecomb.api.preparing import prepare
    from finecomb.studies.summary import funnel_lines

    with closing(_engine(options)) as engine:
        data = prepare(config, engine=engine)
        for line in funnel_lines(data.folder.manifest, config.dataset.name):
            print(line)
        folder = data.write(options.output)
    for step in data.report["steps"]:
        _print_step(step["name"], step["record"])
    for pair, shared in data.report["overlap"].items():
        print(f"  {pair}: {shared['exact']:,} rows the same, {shared['near']:,} nearly, {shared['ngram_13']:,} share 13 words")
    if options.wandb:
        from finecomb.studies.wandb_sweep.data_mirror import mirror

        mirror(data.report, folder, config.logger)
    print(folder)
    return 0


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "local":
        from finecomb.data.engine import LocalEngine

        return LocalEngine(options.workers, progress=True)
    from finecomb.data.ray_engine import RayEngine

    return RayEngine(options.address, workers=options.workers, progress=True)


def _print_step(name: str, record: dict[str, Any]) -> None:
    """How likely near-duplicates were found, by how alike they are; and what a step warns of."""
    if "curve" in record:
        odds = ", ".join(f"{record['curve'][f'{similarity / 10:.2f}']:.3f} at {similarity / 10}" for similarity in range(5, 10))
        print(f"  {name}: {record['bands']} bands of {record['rows']}; probability that a pair is found by its similarity: {odds}")
    for warning in record.get("warnings", []):
        print(f"warning: {name}: {warning}", file=sys.stderr)


def _options(args: list[str]) -> tuple[list[str], argparse.Namespace]:
    """Take our own options off; the rest are Hydra's words."""
    parser = parser_of("prepare", SUMMARY, "")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--address")
    parser.add_argument("--wandb", action="store_true")
    parser.add_help = False
    own = [word for word in args if word not in ("-h", "--help")]
    options, words = parser.parse_known_args(own)
    if options.workers is not None and options.workers < 1:
        raise ConfigError(Problem(f"--workers {options.workers}", "command line", "a whole number of at least 1"))
    if options.address is not None and options.engine != "ray":
        raise ConfigError(Problem(f"--address {options.address} is of a Ray cluster", "command line", hint="add --engine ray"))
    return [*words, *(["--help"] if len(own) < len(args) else [])], options
