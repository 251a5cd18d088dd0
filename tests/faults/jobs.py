"""Frozen jobs for the fake worker, and a command that launches them in a process of its own."""

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finecomb.config.plain import to_plain
from finecomb.launch import workers
from finecomb.launch.freeze import Frozen
from finecomb.runs import directory
from finecomb.runs.record import RunRecord

HERE = Path(__file__).parent
FAKE = (sys.executable, str(HERE / "fake_worker.py"))


@dataclass
class FakeBatch:
    size: int
    micro_batches: int = 1


@dataclass
class FakeTrainer:
    devices: int
    threads: int = 1
    num_nodes: int = 1


@dataclass
class FakeMonitor:
    metric: str = "accuracy"


@dataclass
class FakeLogger:
    name: str = "none"


@dataclass
class FakeConfig:
    """What a launch and the fake worker read of a config."""

    lr: float
    fake: dict[str, Any]
    batch: FakeBatch
    trainer: FakeTrainer
    monitor: FakeMonitor = field(default_factory=FakeMonitor)
    logger: FakeLogger = field(default_factory=FakeLogger)


def job(
    output_dir: Path, lr: float = 0.5, *, rerun: str | None = None, processes: int = 1, group: str | None = None, **fake: Any
) -> Frozen:
    fingerprint = hashlib.sha256(f"{lr} {processes} {fake}".encode()).hexdigest()[:12]
    config = FakeConfig(lr, fake, FakeBatch(fake.get("batch", 4)), FakeTrainer(devices=processes))
    record = RunRecord(fingerprint, "fake", overrides=[f"lr={lr}"], group=group)
    run = directory.create(output_dir, to_plain(config), record)
    return Frozen(run, config, record, [f"lr={lr}"], rerun=rerun, processes=processes, threads=1, gpu=False, label=f"lr={lr}")


if __name__ == "__main__":
    # jobs.py OUTPUT_DIR STEPS PAUSE [orphan]: launch one job with the fake worker; killed by the tests.
    from finecomb.core.errors import ConfigError
    from finecomb.launch.launcher import launch
    from finecomb.launch.outcome import exit_code

    workers.WORKER = FAKE
    fake = {"steps": int(sys.argv[2]), "pause": float(sys.argv[3])} | ({"orphan": True} if "orphan" in sys.argv else {})
    try:
        sys.exit(exit_code(launch([job(Path(sys.argv[1]), **fake)])))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
