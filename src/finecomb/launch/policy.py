"""How the jobs of one launch are run, and when one is started again by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from finecomb.launch.backend import Backend
from finecomb.launch.freeze import Frozen
from finecomb.launch.outcome import Outcome, out_of_memory
from finecomb.runs.index import short_error


@dataclass(frozen=True)
class Policy:
    """How jobs are run.

    slots: jobs at once; None: one for each set of GPUs, one on a CPU. fail_fast: stop everything at the first failure. retries: how often a
    job that failed or whose worker died is started again by itself; never after a user's error. timeout: seconds an attempt may take; a run
    stopped by it resumes with the next command. Running out of memory is met by splitting the batch further, whatever the retries.
    keep_checkpoints: of finished runs, whose artifact is all that is needed of them; searches and studies, with their many runs, keep none.
    backend: where the workers run; None: on this machine.
    """

    slots: int | None = None
    fail_fast: bool = False
    retries: int = 0
    timeout: float | None = None
    keep_checkpoints: bool = True
    backend: Backend | None = None


class Retries:
    """Decides which ended jobs are started again, and counts how often each was."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[int, int] = {}

    def is_again(self, index: int) -> bool:
        """Whether the job has been started again before."""
        return index in self._counts

    def next(self, index: int, job: Frozen, outcome: Outcome) -> str | None:
        """Why the job is to be started again; None when its outcome stays.

        After running out of memory it is started with each batch in more pieces, which is recorded in run.json, as long as each piece holds
        several examples; after any other failure as it was, while there are retries left.
        """
        if outcome.state not in ("failed", "interrupted") or outcome.user_error:
            return None
        count = self._counts.get(index, 0)
        pieces = _more_pieces(job) if out_of_memory(outcome) else None
        if pieces is not None:
            job.run.write_record(replace(job.run.record, pieces=pieces))
            self._counts[index] = count
            return f"out of memory: again with each batch in {pieces} pieces"
        if count == self._most:
            return None
        self._counts[index] = count + 1
        return f"{outcome.state}: {short_error(outcome.error)}; retry {count + 1} of {self._most}"


def _more_pieces(job: Frozen) -> int | None:
    """The next number of micro-batches that divides the batch, at least twice as many as now; None when each holds one example already."""
    batch, ranks = job.config.batch, job.processes * job.config.trainer.num_nodes
    now = job.run.record.pieces or batch.micro_batches
    return next((pieces for pieces in range(2 * now, batch.size // ranks + 1) if batch.size % (pieces * ranks) == 0), None)
