"""The process that trains one run: `python -m finecomb.training.worker RUN_DIR`, started by the launcher, by torchrun or by SLURM.

It reads the frozen config of the run directory and nothing else; Hydra is gone. Exit codes: 0 finished, 1 failed, 2 the user's error,
28 the disk is full, 143 interrupted. It holds the run's lock: through an inherited descriptor when the launcher started it, otherwise by
taking it.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.config import plugins
from finecomb.config.plain import from_plain
from finecomb.config.schema.train import Config
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, problems_text
from finecomb.runs import provenance
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Held
from finecomb.runs.metrics import concise

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from finecomb.training.interruption import Interruption

VERSION = "1"

FINISHED, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 143
log = logging.getLogger("finecomb.training")


def main(arguments: list[str] | None = None) -> int:
    """Train the run of a directory; returns the exit code."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--parent-fd", type=int, help="reading end of the launcher's pipe: when it closes, this process ends")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr, force=True)
    run, first = RunDirectory(options.run), is_first_rank()
    with ExitStack() as held:
        if options.parent_fd is not None:
            threading.Thread(target=end_with_parent, args=(options.parent_fd,), daemon=True).start()
        elif first:
            try:
                held.enter_context(run.lock())
            except Held as error:
                print(error, file=sys.stderr)
                return USER_ERROR
        try:
            return attempt(run, first, started)
        except Exception as error:
            if not atomic.is_full(error):
                raise
            log.error("the disk is full: %s", error)
            return atomic.DISK_FULL


def _quieten() -> None:
    """Lightning's tips, and its warnings of what is intended here, such as frozen modules in eval mode."""
    import pytorch_lightning  # sets its own level when it is imported

    logging.getLogger(pytorch_lightning.__name__).setLevel(logging.WARNING)
    for kind in (UserWarning, FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=kind, module=r"pytorch_lightning\..*")


def is_first_rank() -> bool:
    """Whether this process writes the record: the only one, or the first of several."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK"))


def end_with_parent(descriptor: int) -> None:
    """Wait until the launcher's end of the pipe closes, then end at once: a killed command leaves no orphan. Runs in a thread."""
    while os.read(descriptor, 1):
        pass
    os._exit(INTERRUPTED)


def attempt(run: RunDirectory, first: bool, started: float) -> int:
    """One attempt at the run, with its status kept true whatever happens."""
    if run.result() is not None:
        return FINISHED
    run.make_folders()
    threads = int(run.config["trainer"]["threads"])
    if first:
        for difference in provenance.save(run, threads):
            log.warning("unlike the attempt before: %s; the result may differ from that of an uninterrupted run", difference)
        run.set_status("running")
    code, error = _guarded(run, threads, first, started)
    if first and code != FINISHED:
        run.set_status("interrupted" if code == INTERRUPTED else "failed", error=error)
    return code


def _guarded(run: RunDirectory, threads: int, first: bool, started: float) -> tuple[int, str | None]:
    """Exit code, and what is to be said about it. A full disk is raised: nothing can be written about it here."""
    try:
        plugins.load(run.record.plugins)
        _set_threads(threads)
        _quieten()
        from finecomb.training.interruption import Interrupted, Interruption

        interruption = Interruption()
        interruption.install()
        try:
            train(run, from_plain(run.config), interruption, first, started)
        except (Interrupted, KeyboardInterrupt, SystemExit) as stopped:
            log.info("interrupted: %s", stopped)
            return INTERRUPTED, str(stopped)
        return FINISHED, None
    except Exception as error:
        if atomic.is_full(error):
            raise
        if not isinstance(error, ConfigError):
            text = traceback.format_exc()
            log.error("%s", text)
            return FAILED, text
        text = problems_text(error.problems)
        log.error("%s", text)
        return USER_ERROR, text


def _set_threads(threads: int) -> None:
    """Before torch does any work: some of its libraries read these when they are loaded."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_num_threads(threads)


def in_pieces(config: Config, pieces: int | None) -> Config:
    """The config with each batch in more micro-batches than it says, because an earlier attempt ran out of memory.

    Without dropout the steps stay the same. With dropout they do not: a mask is drawn for each micro-batch. So result.json records the
    number used (`training.micro_batches`), and comparisons report it.
    """
    if pieces is None:
        return config
    log.info("each batch is split in %d, because an earlier attempt ran out of memory", pieces)
    return dataclasses.replace(config, batch=dataclasses.replace(config.batch, micro_batches=pieces))


def train(run: RunDirectory, config: Config, interruption: Interruption, first: bool, started: float) -> None:
    """Compose, fit, finish; result.json is written last."""
    from finecomb.learning.model import ModelSource
    from finecomb.training import artifact, logger, tables
    from finecomb.training.fit import Fit
    from finecomb.training.parts import compose
    from finecomb.training.result import result
    from finecomb.training.strategy import to_cpu
    from finecomb.training.trainer import weights_dtype

    record = run.record
    data, model = record.inputs.data, record.inputs.model
    source = ModelSource(Path(model.directory) if model.directory else None, model.sha256, model.model_type, model.hub_id)
    config = in_pieces(config, record.pieces)
    parts = compose(config, Path(data.directory), source, dtype=weights_dtype(config.trainer))
    fit = Fit(parts, run, interruption)
    loggers: list[Logger] = logger.build(config.logger, run) if first else []
    code = FAILED
    try:
        trainer = fit.train(loggers)
        chosen = artifact.restore_best(fit)
        if first:
            run.write_progress(step=trainer.global_step, steps=parts.data.total_steps, stage="evaluation")
        evaluations = artifact.final_evaluations(fit)
        to_cpu(parts.tuned, keep=first)  # a device may not have room for this model and the one that is read back
        if first:
            reloaded = artifact.save(fit, evaluations)
            outcome = result(fit, trainer, evaluations, chosen, reloaded, started)
            for mirror in trainer.loggers:
                mirror.log_metrics(
                    {name: value for name, value in concise(outcome["metrics"]).items() if value is not None}, trainer.global_step
                )
            tables.write(run)
            run.write_result(outcome)
            run.set_status("finished")
        leave_together()
        code = FINISHED
    finally:
        logger.finish(loggers, code)


def leave_together() -> None:
    """Let no rank end before the others have done their work: one whose peer is gone while it ends itself is aborted now and then."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
