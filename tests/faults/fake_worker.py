"""A worker without torch: counts steps, keeps a checkpoint, obeys the rules of the real one. Driven by `fake:` in the frozen config."""

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from finecomb.runs.directory import RunDirectory

parser = argparse.ArgumentParser()
parser.add_argument("run")
parser.add_argument("--parent-fd", type=int)
arguments = parser.parse_args()
run = RunDirectory(arguments.run)
fake = run.config["fake"]
rank = int(os.environ.get("LOCAL_RANK", "0"))


def watch() -> None:
    os.read(arguments.parent_fd, 1)
    os._exit(75)


def stop(number, frame) -> None:
    if fake.get("stubborn"):
        return
    run.set_status("interrupted", error="asked to end by SIGTERM")
    os._exit(143)


def fail(error: str, code: int) -> None:
    run.set_status("failed", error=error)
    sys.exit(code)


if not fake.get("orphan"):
    threading.Thread(target=watch, daemon=True).start()
signal.signal(signal.SIGTERM, stop)
seen = {
    name: os.environ.get(name) for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
}
(run.path / f"seen{rank}.json").write_text(json.dumps({**seen, "started": time.time(), "lr": run.config["lr"]}))
if rank > 0:
    sys.exit(0)
run.set_status("running")
print("the fake worker runs")
if fake.get("silent_death"):
    sys.exit("died before it could say so")
if fake.get("die") and run.status().attempt == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if fake.get("fail") and run.status().attempt <= fake["fail"]:
    fail("Traceback (most recent call last):\n  somewhere\nValueError: no luck", 1)
if fake.get("memory") is not None and fake["batch"] / (run.record.pieces or 1) > fake["memory"]:
    fail("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", 1)
if fake.get("user_error"):
    fail("the labels are wrong", 2)
if fake.get("disk_full") and run.status().attempt == 1:
    sys.exit(28)
checkpoint = run.checkpoints / "last.json"
start = json.loads(checkpoint.read_text())["step"] if checkpoint.exists() else 0
run.truncate_metrics(start)
for step in range(start + 1, fake.get("steps", 3) + 1):
    time.sleep(fake.get("pause", 0.0))
    run.append_metrics({"step": step, "train/loss": 1.0 / step})
    temporary = Path(f"{checkpoint}.tmp")
    temporary.write_text(json.dumps({"step": step}))
    os.replace(temporary, checkpoint)
run.write_result(
    {"config": run.config, "metrics": {"validation/accuracy": run.config["lr"], "steps": len(run.metrics())}, "time": {"train_s": 0.1}}
)
run.set_status("finished")
