"""A worker without torch, which does what $FAKE_WORKER says."""

import os
import signal
import sys
import time

from finecomb.runs.directory import RunDirectory

run = RunDirectory(sys.argv[1])


def stop(number, frame):
    run.set_status("interrupted", error="asked to end")
    os._exit(143)


signal.signal(signal.SIGTERM, stop)
run.set_status("running")
print("the worker has begun", flush=True)
if os.environ["FAKE_WORKER"] == "fail":
    print("ValueError: no luck", flush=True)
    run.set_status("failed", error="Traceback (most recent call last):\n  somewhere\nValueError: no luck")
    sys.exit(1)
if os.environ["FAKE_WORKER"] == "finish":
    run.write_result({"metrics": {"test/accuracy": 0.5}})
    run.set_status("finished")
    sys.exit(0)
time.sleep(120)
